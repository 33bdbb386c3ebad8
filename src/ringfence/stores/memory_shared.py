"""What must be fast, in the memory of one process."""

from __future__ import annotations

from ringfence.clock import Clock, system_clock
from ringfence.stores.contracts import Ask, BlockStore, CopyStore, CounterStore
from ringfence.stores.memory_counters import MemoryCounters


class MemoryShared:
    """Counters that no other process sees. See ``contracts.SharedStore``.

    Args:
        clock: tells the time.
    """

    blocks: BlockStore | None = None
    copies: CopyStore | None = None
    ask: Ask | None = None

    def __init__(self, clock: Clock = system_clock) -> None:
        self._clock = clock

    def counters(self, shelf: str) -> CounterStore:
        """Return counters of their own."""
        return MemoryCounters(clock=self._clock)

    async def start(self) -> None:
        """There is nothing to connect to."""

    async def stop(self) -> None:
        """There is nothing to close."""
