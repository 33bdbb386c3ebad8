"""Under which keys things are kept, and what lies together on a cluster.

Keys of one hash tag lie in one slot, so that one script can see them all. What belongs
to an account has the tag of that account; each other budget has its own.
"""

from __future__ import annotations

import struct
from base64 import urlsafe_b64encode
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from ringfence.stores.contracts import Charge

_DIGEST = 16  # bytes
_REMEMBERED = 8_192  # charges; the same ones come again and again
_EXACT, _OWNED = 1, 2

_pack_charge = struct.Struct("<BBddd").pack


class Packed(NamedTuple):
    """A charge as the scripts read it.

    Args:
        keys: where its state is, and its hold if it has any.
        charge: its numbers.
        place: its hash tag.
    """

    keys: tuple[bytes, ...]
    charge: bytes
    place: bytes


class Shelf:
    """The keys of one shelf of counters.

    The name of a budget is kept as a digest. It is of one length, so that nobody can
    fill the memory of the server with long names; it shows no address of anybody to
    those who may list keys; and no brace in it decides in which slot it lies.

    Args:
        prefix: of every key.
        name: of the shelf.
    """

    def __init__(self, prefix: bytes, name: str) -> None:
        self._prefix = prefix
        self._name = name.encode()
        self.packed = lru_cache(_REMEMBERED)(self._packed)

    def _packed(self, charge: Charge) -> Packed:
        key, amount, period, exact, holds, burst, _, owner = charge
        place = owner.encode() if owner else digest(key)
        stem = self._owned(place, key) if owner else self._unowned(place)
        flags = _EXACT * exact + _OWNED * bool(owner)
        numbers = _pack_charge(flags, len(holds), amount, period, burst)
        state = stem + (b"x" if exact else b"r")
        return Packed(
            keys=(state, stem + b"h") if holds else (state,),
            charge=numbers + struct.pack(f"<{len(holds)}d", *holds),
            place=place,
        )

    def all_of(self, key: bytes) -> tuple[bytes, ...]:
        """Return all keys of a budget that is no account's."""
        stem = self._unowned(digest(key))
        return stem + b"r", stem + b"x", stem + b"h"

    def members(self, key: bytes) -> bytes:
        """Return where members are counted."""
        return self._unowned(digest(key)) + b"d"

    def _owned(self, owner: bytes, key: bytes) -> bytes:
        return b"%b{%b}%b:%b" % (self._prefix, owner, self._name, digest(key))

    def _unowned(self, place: bytes) -> bytes:
        return b"%b%b:{%b}" % (self._prefix, self._name, place)


def digest(name: bytes) -> bytes:
    """Return what stands for a name, in 22 letters."""
    raw = blake2b(name, digest_size=_DIGEST).digest()
    return urlsafe_b64encode(raw).rstrip(b"=")
