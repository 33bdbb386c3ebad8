"""Passwords as accounts use them: the rules, the hashers and the pool in one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from ringfence.errors import StoreBusyError, UnusableHashError, WrongPasswordError
from ringfence.identity.passwords.argon2 import Argon2id
from ringfence.identity.passwords.calibrate import Measured
from ringfence.identity.passwords.common_passwords import ranks
from ringfence.identity.passwords.evenly import Evenly
from ringfence.identity.passwords.pool import HashingPool
from ringfence.identity.passwords.rules import Rules
from ringfence.identity.passwords.stored import Claim, Reader, Verified
from ringfence.identity.passwords.text import is_too_long, normalize
from ringfence.identity.passwords.wrapped import Digest, SaltPlace, wrap_legacy

_T = TypeVar("_T")

_OWN = "$argon2"
_MOST_CHARACTERS = 512  # that the stores keep
_HASHES_AN_ANSWER = 2  # the floor under an answer's time, in hashes of today's cost


class Passwords:
    """Judge, hash and verify passwords, off the event loop and within bounds.

    Args:
        pool: the threads that hashes run in.
        measured: returns the cost of new hashes; asked once, when the server starts.
        readers: recognise hashes that other programs have made.
        rules: for new passwords.
        least_seconds: the least that an answer about a password takes; 0 means twice
            the time of a hash.
    """

    def __init__(
        self,
        pool: HashingPool,
        *,
        measured: Callable[[], Measured],
        readers: tuple[Reader, ...],
        rules: Rules,
        least_seconds: float = 0.0,
    ) -> None:
        self.pool = pool
        self._rules = rules
        self.shortest = rules.shortest
        self._measured = measured
        self._readers = readers
        self._least_seconds = least_seconds
        self._evenly = Evenly()
        self._hasher = Argon2id()
        self._nobodys = self._hasher.nobodys()

    async def start(self) -> None:
        """Learn what a hash may cost here, and start the threads.

        Raises:
            SettingsError: the file with the measured cost is damaged.
            StoreError: it cannot be read or written.
        """
        measured = await asyncio.to_thread(self._measured)
        await asyncio.to_thread(ranks)
        self._hasher = Argon2id(measured.cost, memory_kib=self.pool.memory_kib)
        self._nobodys = self._hasher.nobodys()
        least = self._least_seconds or _HASHES_AN_ANSWER * measured.seconds
        self._evenly = Evenly(least)
        self.pool.start(
            memory_kib=measured.cost.memory_kib, seconds_each=measured.seconds
        )

    def stop(self) -> None:
        """End the threads."""
        self.pool.stop()

    def fault(self, password: str, *, email: str) -> str:
        """Return what is wrong with a new password, or the empty text."""
        return self._rules.fault(password, email=email)

    async def evenly(self, work: Awaitable[_T]) -> _T:
        """Return what ``work`` does, after a time that says nothing about it."""
        return await self._evenly(work)

    async def hash(
        self, password: str, *, network: str = "", known: bool = False
    ) -> str:
        """Return a new hash.

        Args:
            password: kept nowhere.
            network: whose place in the queue it takes.
            known: whether it is for somebody at a known device.

        Raises:
            StoreBusyError: too many wait already.
        """
        return await self.pool.run(
            partial(self._hasher.hash, normalize(password)),
            network=network,
            memory_kib=self._hasher.cost.memory_kib,
            known=known,
        )

    async def verify(
        self,
        password_hash: str,
        password: str,
        *,
        network: str = "",
        known: bool = False,
    ) -> Verified:
        """Return the proof that the password fits.

        An empty hash (no such account, or no password set), and one that cannot be
        used, cost the same work as any other.

        Args:
            password_hash: as it is stored, by whatever program.
            password: as it was typed.
            network: whose place in the queue it takes.
            known: whether it is for somebody at a known device.

        Raises:
            WrongPasswordError: it does not fit.
            UnusableHashError: nothing could; the reason is for the ledger.
            StoreBusyError: too many wait already.
        """
        text = "" if is_too_long(password) else password
        stored = password_hash or self._nobodys
        try:
            claim = self._claim(stored)
        except UnusableHashError:
            await self._refuse_as_ever(network, known=known)
            raise
        fits = await self.pool.run(
            partial(claim.fits, text),
            network=network,
            memory_kib=claim.memory_kib,
            known=known,
        )
        if not (fits and text):  # an imported account without a password has none
            raise WrongPasswordError
        return Verified(stored)

    async def better(
        self,
        proof: Verified,
        password: str,
        *,
        network: str = "",
        known: bool = False,
    ) -> str:
        """Return a hash to be stored in place of the one that was verified: where that
        is weaker than today's, or another program's. Else the empty text, and also
        where too many wait: it can be done at the next sign-in."""
        if proof.startswith(_OWN) and not self._hasher.needs_rehash(proof):
            return ""
        try:
            return await self.hash(password, network=network, known=known)
        except StoreBusyError:
            return ""

    def fault_of_hash(self, stored: str) -> str:
        """Return why no password could be verified against a hash, or the empty text.

        Args:
            stored: as another program has stored it.
        """
        if len(stored) > _MOST_CHARACTERS:
            return f"The hash has more than {_MOST_CHARACTERS} characters."
        try:
            self._claim(stored)
        except UnusableHashError as error:
            return f"No password could be verified: {error}."
        return ""

    async def wrap(
        self, digest: str, name: Digest, *, salt: bytes, place: SaltPlace
    ) -> str:
        """Return an old digest inside a hash of today's cost; see ``wrap_legacy``.

        Raises:
            ValueError: the digest is none of this function's.
            StoreBusyError: too many wait already.
        """
        work = partial(
            wrap_legacy, digest, name, salt=salt, place=place, hasher=self._hasher
        )
        return await self.pool.run(work, memory_kib=self._hasher.cost.memory_kib)

    def _claim(self, stored: str) -> Claim:
        if stored.startswith(_OWN):
            return self._hasher.read(stored)
        for reader in self._readers:
            if claim := reader(stored):
                return claim
        raise UnusableHashError("the stored hash is none that is known")

    async def _refuse_as_ever(self, network: str, *, known: bool) -> None:
        """Work as for any other password: who has no usable hash must not be told by
        the time (CVE-2025-13473)."""
        claim = self._hasher.read(self._nobodys)
        await self.pool.run(
            partial(claim.fits, ""),
            network=network,
            memory_kib=claim.memory_kib,
            known=known,
        )
