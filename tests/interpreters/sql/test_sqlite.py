"""sqlite3 and aiosqlite ask before a statement runs."""

import contextlib
import functools
import sqlite3
import sys

import aiosqlite
import pytest
from tests.interpreters.asking import asking

from ringfence import sql
from ringfence.errors import InjectionRefusedError
from ringfence.interpreters.sql.drivers import aiosqlite as aiosqlite_guard
from ringfence.interpreters.sql.drivers import sqlite as guard

guard.arm()
aiosqlite_guard.arm()

ATTACK = "x' OR 'a'='a"


@pytest.fixture
def anyio_backend():
    return "asyncio"


def written():
    return f"SELECT * FROM users WHERE name='{ATTACK}'"


def request():
    return asking(query=b"q=x' OR 'a'%3D'a")


@contextlib.contextmanager
def opened(*args, **kwargs):
    with contextlib.closing(sqlite3.connect(":memory:", *args, **kwargs)) as db:
        db.execute("CREATE TABLE users (name)")
        yield db


class OwnCursor(sqlite3.Cursor):
    ran = 0

    def execute(self, *args):
        OwnCursor.ran += 1
        return super().execute(*args)


class OwnConnection(sqlite3.Connection):
    def cursor(self, factory=OwnCursor):
        return super().cursor(factory)


WAYS = (
    lambda db: db.execute(written()),
    lambda db: db.executemany(written(), []),
    lambda db: db.executescript(written()),
    lambda db: db.cursor().execute(written()),
    lambda db: db.cursor().executemany(written(), []),
    lambda db: db.cursor().executescript(written()),
    lambda db: db.cursor(OwnCursor).execute(written()),
    lambda db: db.cursor(factory=OwnCursor).execute(written()),
)
FACTORIES = (
    ((), {}),
    ((), {"factory": OwnConnection}),
    ((5.0, 0, None, True, OwnConnection), {}),
)


# Python 3.13 says so of the factory, and goes on.
@pytest.mark.filterwarnings("ignore:Passing more than 1 positional:DeprecationWarning")
@pytest.mark.parametrize(("args", "kwargs"), FACTORIES)
@pytest.mark.parametrize("way", WAYS)
def test_every_way_asks(way, args, kwargs):
    with opened(*args, **kwargs) as db:
        with contextlib.suppress(sqlite3.ProgrammingError):  # many SELECTs are none
            way(db)  # nobody is being answered
        with request(), pytest.raises(InjectionRefusedError):
            way(db)


def test_own_classes_stay_what_they_are():
    with opened(factory=OwnConnection) as db:
        before = OwnCursor.ran
        assert isinstance(db, OwnConnection)
        assert type(db).__name__ == "OwnConnection"
        cursor = db.execute("SELECT 1")
        assert isinstance(cursor, OwnCursor)
        assert OwnCursor.ran == before + 1
        assert cursor.fetchone() == (1,)


def test_everyday_use_is_unchanged():
    with opened() as db, request():
        assert db.execute("INSERT INTO users VALUES (?)", (ATTACK,)).rowcount == 1
        cursor = db.executemany(
            "INSERT INTO users VALUES (:name)", ({"name": name} for name in "ab")
        )
        assert cursor.rowcount == 2
        assert list(db.execute("SELECT name FROM users")) == [(ATTACK,), ("a",), ("b",)]
        with db:
            db.executescript("DELETE FROM users; INSERT INTO users VALUES ('c')")
        db.row_factory = sqlite3.Row
        assert db.execute("SELECT name FROM users").fetchone()["name"] == "c"
        assert isinstance(db, sqlite3.Connection)


def test_connect_is_guarded_wherever_it_was_imported():
    assert sqlite3.connect is sqlite3.dbapi2.connect is guard.connect
    module = type(sys)("an_early_importer")
    module.connect = guard._plain_connect  # as ``from sqlite3 import``
    sys.modules[module.__name__] = module
    try:
        guard.arm()
    finally:
        del sys.modules[module.__name__]
    assert module.connect is guard.connect


def test_a_factory_of_cursors_that_is_no_class_is_told():
    with opened() as db, pytest.raises(TypeError, match="let it be a class"):
        db.cursor(functools.partial(sqlite3.Cursor))


def test_watch_says_what_cannot_be_guarded():
    with opened() as db:
        assert sql.watch(db) is db
    plain = sqlite3.Connection(":memory:")
    with (
        contextlib.closing(plain),
        pytest.raises(TypeError, match="before ringfence was imported"),
    ):
        sql.watch(plain)
    with pytest.raises(TypeError, match="cannot be judged"):
        sql.watch(object())


ASYNC_WAYS = (
    lambda db: db.execute(written()),
    lambda db: db.execute(sql=written()),
    lambda db: db.executemany(written(), []),
    lambda db: db.executescript(written()),
    lambda db: db.execute_fetchall(written()),
    lambda db: db.execute_insert(written()),
)


@pytest.mark.anyio
@pytest.mark.parametrize("way", ASYNC_WAYS)
async def test_aiosqlite_asks_where_the_coroutine_calls(way):
    async with aiosqlite.connect(":memory:") as db:
        await db.execute("CREATE TABLE users (name)")
        with request(), pytest.raises(InjectionRefusedError):
            await way(db)
        cursor = await db.cursor()
        with request(), pytest.raises(InjectionRefusedError):
            await cursor.execute(written())
        assert sql.watch(db) is db


@pytest.mark.anyio
async def test_aiosqlite_runs_what_is_bound():
    async with aiosqlite.connect(":memory:") as db:
        with request():
            async with db.execute("SELECT ?", (ATTACK,)) as cursor:
                assert await cursor.fetchone() == (ATTACK,)
            async with db.execute("SELECT :a", parameters={"a": 1}) as cursor:
                assert await cursor.fetchone() == (1,)
