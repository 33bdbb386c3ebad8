"""What a new password must be."""

from __future__ import annotations

import unicodedata

_MOST_BYTES = 1024


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
    return len(password) > _MOST_BYTES or len(password.encode()) > _MOST_BYTES


def fault(password: str, *, email: str, shortest: int) -> str:
    """Return what is wrong with a new password, or the empty text.

    No rules about kinds of characters: they make passwords weaker.

    Args:
        password: as submitted.
        email: the address of the account; it, and the part before the ``@``, are the
            first that anybody tries.
        shortest: fewest characters.

    Source: NIST SP 800-63B-4, section 3.1.1.2; ASVS 5.0 V6.2.1, V6.2.5, V6.2.9.
    Not covered: common and leaked passwords.
    """
    if is_too_long(password):
        return f"The password has more than {_MOST_BYTES} bytes."
    if len(normalize(password)) < shortest:
        return f"The password needs at least {shortest} characters."
    folded = password.casefold()
    address = email.casefold()
    if folded in {address, address.rpartition("@")[0]}:
        return "The password must not be the e-mail address."
    return ""
