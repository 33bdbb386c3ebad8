"""``ringfence export``: what a gateway can refuse before it reaches the backend."""
