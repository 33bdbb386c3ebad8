"""Under which names tokens are taken back."""

from __future__ import annotations

from hashlib import sha256

from ringfence.identity.tokens.access_token import Claims
from ringfence.identity.tokens.base64url import decode, encode


def public_id(family: bytes) -> str:
    """Return what a family of tokens is called in lists and in ``sid``. It opens
    nothing."""
    return encode(family).decode()


def family_of(public: str) -> bytes | None:
    """Return the family that is called so, ``None`` if none can be."""
    return decode(public.encode()) if public.isascii() else None


def family_name(public: str) -> bytes:
    """Return under which name all tokens of a family are taken back.

    Args:
        public: ``sid`` of them.
    """
    return b"sid " + public.encode()


def token_names(claims: Claims) -> tuple[bytes, bytes]:
    """Return under which names a token may have been taken back: its own, and that of
    its family."""
    return sha256(b"jti " + claims.jti.encode()).digest(), family_name(claims.sid)
