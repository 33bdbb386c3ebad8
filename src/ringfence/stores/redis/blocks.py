"""Networks that are turned away, where all processes see them."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from ringfence.errors import StoreError
from ringfence.stores.contracts import Block, Blocks
from ringfence.stores.redis.composed import Scripts
from ringfence.stores.redis.server import Keyspace

_MOST = 100_000
_AT_ONCE = 1_000  # networks in one answer: more would hold up everybody else
_LONGEST_REASON = 500  # bytes
_MOST_ANSWERS = 4 * _MOST // _AT_ONCE

_unpack_moment = struct.Struct("<d").unpack_from
_MOMENT = 8  # bytes


class RedisBlocks:
    """Keep blocked networks in Redis or Valkey. Implements ``BlockStore``.

    Versions are microseconds of the server's time, and one more where that stands still
    or goes back. So a server that has lost its memory does not use one again, and who
    knows a version that it does not is told everything. All keys are in one slot.

    Args:
        keyspace: of the server.
        scripts: that it runs.
        prefix: of every key.
        most: networks; the one that would be free first gives place.

    Not covered: who has learned of a network that gave place goes on to block it until
    it would have been free. A server that loses its memory forgets what was blocked.
    """

    def __init__(
        self, keyspace: Keyspace, scripts: Scripts, prefix: bytes, *, most: int = _MOST
    ) -> None:
        self._keyspace = keyspace
        self._scripts = scripts
        self._most = most
        stem = prefix + b"{blocks}"
        self.version = stem + b"version"
        self._keys = (
            self.version,
            *(stem + name for name in (b"floor", b"details", b"changed", b"ends")),
        )

    async def put(self, block: Block) -> int:
        """Block a network or let it in; return the new version."""
        reason = block.reason.encode("utf-8", "replace")[:_LONGEST_REASON]
        words = (block.network, block.seconds, reason, self._most)
        version: int = await self._keyspace.run(
            self._scripts.put_block, self._keys, words
        )
        return version

    async def since(self, version: int) -> Blocks:
        """Return what has changed, read in parts so that nobody is held up."""
        changed: dict[str, Block] = {}
        is_complete = False
        for _ in range(_MOST_ANSWERS):
            newest, is_whole, now, networks, details = await self._keyspace.run(
                self._scripts.blocks_since,
                self._keys,
                (version, _AT_ONCE, int(is_complete)),
            )
            if is_whole:
                changed, is_complete = {}, True
            (moment,) = _unpack_moment(now)
            names = networks[::2]
            for name, detail in zip(names, details, strict=True):
                network = name.decode("utf-8", "replace")
                changed[network] = _block(network, detail, moment)
            if len(names) < _AT_ONCE:
                return Blocks(
                    newest,
                    _told(changed.values(), is_complete=is_complete),
                    is_complete,
                )
            version = int(networks[-1])
        raise StoreError("the list of blocked networks changes faster than it is read")


def _block(network: str, detail: bytes | None, now: float) -> Block:
    if detail is None or len(detail) < _MOMENT:
        return Block(network, 0.0, "")
    (finish,) = _unpack_moment(detail)
    return Block(network, finish - now, detail[_MOMENT:].decode("utf-8", "replace"))


def _told(changed: Iterable[Block], *, is_complete: bool) -> list[Block]:
    return [one for one in changed if one.seconds > 0 or not is_complete]
