"""bcrypt, plain and as Django stores it: verified only, never made."""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import sha256

from bcrypt import checkpw

from ringfence.identity.passwords.encodings import damaged, number, too_costly
from ringfence.identity.passwords.stored import Claim

_MOST_ROUNDS = 14  # about one second of one core; each step doubles it
_MOST_BYTES = 72

_BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
_DJANGO = "bcrypt$"
_DJANGO_SHA256 = "bcrypt_sha256$"


def read(stored: str) -> Claim | None:
    """Return the claim of a bcrypt hash: ``$2a$``, ``$2b$``, ``$2y$``, or Django's.

    bcrypt looks at 72 bytes only. Programs of old cut the password there without a
    word, so that whoever typed the same 72 bytes was let in (CVE-2025-22228), and a
    mistyped end would now become the password. No password of more than 72 bytes fits:
    its owner has to set a new one.

    Raises:
        UnusableHashError: it is damaged, of the faulty kind ``$2x$``, or has a cost
            over 14.

    Source: Provos and Mazieres, A Future-Adaptable Password Scheme (1999).
    """
    prepare: Callable[[str], bytes] = str.encode
    text = stored
    if stored.startswith(_DJANGO_SHA256):
        text = stored.removeprefix(_DJANGO_SHA256)
        prepare = _as_django
    elif stored.startswith(_DJANGO):
        text = stored.removeprefix(_DJANGO)
    elif not stored.startswith("$2"):
        return None
    found = _BCRYPT.fullmatch(text)
    if found is None:
        raise damaged()
    if number(found[1]) > _MOST_ROUNDS:
        raise too_costly()

    def fits(password: str) -> bool:
        secret = prepare(password)
        # Whole or not at all, but always with the same work.
        is_whole = len(secret) <= _MOST_BYTES and b"\0" not in secret
        try:
            matches = checkpw(secret if is_whole else b"", text.encode())
        except ValueError:  # a cost below 4, a salt that bcrypt does not take
            return False
        return is_whole and matches

    return Claim(0, fits)


def _as_django(password: str) -> bytes:
    return sha256(password.encode()).hexdigest().encode()
