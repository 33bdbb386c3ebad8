"""The text that is hashed."""

from __future__ import annotations

import unicodedata

MOST_BYTES = 1024


def normalize(password: str) -> str:
    """Return the text that is hashed: the password in Unicode's NFC.

    The same character can arrive composed or decomposed, depending on the keyboard;
    nothing else about the password is changed.

    Source: RFC 8265, section 4.2 (NFC); ASVS 5.0 V6.2.8 (no truncation, no change of
    case).
    """
    return unicodedata.normalize("NFC", password)


def is_too_long(password: str) -> bool:
    """Return whether the password is longer than anybody's, so that hashing and
    normalising megabytes cannot be asked for. Source: CWE-400."""
    return len(password) > MOST_BYTES or len(password.encode()) > MOST_BYTES
