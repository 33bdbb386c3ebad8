"""Where statements leave for a database: one file a driver."""
