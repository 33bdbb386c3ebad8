"""The stores that processes share, opened under a prefix of each test's own."""

import sqlite3
from contextlib import asynccontextmanager, closing
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.contracts.clocks import TIME, ClockedKeyspace
from tests.servers.tables import empty

from ringfence.stores.clock import StoreClock
from ringfence.stores.contracts import Charge
from ringfence.stores.postgres.address import parse_address
from ringfence.stores.postgres.database import PostgresDatabase
from ringfence.stores.postgres.dial import Dial, open_driver
from ringfence.stores.redis.server import open_keyspace
from ringfence.stores.redis.shared import RedisShared
from ringfence.stores.sql_blocks import SqlBlocks
from ringfence.stores.sql_counters import SqlCounters
from ringfence.stores.sqlite import SQLiteFile

REDIS = {"redis": "valkey_server", "redis-cluster": "valkey_nodes"}
"""Kinds, and the fixtures that serve them."""

EVERYWHERE = tuple(Charge(b"%d" % number, 1, 1.0) for number in range(50))
"""Budgets of which there are some on each node."""

_NUMBERS = count()


@asynccontextmanager
async def in_redis(server):
    """Yield what makes a fresh store there; with a clock, its time is the clock's."""
    keyspace = open_keyspace(f"{server.url}?timeout=20")  # a busy machine is no fault
    await keyspace.start()

    def make(clock=None, *, wrap=lambda keyspace: keyspace):
        prefix = b"ringfence:%d:" % next(_NUMBERS)
        if clock is None:
            return RedisShared(wrap(keyspace), prefix)
        return RedisShared(ClockedKeyspace(wrap(keyspace), clock), prefix, time=TIME)

    try:
        # To a node that does not know its script yet it comes a round trip later.
        await make().counters("limits").give_back(EVERYWHERE, 0.0)
        yield make
    finally:
        await keyspace.stop()


class FreshSql:
    """Counters of a shelf of their own, and an empty list of blocks."""

    def __init__(self, database, clock, clear):
        self._database = database
        self._clock = clock
        self._clear = clear

    def counters(self, shelf):
        """Return counters that nobody has counted with."""
        return SqlCounters(self._database, f"{shelf} {next(_NUMBERS)}", self._clock)

    @property
    def blocks(self):
        """Return a list without blocks."""
        self._clear()
        return SqlBlocks(self._database, self._clock)


@asynccontextmanager
async def in_postgres(server):
    """Yield what makes a fresh store there, by a clock of the test's."""
    with server.database() as made:
        address = parse_address(made.url("psycopg") + "&timeout=20")
        dial = Dial(open_driver(address), address)
        database = PostgresDatabase(address, dial, StoreClock())
        await database.open()
        try:
            yield lambda clock: FreshSql(database, clock, partial(empty, made))
        finally:
            await database.close()


@asynccontextmanager
async def in_file(_):
    """The same in a file of SQLite."""
    with TemporaryDirectory() as folder:
        file = SQLiteFile(Path(folder) / "shared.db", is_durable=False)
        await file.open()

        def clear():
            with closing(sqlite3.connect(file.path)) as connection, connection:
                connection.execute("DELETE FROM ringfence_blocks")
                connection.execute("DELETE FROM ringfence_block_versions")

        try:
            yield lambda clock: FreshSql(file, clock, clear)
        finally:
            await file.close()


SQL = {"sqlite": (in_file, None), "postgres": (in_postgres, "postgres_server")}
"""Kinds, how they are opened, and the fixtures that serve them."""
