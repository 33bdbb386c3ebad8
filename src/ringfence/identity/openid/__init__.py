"""Signing in with another provider: OpenID Connect, as its client."""
