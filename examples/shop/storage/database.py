"""One SQLite file in WAL mode: readers never wait, writers wait for each other, and
nobody finds what is another's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import Connection, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from examples.shop.storage.prepare import prepare
from examples.shop.storage.tables import Table
from ringfence.access.sqlalchemy import Database as OwnedDatabase

# A receipt that was shown survives a power cut, hence FULL.
PRAGMAS = ("busy_timeout = 5000", "synchronous = FULL", "foreign_keys = ON")


class Database:
    """Sessions on the shop's file, each for whoever has sent the request.

    A writing session takes the write lock with its first statement (``BEGIN
    IMMEDIATE``): what it read is still true when it writes. A deferred transaction
    would fail, or work with an old balance, when two people write at once.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.owned = OwnedDatabase(_engine(path), Table)

    async def prepare(self) -> None:
        """Bring the tables up to date and fill empty shelves, off the event loop."""
        await asyncio.to_thread(prepare, self.path)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """Commit at the end, or take everything back if something was raised."""
        begin = {"begin": "BEGIN IMMEDIATE"}
        async with (
            self.owned.session(execution_options=begin) as session,
            session.begin(),
        ):
            yield session


def _engine(path: Path) -> AsyncEngine:
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}", hide_parameters=True)
    event.listen(engine.sync_engine, "connect", _prepare_connection)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _prepare_connection(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # transactions begin where _begin says
    cursor = connection.cursor()
    for pragma in PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))
