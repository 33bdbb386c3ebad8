"""Second factors: one-time codes, and recovery codes for when they are lost."""
