"""Argon2id: the function that new passwords are hashed with."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Callable

from argon2 import Parameters, PasswordHasher, Type, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError

from ringfence.errors import WrongPasswordError
from ringfence.identity.passwords.cost import FLOOR, Cost
from ringfence.identity.passwords.encodings import damaged, too_costly
from ringfence.identity.passwords.stored import Claim, Verified
from ringfence.identity.passwords.text import normalize

_VERSION = 0x13  # RFC 9106, section 3.1
_LANES = 1
_MOST_LANES = 8
_SALT_BYTES = 16  # RFC 9106, section 3.1
_TAG_BYTES = 32
_DJANGO = "argon2$"
_PHC = re.compile(
    r"\$argon2(?:id|i|d)(?:\$v=[0-9]{1,3})?\$m=[0-9]{1,10},t=[0-9]{1,10},p=[0-9]{1,8}"
    r"\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+"
)


class Argon2id:
    """Hash and verify passwords with Argon2id.

    A class so that the parameters are checked once, when the server starts.

    Args:
        cost: of new hashes; never below OWASP's floor.
        memory_kib: KiB that a stored hash may ask for; a planted one with 4 GiB is
            not worked on.

    Raises:
        ValueError: the cost is below the floor.

    Source: RFC 9106; ASVS 5.0 V11.4.2; CWE-916.
    """

    def __init__(self, cost: Cost = FLOOR, *, memory_kib: int = 256 * 1024) -> None:
        if not cost.meets_floor:
            raise ValueError(f"{cost} is less than OWASP's floor, {FLOOR}")
        self.cost = cost
        self._memory_kib = memory_kib
        self._hasher = PasswordHasher(
            time_cost=cost.passes,
            memory_cost=cost.memory_kib,
            parallelism=_LANES,
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
            WrongPasswordError: it is not, or the hash is none that Argon2 made, or one
                that costs too much.
        """
        self.memory_of(password_hash)
        try:
            self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError) as error:
            raise WrongPasswordError from error
        return Verified(password_hash)

    def memory_of(self, password_hash: str) -> int:
        """Return the KiB that verifying will hold.

        Raises:
            UnusableHashError: it is none of Argon2's, or it would cost too much.
        """
        found = _parameters(password_hash)
        cost = Cost(found.memory_cost, found.time_cost)
        if found.parallelism > _MOST_LANES or not cost.is_bearable(self._memory_kib):
            raise too_costly()
        return found.memory_cost

    def needs_rehash(self, proof: Verified) -> bool:
        """Return whether the hash is weaker than today's would be.

        One that is stronger stays: two servers that share a database and measured
        different costs do not write over each other's.
        """
        found = _parameters(proof)
        return (
            found.type is not Type.ID
            or found.version != _VERSION
            or found.parallelism != _LANES
            or found.salt_len < _SALT_BYTES
            or found.hash_len < _TAG_BYTES
            or Cost(found.memory_cost, found.time_cost).work < self.cost.work
            or not Cost(found.memory_cost, found.time_cost).meets_floor
        )

    def nobodys(self) -> str:
        """Return a hash that no password fits, for work on unknown accounts.

        Verifying against it takes as long as against a real one (CVE-2026-22746,
        CVE-2024-39329: the time told which accounts exist). It costs nothing to make:
        its salt and its tag are both random.
        """
        return (
            f"$argon2id$v={_VERSION}"
            f"$m={self.cost.memory_kib},t={self.cost.passes},p={_LANES}"
            f"${_unpadded(_SALT_BYTES)}${_unpadded(_TAG_BYTES)}"
        )

    def read(self, stored: str) -> Claim:
        """Return the claim of a PHC string. It is verified against the password in
        Unicode's NFC, as ``hash`` gets it.

        Raises:
            UnusableHashError: it would cost too much, or is damaged.
        """
        return self.claim(stored, normalize)

    def read_django(self, stored: str) -> Claim | None:
        """Return the claim of a hash that Django's Argon2 hasher wrote.

        Raises:
            UnusableHashError: it would cost too much, or is damaged.
        """
        if not stored.startswith(_DJANGO):
            return None
        return self.claim("$" + stored.removeprefix(_DJANGO), str)

    def claim(self, phc: str, prepare: Callable[[str], str]) -> Claim:
        """Return the claim of a PHC string that holds something made of a password.

        Args:
            phc: as ``hash`` writes it.
            prepare: makes of a password what was hashed.

        Raises:
            UnusableHashError: it would cost too much, or is damaged.
        """

        def fits(password: str) -> bool:
            try:
                self.verify(phc, prepare(password))
            except WrongPasswordError:
                return False
            return True

        return Claim(self.memory_of(phc), fits)


def _parameters(password_hash: str) -> Parameters:
    """Return the parameters of a PHC string that is written as the C library reads it:
    what it is judged by here must be what it is worked on by there."""
    if not _PHC.fullmatch(password_hash):
        raise damaged()
    return extract_parameters(password_hash)


def _unpadded(size: int) -> str:
    return base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=")
