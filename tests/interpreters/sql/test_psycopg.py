"""psycopg asks before anything is sent, by whichever of its ways."""

import json
import sys

import psycopg
import pytest
from psycopg import sql
from psycopg._compat import Interpolation, Template
from tests.interpreters.asking import asking

from ringfence.errors import InjectionRefusedError
from ringfence.interpreters.sql.drivers import psycopg as guard

guard.arm()

ATTACK = "' OR '1'='1"
LOOPS = {"asyncio": {}, "uvloop": {"use_uvloop": True}}
HONEST = [
    "O'Brien",
    "🧑🏽‍🌾 Ζωή",
    "SELECT * FROM users -- a lesson",
    "a\\b",
    "%s",
    "$1",
    "",
]


@pytest.fixture(params=LOOPS)
def anyio_backend(request):
    return "asyncio", LOOPS[request.param]


@pytest.fixture
def dsn(postgres):
    with psycopg.connect(postgres.dsn) as connection:
        connection.execute("CREATE TABLE users (email text)")
        connection.execute("INSERT INTO users VALUES ('a@example.com'), ('b@x.org')")
    return postgres.dsn


def sent(**values):
    """What runs inside belongs to a request that has brought this JSON."""
    return asking(json.dumps(values).encode(), content_type=b"application/json")


def written(email):
    """A statement as the guide's developer writes it."""
    return f"SELECT * FROM users WHERE email='{email}'"


def copied(email):
    return f"COPY ({written(email)}) TO STDOUT"


def rows_copied(cursor, statement, *parameters):
    with cursor.copy(statement, *parameters) as copy:
        return list(copy.rows())


async def rows_copied_async(cursor, statement, *parameters):
    async with cursor.copy(statement, *parameters) as copy:
        return [row async for row in copy.rows()]


WAYS = {
    "execute": lambda cursor, text: cursor.execute(text).fetchall(),
    "by name": lambda cursor, text: cursor.execute(query=text).fetchall(),
    "bytes": lambda cursor, text: cursor.execute(text.encode()).fetchall(),
    "SQL": lambda cursor, text: cursor.execute(sql.SQL(text)),
    "composed": lambda cursor, text: cursor.execute(sql.SQL("") + sql.SQL(text)),
    "executemany": lambda cursor, text: cursor.executemany(text, [()]),
    "stream": lambda cursor, text: list(cursor.stream(text)),
    "connection": lambda cursor, text: cursor.connection.execute(text),
    "copy": lambda cursor, text: rows_copied(cursor, f"COPY ({text}) TO STDOUT"),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_each_way_asks(dsn, way):
    """... and works where nobody is being answered."""
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        way(cursor, written(ATTACK))
        with sent(email=ATTACK), pytest.raises(InjectionRefusedError):
            way(cursor, written(ATTACK))
        assert connection.info.transaction_status == 2  # nothing was sent: no error
        with sent(email="a@example.com"):
            way(cursor, written("a@example.com"))


KINDS = {
    "client": psycopg.ClientCursor,
    "raw": psycopg.RawCursor,
    "own": type("Own", (psycopg.Cursor,), {}),
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_each_kind_of_cursor_asks(dsn, kind):
    with psycopg.connect(dsn, cursor_factory=kind) as connection:
        with sent(email=ATTACK), pytest.raises(InjectionRefusedError):
            connection.execute(written(ATTACK))
        with sent(email="b@x.org"):
            found = connection.execute(written("b@x.org")).fetchall()
    assert found == [("b@x.org",)]


@pytest.mark.parametrize("kind", [psycopg.ServerCursor, psycopg.RawServerCursor])
def test_server_cursors_ask(dsn, kind):
    """What psycopg puts before a statement, ``DECLARE``, is not judged."""
    with psycopg.connect(dsn) as connection, kind(connection, "declare") as cursor:
        with sent(email=ATTACK), pytest.raises(InjectionRefusedError):
            cursor.execute(written(ATTACK))
        with sent(email="b@x.org", other="declare"):
            assert cursor.execute(written("b@x.org")).fetchall() == [("b@x.org",)]


def test_pipelines_ask(dsn):
    with psycopg.connect(dsn) as connection, connection.pipeline():
        with sent(email=ATTACK), pytest.raises(InjectionRefusedError):
            connection.execute(written(ATTACK))
        with sent(email=ATTACK):
            found = connection.execute(
                "SELECT * FROM users WHERE email = %s", [ATTACK]
            ).fetchall()
    assert found == []


@pytest.mark.parametrize("kind", [psycopg.Cursor, psycopg.ClientCursor])
def test_bound_values_pass_unchanged(dsn, kind):
    with psycopg.connect(dsn, cursor_factory=kind) as connection:
        for value in HONEST:
            with sent(email=value):
                connection.execute("INSERT INTO users VALUES (%s)", [value])
                found = connection.execute(
                    "SELECT email FROM users WHERE email = %(email)s", {"email": value}
                ).fetchall()
            assert found == [(value,)]


def test_composed_values_pass_unchanged(dsn):
    """Identifiers and literals are quoted by psycopg, in whatever they are composed."""
    with psycopg.connect(dsn) as connection:
        for value in HONEST:
            statement = sql.SQL("SELECT {value} AS {name} FROM users LIMIT 1").format(
                value=sql.Literal(value), name=sql.Identifier(value or "nothing")
            )
            with sent(email=value, word="select"):
                assert connection.execute(statement).fetchall() == [(value,)]


def test_text_that_is_called_sql(dsn):
    """``sql.SQL`` of what is no constant is checked by a type hint only."""
    statement = sql.SQL("SELECT {} FROM users WHERE " + ATTACK[2:]).format(
        sql.Identifier("email")
    )
    with (
        psycopg.connect(dsn) as connection,
        sent(where=ATTACK[2:]),
        pytest.raises(InjectionRefusedError),
    ):
        connection.execute(statement)


class Unquoted(sql.Composable):
    """A kind of an application's own: how it comes out is what counts."""

    def as_bytes(self, context=None):
        return self._obj.encode()


def test_composables_of_an_application(dsn):
    statement = sql.SQL("SELECT * FROM users WHERE email = ") + Unquoted(f"'{ATTACK}'")
    with (
        psycopg.connect(dsn) as connection,
        sent(email=ATTACK),
        pytest.raises(InjectionRefusedError),
    ):
        connection.execute(statement)


def templated(*parts):
    """What the t-string of these parts is, for psycopg."""
    if sys.version_info >= (3, 14):
        return Template(*parts)
    kind = type("Template", (Template,), {"__iter__": lambda _: iter(parts)})
    template = object.__new__(kind)
    template.interpolations = [part for part in parts if not isinstance(part, str)]
    return template


def test_t_strings(dsn):
    """The fixed text of a t-string is judged; what it interpolates is quoted."""
    bound = Interpolation(ATTACK, "email", None, "")
    merged = Interpolation(ATTACK, "email", None, "l")
    named = Interpolation(ATTACK, "email", None, "i")
    nested = templated("SELECT ", bound, "::text")
    raw = Interpolation(sql.SQL(written(ATTACK)), "statement", None, "q")
    also_raw = Interpolation(templated(written(ATTACK)), "statement", None, "q")
    with psycopg.connect(dsn) as connection, sent(email=ATTACK):
        statement = templated("SELECT ", merged, " AS ", named)
        assert connection.execute(statement).fetchall() == [(ATTACK,)]
        statement = templated(Interpolation(nested, "nested", None, "q"))
        assert connection.execute(statement).fetchall() == [(ATTACK,)]
        for part in (raw, also_raw):
            with pytest.raises(InjectionRefusedError):
                connection.execute(templated(part))


def test_backslashes_by_the_setting_of_the_server(dsn):
    """Where plain literals know escapes, one input can hide the end of its literal."""
    name, city = "\\", " OR 1=1 --"
    statement = f"SELECT * FROM users WHERE email='{name}' AND email='{city}'"
    with psycopg.connect(dsn) as connection, sent(name=name, city=city):
        assert connection.execute(statement).fetchall() == []
        connection.execute("SET standard_conforming_strings = off")
        with pytest.raises(InjectionRefusedError):
            connection.execute(statement)
        connection.execute("SELECT 'a\\b', %s", [name])
    with psycopg.connect(dsn) as connection:
        connection.execute("SET standard_conforming_strings = off")
        assert len(connection.execute(statement).fetchall()) == 2


MERGING = [
    lambda connection, text, given: rows_copied(
        connection.cursor(), f"COPY ({text}) TO STDOUT", given
    ),
    lambda connection, text, given: psycopg.ClientCursor(connection).execute(
        text, given
    ),
]


@pytest.mark.parametrize("way", MERGING, ids=["copy", "client cursor"])
def test_placeholders_in_literals_where_psycopg_merges(dsn, way):
    """An input that is a placeholder brings another one out of its quotes: the attack
    works with nobody being answered, and is refused."""
    name, city = "%(city)s", " OR 1=1 --"
    mixed = "SELECT * FROM users WHERE email='" + name + "' OR email=%(city)s\n"
    given = {"city": city}
    with psycopg.connect(dsn) as connection:
        way(connection, mixed, given)
        with sent(name=name, city=city), pytest.raises(InjectionRefusedError):
            way(connection, mixed, given)
        with sent(name="x", city="it's"):
            way(
                connection, "SELECT * FROM users WHERE email=%(city)s", {"city": "it's"}
            )


ASYNC_WAYS = {
    "execute": lambda cursor, text: cursor.execute(text),
    "executemany": lambda cursor, text: cursor.executemany(text, [()]),
    "connection": lambda cursor, text: cursor.connection.execute(text),
    "copy": lambda cursor, text: rows_copied_async(cursor, f"COPY ({text}) TO STDOUT"),
}


@pytest.mark.anyio
@pytest.mark.parametrize("way", ASYNC_WAYS.values(), ids=ASYNC_WAYS)
async def test_each_asynchronous_way_asks(dsn, way):
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        cursor = connection.cursor()
        await way(cursor, written(ATTACK))
        with sent(email=ATTACK), pytest.raises(InjectionRefusedError):
            await way(cursor, written(ATTACK))
        with sent(email="a@example.com"):
            await way(cursor, written("a@example.com"))


@pytest.mark.anyio
async def test_asynchronous_streams_ask(dsn):
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        cursor = connection.cursor()
        with sent(email=ATTACK), pytest.raises(InjectionRefusedError):
            _ = [row async for row in cursor.stream(written(ATTACK))]
        with sent(email="b@x.org"):
            found = [row async for row in cursor.stream(written("b@x.org"))]
    assert found == [("b@x.org",)]


@pytest.mark.anyio
async def test_asynchronous_server_cursors_ask(dsn):
    async with (
        await psycopg.AsyncConnection.connect(dsn) as connection,
        connection.cursor("named") as cursor,
    ):
        with sent(email=ATTACK), pytest.raises(InjectionRefusedError):
            await cursor.execute(written(ATTACK))
        with sent(email="b@x.org"):
            await cursor.execute(written("b@x.org"))
        assert await cursor.fetchall() == [("b@x.org",)]


@pytest.mark.anyio
async def test_asynchronous_values_pass_unchanged(dsn):
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        for value in HONEST:
            with sent(email=value, word="begin", other="commit"):
                async with connection.transaction():
                    cursor = await connection.execute("SELECT %s::text", [value])
                    assert await cursor.fetchone() == (value,)
