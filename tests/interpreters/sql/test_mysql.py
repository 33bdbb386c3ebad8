"""PyMySQL, aiomysql and asyncmy ask before anything is sent.

No server of MySQL comes from a package index: these are the drivers' own classes, of
which only what writes to the socket and reads from it is replaced.
"""

import inspect
import json

import aiomysql
import asyncmy
import pymysql
import pytest
from tests.interpreters.asking import asking

from ringfence.errors import InjectionRefusedError
from ringfence.interpreters.sql.drivers import mysql as guard

guard.arm()

ATTACK = "' OR '1'='1"
LOOPS = {"asyncio": {}, "uvloop": {"use_uvloop": True}}
HONEST = [
    "O'Brien",
    "🧑🏽‍🌾 Ζωή",
    "SELECT * FROM users -- a lesson",
    "a\\b",
    "%s",
    "?",
    "",
]
BOUND = "SELECT * FROM users WHERE email = %s"
INSERT = "INSERT INTO users VALUES (%s)"

pytestmark = pytest.mark.anyio


@pytest.fixture(params=LOOPS)
def anyio_backend(request):
    return "asyncio", LOOPS[request.param]


def sent(**values):
    """What runs inside belongs to a request that has brought this JSON."""
    return asking(json.dumps(values).encode(), content_type=b"application/json")


def written(email):
    """A statement as the guide's developer writes it."""
    return f"SELECT * FROM users WHERE email='{email}'"


class OnTheWire:
    """Notes the texts that would be sent, and answers that no row was touched."""

    _affected_rows = 0

    def note(self, command, text):
        self.__dict__.setdefault("texts", []).append(
            text if isinstance(text, str) else text.decode()
        )


class Synchronous(OnTheWire, pymysql.connections.Connection):
    server_status = 0

    def _execute_command(self, command, sql):
        self.note(command, sql)

    def _read_query_result(self, **_):
        self._result = pymysql.connections.MySQLResult(self)
        self._result.affected_rows = 0


class OfAiomysql(OnTheWire, aiomysql.connection.Connection):
    server_status = 0

    async def _execute_command(self, command, sql):
        self.note(command, sql)

    async def _read_query_result(self, **_):
        self._result = aiomysql.connection.MySQLResult(self)
        self._result.affected_rows = 0

    def _ensure_alive(self):
        pass

    def close(self):
        pass


class OfAsyncmy(OnTheWire, asyncmy.connection.Connection):
    async def _execute_command(self, command, sql):
        self.note(command, sql)

    async def _read_query_result(self, **_):
        self._result = asyncmy.connection.MySQLResult(self)


async def of(made):
    return await made if inspect.isawaitable(made) else made


async def cursor_of(connection):
    return await of(connection.cursor())


MADE = {
    "pymysql": lambda: Synchronous(defer_connect=True),
    "aiomysql": OfAiomysql,
    "asyncmy": OfAsyncmy,
}


@pytest.fixture(params=MADE)
def connection(request, anyio_backend):
    return MADE[request.param]


WAYS = {
    "execute": lambda cursor, text: cursor.execute(text),
    "by name": lambda cursor, text: cursor.execute(query=text),
    "executemany": lambda cursor, text: cursor.executemany(text, [()]),
    "query": lambda cursor, text: cursor.connection.query(text),
    "bytes": lambda cursor, text: cursor.connection.query(text.encode()),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_each_way_asks(connection, way):
    """... and sends where nobody is being answered."""
    connection = connection()
    cursor = await cursor_of(connection)
    await of(way(cursor, written(ATTACK)))
    assert connection.texts == [written(ATTACK)]
    with sent(email=ATTACK), pytest.raises(InjectionRefusedError):
        await of(way(cursor, written(ATTACK)))
    assert len(connection.texts) == 1
    with sent(email="a@example.com"):
        await of(way(cursor, written("a@example.com")))
    assert len(connection.texts) == 2


async def test_bound_values_pass_and_are_merged(connection):
    connection = connection()
    cursor = await cursor_of(connection)
    for value in HONEST:
        merged = BOUND % connection.escape(value)
        with sent(email=value, words=["select", "from", "users"]):
            await of(cursor.execute(BOUND, [value]))
            assert connection.texts[-1] == merged
            await of(cursor.executemany(INSERT, [[value], [value]]))
            assert connection.texts[-1].count(connection.escape(value)) == 2


async def test_an_input_in_a_template_with_parameters(connection):
    """What is bound may be anything; what was written into the template may not."""
    connection = connection()
    cursor = await cursor_of(connection)
    with sent(email=ATTACK, city="x"), pytest.raises(InjectionRefusedError):
        await of(cursor.execute(written(ATTACK) + " AND city = %s", ["x"]))
    with sent(email=ATTACK, city="x"), pytest.raises(InjectionRefusedError):
        await of(cursor.executemany(written(ATTACK) + " AND city = %s", [["x"], ["y"]]))
    assert not hasattr(connection, "texts")


QUOTED = "SELECT * FROM users WHERE email = '%s'"


@pytest.mark.parametrize("given", [[" OR 1=1 -- "], (" OR 1=1 -- ",)])
async def test_a_placeholder_within_quotes(connection, given):
    """The driver brings quotes of its own: the value stands outside of both."""
    connection = connection()
    cursor = await cursor_of(connection)
    await of(cursor.execute(QUOTED, given))
    assert connection.texts[-1].endswith("'' OR 1=1 -- ''")
    with sent(email=" OR 1=1 -- "), pytest.raises(InjectionRefusedError):
        await of(cursor.execute(QUOTED, given))
    with sent(id="7"):
        await of(cursor.execute("SELECT * FROM users WHERE id = '%s'", [7]))
    assert connection.texts[-1].endswith("'7'")


async def test_an_input_that_is_a_placeholder(connection):
    connection = connection()
    cursor = await cursor_of(connection)
    name, city = "%(city)s", " OR 1=1 -- "
    mixed = f"SELECT * FROM users WHERE name='{name}' AND city=%(city)s"
    await of(cursor.execute(mixed, {"city": city}))
    assert "name='' OR 1=1 -- ''" in connection.texts[-1]
    with sent(name=name, city=city), pytest.raises(InjectionRefusedError):
        await of(cursor.execute(mixed, {"city": city}))


async def test_percent_signs_of_an_honest_template(connection):
    connection = connection()
    cursor = await cursor_of(connection)
    with sent(q="it's"):
        await of(cursor.execute("SELECT '100%%', %s -- 5%% off", ["it's"]))
    assert connection.texts[-1].startswith("SELECT '100%'")


async def test_backslashes_by_the_setting_of_the_server(connection):
    """Where plain literals know no escapes, an input must not count on them."""
    connection = connection()
    cursor = await cursor_of(connection)
    name = "\\' OR 1=1 -- "
    with sent(name=name), pytest.raises(InjectionRefusedError):
        await of(cursor.execute(f"SELECT * FROM users WHERE name='{name}'"))


async def test_procedures(connection):
    """Their names are not quoted by every driver."""
    connection = connection()
    cursor = await cursor_of(connection)
    with sent(name="pay", other="call"):
        await of(cursor.callproc("tidy_up", ["it's"]))
    assert connection.texts[-1].startswith("CALL ")
    count = len(connection.texts)
    with sent(name="x(); DROP TABLE users"), pytest.raises(InjectionRefusedError):
        await of(cursor.callproc("x(); DROP TABLE users"))
    assert len(connection.texts) == count


class Own(asyncmy.cursors.DictCursor):
    pass


@pytest.mark.parametrize(
    "kind", [asyncmy.cursors.DictCursor, asyncmy.cursors.SSCursor, Own]
)
async def test_cursors_of_asyncmy_keep_their_class(kind):
    """They are compiled; a connection hands out a class that asks, made of theirs."""
    connection = OfAsyncmy()
    cursor = connection.cursor(kind)
    assert isinstance(cursor, kind)
    with sent(email=ATTACK), pytest.raises(InjectionRefusedError):
        await cursor.execute(written(ATTACK))
    assert type(connection.cursor(kind)) is type(cursor)


async def test_cursors_of_asyncmy_that_an_application_makes():
    """Behind a cursor that does not ask, its connection judges what is merged."""
    cursor = asyncmy.cursors.Cursor(OfAsyncmy())
    with sent(email=ATTACK), pytest.raises(InjectionRefusedError):
        await cursor.execute(written(ATTACK))
    with sent(email="O'Brien"):
        await cursor.execute(BOUND, ["O'Brien"])


async def test_prepared_statements_of_asyncmy_ask():
    connection = OfAsyncmy()
    with sent(email=ATTACK), pytest.raises(InjectionRefusedError):
        await connection.prepare(written(ATTACK))
