"""The wall: plans made at start-up, run in one pass."""
