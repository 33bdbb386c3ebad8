"""asyncpg asks before anything is sent, by whichever of its ways, on both loops."""

import io
import json

import asyncpg
import pytest
from tests.interpreters.asking import asking

from ringfence.errors import InjectionRefusedError
from ringfence.interpreters.sql.drivers import asyncpg as guard

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

pytestmark = pytest.mark.anyio


@pytest.fixture(params=LOOPS)
def anyio_backend(request):
    return "asyncio", LOOPS[request.param]


@pytest.fixture
async def connection(postgres):
    opened = await asyncpg.connect(**postgres.arguments)
    await opened.execute("CREATE TABLE users (email text)")
    await opened.execute("INSERT INTO users VALUES ('a@example.com'), ('b@x.org')")
    yield opened
    await opened.close()


def sent(**values):
    """What runs inside belongs to a request that has brought this JSON."""
    return asking(json.dumps(values).encode(), content_type=b"application/json")


def written(email):
    """A statement as the guide's developer writes it."""
    return f"SELECT * FROM users WHERE email='{email}'"


async def walked(connection, text):
    async with connection.transaction():
        return [row async for row in connection.cursor(text)]


async def exported(connection, text):
    output = io.BytesIO()
    await connection.copy_from_query(text, output=output)
    return output.getvalue()


async def imported(connection, text):
    """The condition of a COPY is written behind it."""
    where = text.partition("WHERE ")[2]
    source = io.BytesIO(b"new@example.com\n")
    await connection.copy_to_table("users", source=source, where=where)


async def imported_records(connection, text):
    where = text.partition("WHERE ")[2]
    records = [("new@example.com",)]
    await connection.copy_records_to_table("users", records=records, where=where)


WAYS = {
    "execute": lambda connection, text: connection.execute(text),
    "by name": lambda connection, text: connection.execute(query=text),
    "executemany": lambda connection, text: connection.executemany(text, [()]),
    "fetch": lambda connection, text: connection.fetch(text),
    "fetchrow": lambda connection, text: connection.fetchrow(text),
    "fetchval": lambda connection, text: connection.fetchval(text),
    "fetchmany": lambda connection, text: connection.fetchmany(text, [()]),
    "prepare": lambda connection, text: connection.prepare(text),
    "cursor": walked,
    "copy_from_query": exported,
    "copy_to_table": imported,
    "copy_records_to_table": imported_records,
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_each_way_asks(connection, way):
    """... and works where nobody is being answered."""
    await way(connection, written(ATTACK))
    with sent(email=ATTACK), pytest.raises(InjectionRefusedError):
        await way(connection, written(ATTACK))
    with sent(email="a@example.com"):
        await way(connection, written("a@example.com"))


async def test_pools_ask(postgres, connection):
    """... and need no permission for what they send themselves."""
    async with asyncpg.create_pool(
        **postgres.arguments, min_size=1, max_size=1
    ) as pool:
        with sent(email=ATTACK), pytest.raises(InjectionRefusedError):
            await pool.fetch(written(ATTACK))
        with sent(email=ATTACK, words=["all", "close", "reset", "select", "begin"]):
            async with pool.acquire() as proxy, proxy.transaction():
                with pytest.raises(InjectionRefusedError):
                    await proxy.fetch(written(ATTACK))
            found = await pool.fetch("SELECT * FROM users WHERE email = $1", ATTACK)
    assert found == []


async def test_what_asyncpg_writes_itself_passes(connection):
    """An honest word of a request may be a word of it."""
    words = ["begin", "commit", "rollback", "savepoint", "to", "read only", "listen"]
    outer = connection.transaction(isolation="serializable", readonly=True)
    with sent(words=[*words, "isolation", "unlisten", "close all", "all", ";"]):
        async with outer, connection.transaction():
            assert await connection.fetchval("SELECT 1") == 1
        begun = connection.transaction()
        await begun.start()
        await begun.rollback()
        await connection.add_listener("close all", print)
        await connection.remove_listener("close all", print)
        await connection.reset()


async def test_bound_values_pass_unchanged(connection):
    for value in HONEST:
        with sent(email=value):
            await connection.execute("INSERT INTO users VALUES ($1)", value)
            statement = await connection.prepare("SELECT * FROM users WHERE email = $1")
            found = await statement.fetch(value)
        assert [tuple(row) for row in found] == [(value,)]


async def test_placeholders_in_literals_where_asyncpg_merges(connection):
    """An input that is a placeholder brings another one out of its quotes: the attack
    works with nobody being answered, and is refused."""
    name, city = "$1", " OR 1=1 --"
    start = "SELECT * FROM users WHERE email='" + name
    mixed = start + "' OR email=$1\n"

    async def export(text, given):
        output = io.BytesIO()
        await connection.copy_from_query(text, given, output=output)
        return output.getvalue().splitlines()

    assert len(await export(mixed, city)) == 2
    with sent(name=name, city=city), pytest.raises(InjectionRefusedError):
        await export(mixed, city)
    with sent(
        name="x", city="a@example.com", words=["select", "text", "quote_literal"]
    ):
        found = await export("SELECT * FROM users WHERE email=$1", "a@example.com")
    assert found == [b"a@example.com"]


async def test_backslashes_by_the_setting_of_the_server(connection):
    """Where plain literals know escapes, one input can hide the end of its literal."""
    name, city = "\\", " OR 1=1 --"
    statement = f"SELECT * FROM users WHERE email='{name}' AND email='{city}'"
    with sent(name=name, city=city):
        assert await connection.execute(statement) == "SELECT 0"
    await connection.execute("SET standard_conforming_strings = off")
    assert await connection.execute(statement) == "SELECT 2"
    with sent(name=name, city=city), pytest.raises(InjectionRefusedError):
        await connection.fetch(statement)
