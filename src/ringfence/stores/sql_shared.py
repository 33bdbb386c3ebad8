"""What must be fast, in a database that several processes share."""

from __future__ import annotations

from typing import Protocol

from ringfence.clock import Clock
from ringfence.stores.contracts import Ask, BlockStore, CopyStore, CounterStore
from ringfence.stores.sql import Database
from ringfence.stores.sql_blocks import SqlBlocks
from ringfence.stores.sql_counters import SqlCounters


class OpenedDatabase(Database, Protocol):
    """A database that can be opened and closed."""

    async def open(self) -> None:
        """Migrate and open."""

    async def close(self) -> None:
        """Close. Idempotent."""


class SqlShared:
    """Counters and blocks in a database. See ``contracts.SharedStore``.

    For several processes on one machine with a file of SQLite, and for several machines
    with PostgreSQL, where there is no Redis: it costs each request a transaction, or a
    part of one under load. There are no copies: they would be no nearer than the
    database.

    Args:
        database: keeps them.
        clock: of the database.
        ticking: tells counters the time where the database does not.
    """

    copies: CopyStore | None = None
    ask: Ask | None = None

    def __init__(
        self, database: OpenedDatabase, clock: Clock, ticking: Clock | None = None
    ) -> None:
        self._database = database
        self._ticking = ticking
        self._counters: list[SqlCounters] = []
        self.blocks: BlockStore | None = SqlBlocks(database, clock)

    def counters(self, shelf: str) -> CounterStore:
        """Return the counters of a shelf: the same ones in every process."""
        made = SqlCounters(self._database, shelf, self._ticking)
        self._counters.append(made)
        return made

    async def start(self) -> None:
        """Migrate and open."""
        await self._database.open()

    async def stop(self) -> None:
        """Close. Idempotent."""
        for counters in self._counters:
            await counters.close()
        await self._database.close()
