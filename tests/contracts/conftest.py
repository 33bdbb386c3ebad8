"""The stores that the contract suites run against: a new store adds a line here."""

import pytest
from tests.contracts.records import NOW

from ringfence.stores.memory import MemoryStores, SessionsInMemory
from ringfence.stores.open import open_stores
from ringfence.stores.sql import SqlSessionStore
from ringfence.stores.sqlite import SQLiteStores


def open_sqlite(folder):
    """The embedded default."""
    return open_stores(f"sqlite:///{folder / 'contract.db'}")


def open_shared_sql(folder):
    """The SQL that every database shares, without SQLite's own read."""
    opened = open_sqlite(folder)
    opened.sessions = SqlSessionStore(opened._file)
    return opened


def open_memory(_):
    """Nothing on the disk."""
    return open_stores("memory://")


def open_memory_beside(folder):
    """Sessions in memory, their accounts in SQLite."""
    return open_stores(f"sqlite:///{folder / 'contract.db'}", sessions="memory")


STORES = {
    "sqlite": open_sqlite,
    "shared-sql": open_shared_sql,
    "memory": open_memory,
    "memory-beside-sqlite": open_memory_beside,
}


@pytest.fixture(params=STORES)
async def stores(request, tmp_path, anyio_backend):
    """A fresh, open store of each kind."""
    opened = STORES[request.param](tmp_path)
    await opened.start()
    yield opened
    await opened.stop()


class FakeClock:
    """Stands still until a test moves it."""

    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return FakeClock()


TIMED = {
    "sqlite": lambda folder, clock: SQLiteStores(folder / "contract.db", clock),
    "memory": lambda _, clock: MemoryStores(clock=clock),
    "memory-beside-sqlite": lambda folder, clock: SessionsInMemory(
        SQLiteStores(folder / "contract.db", clock)
    ),
}
"""The same, by a clock that a test moves."""


@pytest.fixture(params=TIMED)
async def timed_stores(request, tmp_path, clock, anyio_backend):
    """A fresh, open store of each kind, with ``clock``."""
    opened = TIMED[request.param](tmp_path, clock)
    await opened.start()
    yield opened
    await opened.stop()
