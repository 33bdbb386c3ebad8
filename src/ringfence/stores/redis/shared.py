"""What must be fast, in Redis or Valkey, for all processes alike."""

from __future__ import annotations

from ringfence.stores.contracts import BlockStore, CopyStore, CounterStore
from ringfence.stores.redis.blocks import RedisBlocks
from ringfence.stores.redis.composed import compose
from ringfence.stores.redis.copies import Nonces, RedisCopies
from ringfence.stores.redis.counters import RedisCounters
from ringfence.stores.redis.inspection import PREFIX
from ringfence.stores.redis.names import Shelf
from ringfence.stores.redis.question import RedisAsk
from ringfence.stores.redis.server import Keyspace

_LIMITS = "limits"  # the shelf that questions are about


class RedisShared:
    """Counters, blocks and copies in Redis or Valkey. See ``contracts.SharedStore``.

    Redis is never the authority: what it forgets is counted anew, or asked of the
    database again.

    Args:
        keyspace: of one server or a cluster.
        prefix: of every key.
        time: see ``compose``; for tests.
    """

    def __init__(
        self, keyspace: Keyspace, prefix: bytes = PREFIX, *, time: bytes = b""
    ) -> None:
        self._keyspace = keyspace
        self._prefix = prefix
        self._scripts = compose(time)
        self._nonces = Nonces()
        self._limits = self._counters(_LIMITS)
        copies = RedisCopies(keyspace, self._scripts, prefix, self._nonces)
        self.copies: CopyStore | None = copies
        blocks = RedisBlocks(keyspace, self._scripts, prefix)
        self.blocks: BlockStore | None = blocks
        self.ask = RedisAsk(
            keyspace,
            self._scripts,
            counters=self._limits,
            copies=copies,
            version=blocks.version,
        )

    def counters(self, shelf: str) -> CounterStore:
        """Return the counters of a shelf: the same ones in every process."""
        return self._limits if shelf == _LIMITS else self._counters(shelf)

    def _counters(self, shelf: str) -> RedisCounters:
        return RedisCounters(self._keyspace, self._scripts, Shelf(self._prefix, shelf))

    async def start(self) -> None:
        """Connect."""
        self._nonces.renew()
        await self._keyspace.start()

    async def stop(self) -> None:
        """Close every connection. Idempotent."""
        await self._keyspace.stop()
