"""The window: what a browser is told, and what it may send on its own."""
