"""The ways in which other programs write salts and digests as text."""

from __future__ import annotations

import base64
import binascii

from ringfence.errors import UnusableHashError

_MOST_DIGITS = 9


def unbase64(text: str) -> bytes:
    """Return the bytes of base64, with or without padding, with ``.`` or ``+``.

    Raises:
        UnusableHashError: it is none.
    """
    padded = text.rstrip("=").replace(".", "+")
    try:
        return base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise damaged() from error


def unhex(text: str) -> bytes:
    """Return the bytes of hexadecimal digits.

    Raises:
        UnusableHashError: these are none.
    """
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise damaged() from error


def number(text: str) -> int:
    """Return a parameter.

    Raises:
        UnusableHashError: it is no positive number of at most nine digits.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise damaged()
    return int(text)


def damaged() -> UnusableHashError:
    """Return the error for a hash that is not written as its scheme says."""
    return UnusableHashError("the stored hash is damaged")


def too_costly() -> UnusableHashError:
    """Return the error for a hash that asks for more than it may."""
    return UnusableHashError("the stored hash costs more than is allowed")
