"""The shelves in PostgreSQL, for several processes and machines."""
