"""The street: what may reach the backend at all."""
