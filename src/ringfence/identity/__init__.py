"""The gatehouse: who is there."""
