"""Settings of the sign-in with another provider."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OpenIdSettings:
    """Providers of OpenID Connect that vouch for people."""
