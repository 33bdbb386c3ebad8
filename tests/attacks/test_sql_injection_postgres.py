"""SQL injection on a real PostgreSQL, through each driver and on both loops (CWE-89).

The guide's handler, and one for each place of a statement that input gets written to.
"""

import time
from contextlib import asynccontextmanager

import asyncpg
import httpx2
import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse
from starlette.routing import Route
from tests.attacks.serving import lifespan

from ringfence import Guard, Settings, access

LOOPS = {"asyncio": {}, "uvloop": {"use_uvloop": True}}
_Q = "'"
SECRET = "admins-own-key"
TABLES = f"""
DROP TABLE IF EXISTS users, secrets;
CREATE TABLE users (id int, email text);
INSERT INTO users VALUES (1, 'alice@example.com'), (2, 'admin@example.com');
CREATE TABLE secrets (id int, value text);
INSERT INTO secrets VALUES (1, '{SECRET}');
"""

# How developers write input into a statement; the first is the guide's.
WRITTEN = {
    "login": lambda v: f"SELECT * FROM users WHERE email='{v}'",
    "number": lambda v: f"SELECT * FROM users WHERE id={v}",
    "like": lambda v: f"SELECT * FROM users WHERE email LIKE '%{v}%'",
    "list": lambda v: f"SELECT * FROM users WHERE id IN ({v})",
    "sorted": lambda v: f"SELECT id FROM users ORDER BY {v}",
    "limited": lambda v: f"SELECT * FROM users WHERE id > 8 LIMIT {v}",
    "quoted": lambda v: 'SELECT * FROM users WHERE id > 8 ORDER BY "' + v + '"',
    "dollars": lambda v: f"SELECT * FROM users WHERE email=$${v}$$",
    "tagged": lambda v: f"SELECT * FROM users WHERE email=$q${v}$q$",
    "doubled": lambda v: f"SELECT * FROM users WHERE email=E'{v.replace(_Q, _Q * 2)}'",
    "remark": lambda v: f"SELECT * FROM users WHERE id > 8 /* for {v} */",
    "line": lambda v: f"SELECT * FROM users WHERE id > 8 -- for {v}",
}

# One text each: a payload that were a constant here would count as text of the
# application's own. The guide's two come first.
LEAKING = """\
login: ' OR '1'='1
login: ' UNION SELECT id, value FROM secrets --
login: ' UNION/**/SELECT/**/id,value/**/FROM/**/secrets--
login: '||(SELECT value FROM secrets)::int||'
number: 0 OR 1=1
number: 0 UNION SELECT id, value FROM secrets
like: %' OR email LIKE '
list: 0) UNION SELECT id, value FROM secrets --
sorted: (SELECT value FROM secrets)::int
limited: (SELECT value::int FROM secrets)
quoted: id" LIMIT (SELECT value::int FROM secrets) --
dollars: $$ OR $$1$$=$$1
tagged: $q$ UNION SELECT id, value FROM secrets --
doubled: \\' OR 1=1 --
remark: */ OR 1=1 /*
line: me<NEWLINE> OR 1=1
"""
# What only drivers can do that send without preparing.
DROPPING = """\
login: '; DROP TABLE users; --
number: 0; DROP TABLE users
sorted: id; DROP TABLE users
dollars: $$; DROP TABLE users; --
"""


def payloads(lines):
    """The place in a statement, and what is written there."""
    pairs = [line.partition(": ") for line in lines.splitlines()]
    return [(place, value.replace("<NEWLINE>", "\n")) for place, _, value in pairs]


LEAKS, DROPS = payloads(LEAKING), payloads(DROPPING)
SLEPT = 0.1  # seconds
SLEEP = f"' OR (SELECT pg_sleep({SLEPT})) IS NULL --"

HONEST = [
    "alice@example.com",
    "O'Brien",
    "🧑🏽‍🌾 Ζωή, 張 & Ngũgĩ",
    "In SQL, ' OR '1'='1 makes a condition true",
    "'; DROP TABLE users; -- is the classic",
    "C:\\temp\\new",
    "1 or 2",
    "100%",
    "$$",
    "$1 %s :name ?",
    "",
]


class Driver:
    """A driver as an application uses it: a statement as text, and bound values."""

    stacks = True

    def __init__(self, database):
        self.database = database
        self.opened = None

    async def open(self):
        raise NotImplementedError

    async def rows(self, statement, *values):
        raise NotImplementedError

    async def close(self):
        await self.opened.close()


class PsycopgInThreads(Driver):
    bound = "SELECT %s"
    kind = psycopg.Cursor

    async def open(self):
        dsn = self.database.dsn
        self.opened = psycopg.connect(dsn, autocommit=True, cursor_factory=self.kind)

    async def rows(self, statement, *values):
        execute = self.opened.execute
        return (await run_in_threadpool(execute, statement, values or None)).fetchall()

    async def close(self):
        self.opened.close()


class PsycopgClientCursors(PsycopgInThreads):
    """They write the values into the text themselves."""

    kind = psycopg.ClientCursor


class PsycopgAsync(Driver):
    bound = "SELECT %s"

    async def open(self):
        connect = psycopg.AsyncConnection.connect
        self.opened = await connect(self.database.dsn, autocommit=True)

    async def rows(self, statement, *values):
        return await (await self.opened.execute(statement, values or None)).fetchall()


class Asyncpg(Driver):
    bound = "SELECT $1::text"
    stacks = False

    async def open(self):
        self.opened = await asyncpg.connect(**self.database.arguments)

    async def rows(self, statement, *values):
        return await self.opened.fetch(statement, *values)


class AsyncpgSimple(Asyncpg):
    """Without values, ``execute`` speaks the simple protocol: many statements."""

    stacks = True

    async def rows(self, statement, *values):
        if not values:
            await self.opened.execute(statement)
        return await super().rows(statement, *values)


class SqlalchemyInThreads(Driver):
    bound = "SELECT :value"

    async def open(self):
        self.opened = create_engine(self.database.url("psycopg"))

    def at_once(self, statement, given):
        with self.opened.connect() as connection:
            found = connection.execute(text(statement), given)
            rows = found.all() if found.returns_rows else []
            connection.commit()
        return rows

    async def rows(self, statement, *values):
        given = {"value": values[0]} if values else {}
        return await run_in_threadpool(self.at_once, statement, given)

    async def close(self):
        self.opened.dispose()


class SqlalchemyWithPsycopg(Driver):
    bound = "SELECT :value"
    name = "psycopg"

    async def open(self):
        self.opened = create_async_engine(self.database.url(self.name))

    async def rows(self, statement, *values):
        given = {"value": values[0]} if values else {}
        async with self.opened.connect() as connection:
            found = await connection.execute(text(statement), given)
            rows = found.all() if found.returns_rows else []
            await connection.commit()
        return rows

    async def close(self):
        await self.opened.dispose()


class SqlalchemyWithAsyncpg(SqlalchemyWithPsycopg):
    bound = "SELECT CAST(:value AS text)"
    name = "asyncpg"
    stacks = False


DRIVERS = {
    "psycopg in threads": PsycopgInThreads,
    "psycopg's client cursors": PsycopgClientCursors,
    "psycopg": PsycopgAsync,
    "asyncpg": Asyncpg,
    "asyncpg's simple protocol": AsyncpgSimple,
    "SQLAlchemy in threads": SqlalchemyInThreads,
    "SQLAlchemy on psycopg": SqlalchemyWithPsycopg,
    "SQLAlchemy on asyncpg": SqlalchemyWithAsyncpg,
}


def routes(driver):
    async def vulnerable(request):
        value = (await request.json())["value"]
        statement = WRITTEN[request.path_params["place"]](value)
        try:
            return JSONResponse([list(row) for row in await driver.rows(statement)])
        except Exception as error:  # noqa: BLE001 - as debug pages do
            return JSONResponse(str(error))

    async def bound(request):
        value = (await request.json())["value"]
        found = await driver.rows(driver.bound, value)
        return JSONResponse(found[0][0])

    return [
        Route("/written/{place}", vulnerable, methods=["POST"]),
        Route("/bound", bound, methods=["POST"]),
    ]


@asynccontextmanager
async def client_of(app):
    transport = httpx2.ASGITransport(app)
    async with (
        lifespan(app),
        httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        yield client


# Where a thread does the work, the loop makes no difference.
ASYNCHRONOUS = [name for name in DRIVERS if "thread" not in name and "'" not in name]
SIDES = [("asyncio", name) for name in DRIVERS]
SIDES += [("uvloop", name) for name in ASYNCHRONOUS]


@pytest.fixture(params=SIDES, ids="-".join)
def side(request):
    return request.param


@pytest.fixture
def anyio_backend(side):
    return "asyncio", LOOPS[side[0]]


@pytest.fixture
async def driver(side, postgres):
    driver = DRIVERS[side[1]](postgres)
    await driver.open()
    yield driver
    await driver.close()


@pytest.fixture
async def off(driver):
    """The handlers as their developer wrote them."""
    async with client_of(Starlette(routes=routes(driver))) as client:
        yield client


@pytest.fixture
async def on(driver, tmp_path):
    """The same behind the guard."""
    settings = Settings.load(
        env="development", data=tmp_path, identity={"enabled": False}
    )
    app = Starlette(routes=access.routes(routes(driver), access.public))
    async with client_of(Guard(app, settings)) as client:
        yield client


def tables(driver):
    with psycopg.connect(driver.database.dsn) as connection:
        connection.execute(TABLES)


def is_whole(driver):
    with psycopg.connect(driver.database.dsn) as connection:
        found = connection.execute("SELECT to_regclass('users')").fetchone()
    return found != (None,)


def leaked(answer):
    """What comes from rows that nobody has asked for."""
    return SECRET in answer.text or "admin@" in answer.text


async def send(client, place, value):
    return await client.post(f"/written/{place}", json={"value": value})


pytestmark = pytest.mark.anyio


async def test_attacks(driver, off, on):
    """Input that is more than one value does what it likes, until it is refused."""
    tables(driver)
    for place, attack in LEAKS:
        assert leaked(await send(off, place, attack)), (place, attack)
        answer = await send(on, place, attack)
        assert answer.status_code == 403, (place, attack, answer.text)
        assert answer.json()["code"] == "interpreters.sql"
    before = time.perf_counter()
    await send(
        off, "login", SLEEP
    )  # what is not shown can be asked by how long it takes
    assert time.perf_counter() - before >= SLEPT
    assert (await send(on, "login", SLEEP)).status_code == 403
    for place, attack in DROPS:
        assert (await send(on, place, attack)).status_code == 403, (place, attack)
        assert is_whole(driver)
        await send(off, place, attack)
        assert is_whole(driver) is not driver.stacks, (place, attack)
        tables(driver)


async def test_honest_values(driver, off, on):
    """Bound, everything passes as it is; written into a literal, what stays in it."""
    tables(driver)
    for value in HONEST:
        answer = await on.post("/bound", json={"value": value})
        assert (answer.status_code, answer.json()) == (200, value)
    for place, value in [
        ("login", "alice@example.com"),
        ("number", "1"),
        ("number", 1),
        ("like", "alice"),
        ("list", "1, 7"),
        ("dollars", "alice@example.com"),
        ("doubled", "alice@example.com"),
    ]:
        there, here = await send(off, place, value), await send(on, place, value)
        assert here.json() == there.json() == [[1, "alice@example.com"]], (
            place,
            here.text,
        )
    for place, value in [("doubled", "O'Brien"), ("remark", "me"), ("limited", "3")]:
        assert (await send(on, place, value)).json() == [], (place, value)
