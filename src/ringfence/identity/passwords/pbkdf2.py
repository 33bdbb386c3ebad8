"""PBKDF2 as Django, passlib and Werkzeug store it: verified only, never made."""

from __future__ import annotations

import hmac
import re
from hashlib import new, pbkdf2_hmac

from ringfence.identity.passwords.encodings import (
    damaged,
    number,
    too_costly,
    unbase64,
    unhex,
)
from ringfence.identity.passwords.stored import Claim

# Two seconds of one core with SHA-256; Django 6.0 writes 1,200,000.
_MOST_ROUNDS = 5_000_000

# django: pbkdf2_sha256$600000$SALT$BASE64      the salt is text
# werkzeug: pbkdf2:sha256:600000$SALT$HEX       the salt is text
# passlib: $pbkdf2-sha256$29000$BASE64$BASE64   without a name, SHA-1
_DJANGO = re.compile(
    r"pbkdf2_(?P<name>sha1|sha256)\$(?P<rounds>\d+)\$(?P<salt>[^$]+)\$(?P<tag>[^$]+)"
)
_WERKZEUG = re.compile(
    r"pbkdf2:(?P<name>sha1|sha256|sha512):(?P<rounds>\d+)"
    r"\$(?P<salt>[^$]+)\$(?P<tag>[^$]+)"
)
_PASSLIB = re.compile(
    r"\$pbkdf2(?:-(?P<name>sha1|sha256|sha512))?\$(?P<rounds>\d+)"
    r"\$(?P<salt>[^$]*)\$(?P<tag>[^$]+)"
)


def read(stored: str) -> Claim | None:
    """Return the claim of a PBKDF2 hash, with SHA-1, SHA-256 or SHA-512.

    Raises:
        UnusableHashError: it is damaged, or has more than 5,000,000 rounds.

    Source: RFC 8018, section 5.2; OWASP Password Storage Cheat Sheet.
    """
    if found := _DJANGO.fullmatch(stored):
        salt, tag = found["salt"].encode(), unbase64(found["tag"])
    elif found := _WERKZEUG.fullmatch(stored):
        salt, tag = found["salt"].encode(), unhex(found["tag"])
    elif found := _PASSLIB.fullmatch(stored):
        salt, tag = unbase64(found["salt"]), unbase64(found["tag"])
    elif stored.startswith(("pbkdf2_", "pbkdf2:", "$pbkdf2")):
        raise damaged()
    else:
        return None
    rounds, name = number(found["rounds"]), found["name"] or "sha1"
    if rounds > _MOST_ROUNDS:
        raise too_costly()
    # A short tag fits by chance, and a long one multiplies the work.
    if not rounds or len(tag) != new(name).digest_size:
        raise damaged()

    def fits(password: str) -> bool:
        made = pbkdf2_hmac(name, password.encode(), salt, rounds, len(tag))
        return hmac.compare_digest(made, tag)

    return Claim(0, fits)
