"""Access tokens: signed, short-lived, and still revocable."""
