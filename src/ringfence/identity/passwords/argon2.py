"""Argon2id, at the least cost that OWASP recommends."""

from __future__ import annotations

import base64
import secrets
from typing import NewType

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from ringfence.errors import WrongPasswordError

# OWASP Password Storage Cheat Sheet (2024): Argon2id, m=19456 KiB, t=2, p=1. One lane,
# so that one hash is one thread and the pool alone decides how many cores are used.
MEMORY_KIB = 19_456
PASSES = 2
LANES = 1
_SALT_BYTES = 16  # RFC 9106, section 3.1
_TAG_BYTES = 32

Verified = NewType("Verified", str)
"""A hash that a password has been verified against: the proof, not a flag."""


class Argon2id:
    """Hash and verify passwords with Argon2id.

    A class so that the parameters are checked once, when the server starts.

    Source: RFC 9106; ASVS 5.0 V11.4.2; CWE-916.
    """

    def __init__(self) -> None:
        self._hasher = PasswordHasher(
            time_cost=PASSES,
            memory_cost=MEMORY_KIB,
            parallelism=LANES,
            hash_len=_TAG_BYTES,
            salt_len=_SALT_BYTES,
            type=Type.ID,
        )

    def hash(self, password: str) -> str:
        """Return a new PHC string. Slow on purpose: call it in the pool."""
        return self._hasher.hash(password)

    def verify(self, password_hash: str, password: str) -> Verified:
        """Return the proof that the password is right. Slow on purpose: use the pool.

        Raises:
            WrongPasswordError: it is not, or the hash is none that Argon2 made.
        """
        try:
            self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError) as error:
            raise WrongPasswordError from error
        return Verified(password_hash)

    def needs_rehash(self, proof: Verified) -> bool:
        """Return whether the hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(proof)

    def nobodys(self) -> str:
        """Return a hash that no password fits, for work on unknown accounts.

        Verifying against it takes as long as against a real one (CVE-2026-22746,
        CVE-2024-39329: the time told which accounts exist). It costs nothing to make:
        its salt and its tag are both random.
        """
        return (
            f"$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}"
            f"${_unpadded(_SALT_BYTES)}${_unpadded(_TAG_BYTES)}"
        )


def _unpadded(size: int) -> str:
    return base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=")
