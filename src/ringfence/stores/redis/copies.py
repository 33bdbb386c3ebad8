"""Copies of what the database has said, where all processes see them."""

from __future__ import annotations

import os
import struct
from itertools import count

from ringfence.stores.contracts import Told
from ringfence.stores.redis.composed import Scripts
from ringfence.stores.redis.server import Keyspace

_COPIES_LAST = 300_000  # milliseconds
_HOLDS_LAST = 30_000

_pack_nonce = struct.Struct("<8sQ").pack
_pack_epoch = struct.Struct("<q").pack
_unpack_epoch = struct.Struct("<q").unpack_from
_EPOCH = 8  # bytes


class Nonces:
    """16 bytes that nobody has used before: eight at random for a process, and a
    number. They tell things apart and are no secret."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Begin anew: after a fork two processes would otherwise have the same."""
        self._process = os.urandom(8)
        self._numbers = count()

    def __call__(self) -> bytes:
        """Return the next one."""
        return _pack_nonce(self._process, next(self._numbers))


class RedisCopies:
    """Keep copies in Redis or Valkey. Implements ``CopyStore``.

    The copies of an owner belong to a generation, under a key that names the server in
    its present life. A change puts a mark in the place of that key, which counts how
    many changes are under way, and the last one removes it: whatever belonged to the
    generation before is worth nothing from then on, though it is still there.

    Args:
        keyspace: of the server.
        scripts: that it runs.
        prefix: of every key.
        nonces: make generations and leases.

    Not covered: a primary that has been replaced and does not know it yet goes on to
    answer whoever cannot reach the others either; ``min-replicas-to-write`` ends that.

    Source: CWE-613, CWE-672; ASVS 5.0 V7.4.1.
    """

    def __init__(
        self, keyspace: Keyspace, scripts: Scripts, prefix: bytes, nonces: Nonces
    ) -> None:
        self._keyspace = keyspace
        self._scripts = scripts
        self._prefix = prefix
        self.nonces = nonces

    def keys(self, owner: str, name: bytes) -> tuple[bytes, bytes]:
        """Return where the generation of an owner is, and a copy."""
        stem = b"%b{%b}" % (self._prefix, owner.encode())
        return stem + b"g", b"%bc:%b" % (stem, name)

    async def read(self, name: bytes, owner: str) -> Told:
        """Return what is known, or a lease."""
        keys = self.keys(owner, name)
        words = (self._keyspace.identity(keys[0]), self.nonces())
        match await self._keyspace.run(self._scripts.read, keys, words):
            case [generation, None, lease]:
                return Told(owner, None, lease, generation)
            case [generation, copy]:
                return told(owner, generation, copy)
        return Told(owner)

    async def keep(self, name: bytes, told: Told, copy: bytes, epoch: int) -> bool:
        """Keep a copy, if its lease still stands."""
        if not told.lease:
            return False
        keys = self.keys(told.owner, name)
        identity = self._keyspace.identity(keys[0])
        packed = _pack_epoch(epoch) + copy
        words = (identity, told.generation, told.lease, packed, _COPIES_LAST)
        return bool(await self._keyspace.run(self._scripts.keep, keys, words))

    async def drop(self, name: bytes, owner: str) -> None:
        """Forget one copy, and the lease for it."""
        _, key = self.keys(owner, name)
        await self._keyspace.call(key, b"DEL", key)

    async def hold(self, owner: str) -> None:
        """Void all copies of an owner, and keep none until ``release``."""
        key, _ = self.keys(owner, b"")
        await self._keyspace.run(self._scripts.hold, (key,), (_HOLDS_LAST,))

    async def release(self, owner: str) -> None:
        """End one ``hold``."""
        key, _ = self.keys(owner, b"")
        await self._keyspace.run(self._scripts.release, (key,), (_HOLDS_LAST,))


def told(owner: str, generation: bytes, raw: bytes, start: int = 0) -> Told:
    """Return what a good copy says.

    Args:
        owner: whose it is.
        generation: of the owner's copies.
        raw: as it was kept, the epoch first.
        start: where it begins in ``raw``.
    """
    (epoch,) = _unpack_epoch(raw, start)
    return Told(owner, raw[start + _EPOCH :], b"", generation, epoch)
