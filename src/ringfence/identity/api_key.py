"""The text of an API key: what programs send, and scanners for secrets look for."""

from __future__ import annotations

import re
import secrets
from hashlib import sha256
from zlib import crc32

PREFIX = b"rfk_"

_RANDOM_BYTES = 32
_RANDOM_LENGTH = 43  # 62**43 > 2**256
_CHECK_LENGTH = 6  # 62**6 > 2**32
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SHOWN = 4  # random characters at each end that lists show
_KEY = re.compile(rb"rfk_[0-9A-Za-z]{49}")


def new_key() -> str:
    """Return a new key: 256 random bits between a prefix that tells what it is and a
    checksum that tells a real key from a text that only looks like one.

    Source: CWE-330; NIST SP 800-131A (112 bits and more).
    """
    number = int.from_bytes(secrets.token_bytes(_RANDOM_BYTES), "big")
    body = PREFIX.decode() + _base62(number, _RANDOM_LENGTH)
    return body + _checksum(body.encode()).decode()


def is_key(text: bytes) -> bool:
    """Return whether this can be a key at all: what is mistyped or made up without
    thought is refused without a question to the database. No proof of anything."""
    if _KEY.fullmatch(text) is None:
        return False
    return _checksum(text[:-_CHECK_LENGTH]) == text[-_CHECK_LENGTH:]


def digest(key: bytes) -> bytes:
    """Return what is stored of a key. An unsalted fast hash is right here: there is
    nothing to guess in 256 random bits."""
    return sha256(key).digest()


def hint(key: str) -> str:
    """Return what lists show of a key, enough to recognise it by: 48 of its 256 random
    bits at most."""
    return f"{key[: len(PREFIX) + _SHOWN]}...{key[-_SHOWN:]}"


def _checksum(body: bytes) -> bytes:
    return _base62(crc32(body), _CHECK_LENGTH).encode()


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
