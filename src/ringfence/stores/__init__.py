"""The shelves: what is kept, and where."""
