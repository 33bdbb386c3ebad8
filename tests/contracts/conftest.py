"""The stores that the contract suites run against: a new store adds a line here."""

from shutil import copy

import pytest
from tests.contracts.hinted import HintedStores
from tests.contracts.records import NOW, account
from tests.servers.tables import empty

from ringfence.stores.memory import MemoryStores, SessionsInMemory
from ringfence.stores.open import open_shared, open_stores
from ringfence.stores.postgres.address import parse_address
from ringfence.stores.postgres.stores import PostgresStores
from ringfence.stores.sql import SqlSessionStore
from ringfence.stores.sqlite import SQLiteStores, prepare


def open_sqlite(request):
    """The embedded default."""
    return open_stores(f"sqlite:///{file_of(request)}")


def open_shared_sql(request):
    """The SQL that every database shares, without SQLite's own read."""
    opened = open_sqlite(request)
    opened.sessions = SqlSessionStore(opened._file)
    return opened


def open_memory(_):
    """Nothing on the disk."""
    return open_stores("memory://")


def open_memory_beside(request):
    """Sessions in memory, their accounts in SQLite."""
    return open_stores(f"sqlite:///{file_of(request)}", sessions="memory")


def open_psycopg(request):
    """A real PostgreSQL, through psycopg."""
    return open_stores(patient(request, "psycopg"))


def open_asyncpg(request):
    """The same through asyncpg."""
    return open_stores(patient(request, "asyncpg"))


def open_redis(request):
    """Copies in a real Valkey, before SQLite."""
    return HintedStores(open_sqlite(request), shared_at(request, "valkey"))


def open_redis_cluster(request):
    """The same in a cluster."""
    return HintedStores(open_sqlite(request), shared_at(request, "valkey_cluster"))


def open_redis_and_postgres(request):
    """What large sites run."""
    return HintedStores(open_psycopg(request), shared_at(request, "valkey"))


def patient(request, driver):
    """Return the URL of an empty PostgreSQL that is waited for: what is tested is not
    how busy the machine is."""
    url = request.getfixturevalue("emptied").url(driver)
    return f"{url}&timeout=20&connect_timeout=20"


def shared_at(request, server):
    # Patient, too.
    return open_shared(request.getfixturevalue(server).url + "?timeout=10")


def file_of(request):
    """Return a file of the test's own, empty and migrated already: that takes longer
    than a test."""
    path = request.getfixturevalue("tmp_path") / "contract.db"
    copy(request.getfixturevalue("migrated_file"), path)
    return path


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory):
    """A file with the tables and nothing in them."""
    path = tmp_path_factory.mktemp("migrated") / "contract.db"
    prepare(path)
    return path


@pytest.fixture(scope="session")
def migrated(postgres_server):
    """One database for all stores: migrating takes longer than a test."""
    with postgres_server.database() as database:
        yield database


@pytest.fixture
def emptied(migrated):
    """That database, with nothing in it."""
    yield migrated
    empty(migrated)


STORES = {
    "sqlite": open_sqlite,
    "shared-sql": open_shared_sql,
    "memory": open_memory,
    "memory-beside-sqlite": open_memory_beside,
    "postgres": open_psycopg,
    "postgres-asyncpg": open_asyncpg,
    "redis": open_redis,
    "redis-cluster": open_redis_cluster,
    "redis-postgres": open_redis_and_postgres,
}


@pytest.fixture(params=STORES)
async def stores(request, anyio_backend):
    """A fresh, open store of each kind."""
    opened = STORES[request.param](request)
    await opened.start()
    yield opened
    await opened.stop()


DATABASES = ("sqlite", "memory", "postgres")


@pytest.fixture(params=DATABASES)
async def databases(request, anyio_backend):
    """A fresh, open store of each kind that keeps things itself, with ann and bob. What
    stands before a database hands factors, grants, keys and links through."""
    opened = STORES[request.param](request)
    await opened.start()
    for name in ("ann", "bob"):
        await opened.accounts.add(account(name))
    yield opened
    await opened.stop()


class FakeClock:
    """Stands still until a test moves it."""

    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now

    def steady(self):
        return self.now

    def hear(self, said, asked, answered):
        """Be told nothing: the test has the say."""


@pytest.fixture
def clock():
    return FakeClock()


def in_file(request, clock):
    return SQLiteStores(file_of(request), clock)


def in_postgres(request, clock):
    return PostgresStores(parse_address(patient(request, "psycopg")), clock)


TIMED = {
    "sqlite": in_file,
    "memory": lambda _, clock: MemoryStores(clock=clock),
    "memory-beside-sqlite": lambda *kept: SessionsInMemory(in_file(*kept)),
    "postgres": in_postgres,
    "redis": lambda request, clock: HintedStores(
        in_file(request, clock), shared_at(request, "valkey")
    ),
    "redis-cluster": lambda request, clock: HintedStores(
        in_file(request, clock), shared_at(request, "valkey_cluster")
    ),
}
"""The same, by a clock that a test moves."""


@pytest.fixture(params=TIMED)
async def timed_stores(request, clock, anyio_backend):
    """A fresh, open store of each kind, with ``clock``."""
    opened = TIMED[request.param](request, clock)
    await opened.start()
    yield opened
    await opened.stop()
