"""Settings, typed and loaded once."""
