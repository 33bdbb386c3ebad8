"""The stores that the contract suites run against: a new store adds a line here."""

import pytest

from ringfence.stores.open import open_stores
from ringfence.stores.sql import SqlSessionStore


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
