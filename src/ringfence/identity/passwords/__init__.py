"""Password hashing, off the event loop and within bounds."""
