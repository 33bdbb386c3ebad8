"""Fast old digests (MD5, SHA), kept only inside an Argon2id hash."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from hashlib import new
from typing import Literal

from ringfence.identity.passwords.argon2 import Argon2id
from ringfence.identity.passwords.encodings import damaged, unbase64
from ringfence.identity.passwords.stored import Claim, Reader

Digest = Literal["md5", "sha1", "sha256", "sha512"]
SaltPlace = Literal["before", "after"]

_PREFIX = "$wrapped$"
_WRAPPED = re.compile(
    r"\$wrapped\$(?P<name>md5|sha1|sha256|sha512)\$(?P<place>before|after)"
    r"\$(?P<salt>[A-Za-z0-9+/]*)(?P<phc>\$argon2id\$.+)"
)


def wrap_legacy(
    digest: str,
    name: Digest,
    *,
    salt: bytes = b"",
    place: SaltPlace = "before",
    hasher: Argon2id,
) -> str:
    """Return an old digest inside an Argon2id hash, to be stored in its place.

    Nobody's password is needed: a table of MD5 digests can be wrapped whole, today, and
    is no longer worth stealing. At the owner's next sign-in the digest is replaced by
    an ordinary hash. A bare digest is never verified: it would be cracked at billions
    of guesses a second (CWE-916).

    Args:
        digest: hexadecimal, as most programs store it.
        name: of the function that made it.
        salt: what was hashed together with the password; empty for none.
        place: whether the salt stood before or after the password.
        hasher: today's. Slow on purpose.

    Raises:
        ValueError: the digest is none of this function's.

    Source: OWASP Password Storage Cheat Sheet, "Upgrading Legacy Hashes".
    """
    must_be_digest(digest, name)
    written = base64.b64encode(salt).decode().rstrip("=")
    return f"{_PREFIX}{name}${place}${written}{hasher.hash(digest.lower())}"


def must_be_digest(digest: str, name: Digest) -> None:
    """Refuse what this function cannot have made.

    Raises:
        ValueError: the digest is none of this function's.
    """
    size = new(name, usedforsecurity=False).digest_size
    if not re.fullmatch(rf"[0-9a-fA-F]{{{2 * size}}}", digest):
        raise ValueError(f"a digest of {name} has {2 * size} hexadecimal digits")


def reader(hasher: Argon2id) -> Reader:
    """Return the reader of wrapped digests.

    Args:
        hasher: checks the Argon2id around them, and what it may cost.
    """

    def read(stored: str) -> Claim | None:
        if not stored.startswith(_PREFIX):
            return None
        found = _WRAPPED.fullmatch(stored)
        if found is None:
            raise damaged()
        digest = _digest(found["name"], unbase64(found["salt"]), found["place"])
        return hasher.claim(found["phc"], digest)

    return read


def _digest(name: str, salt: bytes, place: str) -> Callable[[str], str]:
    before, after = (salt, b"") if place == "before" else (b"", salt)

    def digest(password: str) -> str:
        whole = before + password.encode() + after
        return new(name, whole, usedforsecurity=False).hexdigest()

    return digest
