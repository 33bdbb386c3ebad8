"""Passkeys: signing in with a key pair that a device keeps and unlocks (WebAuthn)."""
