"""The keys of one installation, in one file.

Cookies, tokens and seals do not use these keys themselves: each purpose gets its own,
derived by HKDF, so that what is signed for one is worthless for another.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ringfence.clock import Clock, system_clock
from ringfence.errors import SettingsError
from ringfence.secrets.keys_file import (
    KEY_BYTES,
    Generation,
    in_use,
    make_keys_file,
    read_keys_file,
)

_SALT = b"ringfence.keyring.1"


class Keyring:
    """Derive the key of each purpose from the file that holds the master keys.

    Made without touching the disk, so that an application can be planned and tested
    anywhere; ``open`` reads the file when the application starts.

    Args:
        path: the keys file. Mode 0600, owned by the user of this process or by root;
            one of root's may be readable by a group of this process.
        create: make the file if there is none. Two processes that start at once end
            up with the same keys.
        clock: tells which key signs: one that was added signs from a moment on.

    Not covered: who can read the memory of this process has the keys.
    """

    def __init__(
        self, path: Path, *, create: bool, clock: Clock = system_clock
    ) -> None:
        self._path = path
        self._create = create
        self._clock = clock
        self._ring: _Ring | None = None

    def open(self) -> None:
        """Read the keys, and make the file first where that is wanted.

        Raises:
            SettingsError: there is no file, others can read it, it belongs to somebody
                else, or its keys are weak.
        """
        if self._create and not os.path.lexists(self._path):
            make_keys_file(self._path)
        self._ring = _Ring(read_keys_file(self._path), self._clock())

    def reread(self) -> bool:
        """Read the file once more; return whether its keys are others than before.

        Safe in a thread: who derives meanwhile gets the keys of before or those of now.
        Where it raises, the keys of before stay.

        Raises:
            SettingsError: the file cannot be used, or has none of the keys in use. Such
                a file is no rotation: everything that was signed would be refused.
        """
        before = self._ring
        if before is None:
            self.open()
            return True
        found = read_keys_file(self._path)
        if found == before.generations:
            return False
        signing = before.in_turn(self._clock()).active[0]
        if signing not in {one.material for one in found}:
            message = (
                f"the keys file {self._path} no longer has the key that signs, so it "
                "is not taken over; put the key back, or start anew"
            )
            raise SettingsError(message)
        self._ring = _Ring(found, self._clock())
        return True

    def derive(self, purpose: str) -> bytes:
        """Return the 32 bytes that sign and seal for this purpose.

        Ask anew each time: another key may sign since.

        Args:
            purpose: a constant of the code that uses the key, ``browser.csrf`` say.

        Raises:
            SettingsError: the keyring is not open.
            ValueError: the purpose is empty.

        Source: RFC 5869 (HKDF), the purpose as ``info``.
        """
        return self.derive_all(purpose)[0]

    def derive_all(self, purpose: str) -> tuple[bytes, ...]:
        """Return the keys of this purpose, the signing one first: the same tuple until
        they change.

        The others only verify: what was signed before the last rotation, and what
        another process signs already.

        Raises:
            SettingsError: the keyring is not open.
            ValueError: the purpose is empty.
        """
        ring = self._present()
        known = ring.derived.get(purpose)
        return known if known is not None else ring.derive(purpose)

    def derive_kept(self, purpose: str) -> tuple[bytes, ...]:
        """Return the keys of this purpose, the signing one first, and last those that
        are retired. For what is sealed and lies in a database for years; never for
        what somebody brings along.

        Raises:
            SettingsError: the keyring is not open.
            ValueError: the purpose is empty.
        """
        return self._present().derive_kept(purpose)

    def _present(self) -> _Ring:
        ring = self._ring
        if ring is None:
            message = (
                f"the keys in {self._path} were asked for before they were opened; "
                "keys are there once the application has started (its lifespan ran)"
            )
            raise SettingsError(message)
        # Only while a key waits for its time is anybody asked what time it is.
        if ring.turns < math.inf:
            turned = ring.in_turn(self._clock())
            # Another thread may have read the file meanwhile; what it found stays.
            if turned is not ring and self._ring is ring:
                self._ring = turned
            return turned
        return ring


class _Ring:
    """The keys of one reading of the file, and what was derived from them.

    Args:
        generations: the newest first.
        now: Unix seconds, for who signs.
    """

    __slots__ = ("_kept", "active", "derived", "generations", "turns")

    def __init__(self, generations: tuple[Generation, ...], now: float) -> None:
        self.generations = generations
        active = [one for one in generations if not one.retired]
        signing = in_use(active, now)
        self.active = _first(signing.material, active)
        ahead = [one.created for one in active if one.created > signing.created]
        self.turns = min(ahead, default=math.inf)
        self.derived: dict[str, tuple[bytes, ...]] = {}
        self._kept: dict[str, tuple[bytes, ...]] = {}

    def in_turn(self, now: float) -> _Ring:
        """Return the ring of this time: itself until the next key's time has come."""
        return self if now < self.turns else _Ring(self.generations, now)

    def derive(self, purpose: str) -> tuple[bytes, ...]:
        if not purpose:
            raise ValueError("a key needs a purpose, as in derive('browser.csrf')")
        derived = tuple(_hkdf(key, purpose) for key in self.active)
        # Of two threads that do this at once, both get what the first one kept.
        return self.derived.setdefault(purpose, derived)

    def derive_kept(self, purpose: str) -> tuple[bytes, ...]:
        known = self._kept.get(purpose)
        if known is None:
            retired = (one.material for one in self.generations if one.retired)
            older = tuple(_hkdf(key, purpose) for key in retired)
            known = self._kept.setdefault(purpose, self.derive(purpose) + older)
        return known


def _first(signing: bytes, active: Sequence[Generation]) -> tuple[bytes, ...]:
    others = (one.material for one in active if one.material != signing)
    return (signing, *others)


def _hkdf(material: bytes, purpose: str) -> bytes:
    info = purpose.encode()
    derived = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=_SALT, info=info)
    return derived.derive(material)
