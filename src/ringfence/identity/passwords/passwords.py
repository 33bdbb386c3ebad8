"""Passwords as accounts use them: the rules, the hasher and the pool in one."""

from __future__ import annotations

from ringfence.identity.passwords import rules
from ringfence.identity.passwords.argon2 import Argon2id, Verified
from ringfence.identity.passwords.pool import HashingPool


class Passwords:
    """Judge, hash and verify passwords, off the event loop and within bounds.

    Args:
        hasher: the slow functions.
        pool: the threads that they run in.
        shortest: fewest characters of a new password.
    """

    def __init__(self, hasher: Argon2id, pool: HashingPool, *, shortest: int) -> None:
        self._hasher = hasher
        self.shortest = shortest
        self._nobodys = hasher.nobodys()
        self.pool = pool

    def fault(self, password: str, *, email: str) -> str:
        """Return what is wrong with a new password, or the empty text."""
        return rules.fault(password, email=email, shortest=self.shortest)

    async def hash(self, password: str) -> str:
        """Return a new hash.

        Raises:
            StoreBusyError: too many wait already.
        """
        return await self.pool.run(self._hasher.hash, rules.normalize(password))

    async def verify(self, password_hash: str, password: str) -> Verified:
        """Return the proof that the password fits.

        An empty hash (no such account, or no password set) costs the same work.

        Raises:
            WrongPasswordError: it does not fit.
            StoreBusyError: too many wait already.
        """
        text = "" if rules.is_too_long(password) else rules.normalize(password)
        stored = password_hash or self._nobodys
        return await self.pool.run(self._hasher.verify, stored, text)

    def needs_rehash(self, proof: Verified) -> bool:
        """Return whether the hash was made with other parameters than today's."""
        return self._hasher.needs_rehash(proof)
