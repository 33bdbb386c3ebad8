"""The codes in letters: 256 random bits, of which only a hash is kept."""

from __future__ import annotations

import re
import secrets
from hashlib import sha256

_BYTES = 32  # ASVS 5.0 V11.5.1 asks for 128 bits
_CODE = re.compile(r"[A-Za-z0-9_-]{43}")


def new_code() -> str:
    """Return a code that nobody can guess."""
    return secrets.token_urlsafe(_BYTES)


def digest(code: str) -> bytes:
    """Return what is kept of a code; of what is none, something that nothing has.

    Args:
        code: as it was submitted; spaces and line breaks around it, which come with
            copying it out of a letter, do not count.
    """
    code = code.strip()
    return sha256(code.encode("ascii")).digest() if _CODE.fullmatch(code) else b""
