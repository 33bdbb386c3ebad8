"""SQL injection: input becomes part of a statement (CWE-89), by each driver and way
of SQLite; with the guard off it works, with it on nothing of it reaches the database.
"""

import asyncio
import contextlib
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import aiosqlite
import pytest
import sqlalchemy
from sqlalchemy import Column, Integer, MetaData, String, Table, func, select, text
from sqlalchemy.ext.asyncio import create_async_engine
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse
from starlette.routing import Route
from tests.attacks.twins import twins

from ringfence import sql

# One text each, so that no handler of this file holds them as constants.
GUIDE, DROPPING = """\
' OR '1'='1
'; DROP TABLE users; --
""".splitlines()
MORE = """\
' UNION SELECT 9, password, email, role FROM users --
x' OR email LIKE '%' --
' OR 1=1 /*
""".splitlines()
SORTING = """\
(CASE WHEN (SELECT substr(password,1,1) FROM users WHERE id=1)='1' THEN id ELSE -id END)
password
id; DROP TABLE users
randomblob(9)
""".splitlines()
HONEST = """\
alice@example.com
nobody@example.com
1 or 2
SELECT * FROM users
DROP TABLE users
print("hello") # code
🙂 שלום Ζωή
a\\b\\
""".splitlines()
REFUSED = "interpreters.sql"

SCHEMA = """
DROP TABLE IF EXISTS users;
CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT, password TEXT, role TEXT);
INSERT INTO users VALUES (1, 'alice@example.com', '123456', 'user');
INSERT INTO users VALUES (2, 'bob@example.com', 'letmein', 'user');
INSERT INTO users VALUES (3, 'O''Brien', 'guinness', 'admin');
"""
USERS = Table(
    "users",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("email", String),
    Column("password", String),
    Column("role", String),
)


class Databases:
    file = ""
    engine = None
    async_engine = None
    pool = ThreadPoolExecutor(2)


def connect():
    return contextlib.closing(sqlite3.connect(Databases.file))


def answer(rows):
    return JSONResponse([list(row) for row in rows])


# Each of these is written as careless handlers are. ``given`` is what was sent.


async def with_sqlite3(given):
    with connect() as db:
        return db.execute(f"SELECT * FROM users WHERE email='{given}'").fetchall()


async def by_concatenation(given):
    with connect() as db:
        statement = "SELECT * FROM users WHERE email='" + given + "'"
        return db.cursor().execute(statement).fetchall()


async def by_percent(given):
    with connect() as db:
        return list(db.execute("SELECT * FROM users WHERE email='%s'" % given))  # noqa: UP031 - as they are written


async def by_format(given):
    with connect() as db:
        statement = "SELECT * FROM users WHERE email='{}'".format(given)  # noqa: UP032 - as they are written
        return list(db.execute(statement))


async def with_like(given):
    with connect() as db:
        return list(db.execute(f"SELECT * FROM users WHERE email LIKE '%{given}'"))


async def with_aiosqlite(given):
    async with aiosqlite.connect(Databases.file) as db:
        statement = f"SELECT * FROM users WHERE email='{given}'"
        return await db.execute_fetchall(statement)


async def with_cursor_of_aiosqlite(given):
    async with aiosqlite.connect(Databases.file) as db, db.cursor() as cursor:
        await cursor.execute(f"SELECT * FROM users WHERE email='{given}'")
        return await cursor.fetchall()


async def with_text(given):
    with Databases.engine.connect() as db:
        return db.execute(text(f"SELECT * FROM users WHERE email='{given}'")).all()


async def with_text_in_expressions(given):
    with Databases.engine.connect() as db:
        return db.execute(select(USERS).where(text(f"email='{given}'"))).all()


async def with_raw_connection(given):
    with Databases.engine.connect() as db:
        statement = f"SELECT * FROM users WHERE email='{given}'"
        return db.exec_driver_sql(statement).all()


async def with_async_engine(given):
    async with Databases.async_engine.connect() as db:
        found = await db.execute(text(f"SELECT * FROM users WHERE email='{given}'"))
        return found.all()


def blocking(given):
    with connect() as db:
        return db.execute(f"SELECT * FROM users WHERE email='{given}'").fetchall()


async def in_the_thread_pool(given):
    return await run_in_threadpool(blocking, given)


async def in_an_executor(given):
    """No context reaches a worker of a pool like this."""
    return await asyncio.wrap_future(Databases.pool.submit(blocking, given))


async def in_a_task(given):
    return await asyncio.create_task(with_sqlite3(given))


async def scripted(given):
    with connect() as db:
        db.executescript(f"UPDATE users SET role='x' WHERE email='{given}'")
        return db.execute("SELECT * FROM users WHERE role='x'").fetchall()


CONCATENATED = (
    with_sqlite3,
    by_concatenation,
    by_percent,
    by_format,
    with_like,
    with_aiosqlite,
    with_cursor_of_aiosqlite,
    with_text,
    with_text_in_expressions,
    with_raw_connection,
    with_async_engine,
    in_the_thread_pool,
    in_an_executor,
    in_a_task,
)


async def sorted_by(given):
    with connect() as db:
        return list(db.execute(f"SELECT id, email FROM users ORDER BY {given}"))


async def sorted_by_literal_column(given):
    order = sqlalchemy.literal_column(given)
    with Databases.engine.connect() as db:
        return db.execute(select(USERS.c.id, USERS.c.email).order_by(order)).all()


SORTED = (sorted_by, sorted_by_literal_column)


# Names that come as the keys of what was sent (CVE-2024-42005, CVE-2026-1207,
# CVE-2026-1287, CVE-2026-1312 in an object mapper of its own).


async def aliased(given):
    columns = ", ".join(f"{column} AS {alias}" for alias, column in given.items())
    with connect() as db:
        return list(db.execute(f"SELECT {columns} FROM users"))


async def filtered(given):
    tests = " AND ".join(f"{column} = ?" for column in given)
    with connect() as db:
        statement = f"SELECT * FROM users WHERE {tests}"
        return list(db.execute(statement, tuple(given.values())))


async def updated(given):
    changes = ", ".join(f"{column} = ?" for column in given)
    with connect() as db:
        statement = f"UPDATE users SET {changes} WHERE id = 1 RETURNING role"
        return list(db.execute(statement, tuple(given.values())))


async def reading_json(given):
    path = next(iter(given))
    with connect() as db:
        return list(
            db.execute(f"SELECT id, json_extract('{{}}', '$.{path}') FROM users")
        )


EXPANDED = {
    aliased: (
        {"name": "email"},
        {"x, password AS y": "email"},
    ),
    filtered: ({"email": "bob@example.com"}, {"1=1 OR email": "x"}),
    updated: ({"email": "new@example.com"}, {"role = 'admin', email": "x"}),
    reading_json: (
        {"name": 1},
        {"x'), (SELECT group_concat(password) FROM users) || ('": 1},
    ),
}


# What should have been written.


async def bound(given):
    with connect() as db:
        return list(db.execute("SELECT * FROM users WHERE email=?", (given,)))


async def bound_in_aiosqlite(given):
    async with aiosqlite.connect(Databases.file) as db:
        statement = "SELECT * FROM users WHERE email = :email"
        return await db.execute_fetchall(statement, {"email": given})


async def bound_in_text(given):
    statement = text("SELECT * FROM users WHERE email = :email")
    with Databases.engine.connect() as db:
        return db.execute(statement, {"email": given}).all()


async def compiled(given):
    statement = select(USERS).where(func.lower(USERS.c.email) == func.lower(given))
    with Databases.engine.connect() as db:
        return db.execute(statement).all()


async def compiled_async(given):
    async with Databases.async_engine.connect() as db:
        found = await db.execute(select(USERS).where(USERS.c.email.in_([given, "x"])))
        return found.all()


async def by_query(given):
    query = sql.query("SELECT * FROM users WHERE email = {email}", email=given)
    with connect() as db:
        return list(db.execute(*query.qmark))


async def by_query_in_sqlalchemy(given):
    query = sql.query("SELECT * FROM users WHERE email = {email}", email=given)
    with Databases.engine.connect() as db:
        return db.execute(query.sqlalchemy).all()


async def escaped(given):
    """Not how one should, but nothing gets out of its quotes."""
    quoted = given.replace("'", "''")
    with connect() as db:
        return list(db.execute(f"SELECT * FROM users WHERE email='{quoted}'"))


async def among_many(given):
    """A statement that is put together, and values that are not in it."""
    places = ", ".join("?" for _ in range(3))
    with connect() as db:
        statement = f"SELECT * FROM users WHERE role='user' AND email IN ({places})"
        return list(db.execute(statement, (given, "x", "y")))


SAFE = (
    bound,
    bound_in_aiosqlite,
    bound_in_text,
    compiled,
    compiled_async,
    by_query,
    by_query_in_sqlalchemy,
    escaped,
    among_many,
)


async def ordered(given):
    order = sql.order_by(given, allowed={"id", "email"})
    with connect() as db:
        return list(db.execute(f"SELECT id, email FROM users ORDER BY {order}"))


async def foreign(given):
    """A connection that was not opened by ``connect``."""
    db = sqlite3.Connection(Databases.file)
    with contextlib.closing(db):
        return list(db.execute(f"SELECT * FROM users WHERE email='{given}'"))


HANDLERS = (*CONCATENATED, *SORTED, *EXPANDED, *SAFE, scripted, ordered, foreign)


def endpoint(handler):
    async def respond(request):
        given = await request.json()
        try:
            return answer(await handler(given))
        except (
            sqlite3.Error,
            sqlite3.Warning,
            sqlalchemy.exc.SQLAlchemyError,
        ) as error:
            return JSONResponse({"error": str(error)}, 500)

    return respond


def make_routes():
    return [
        Route(f"/{handler.__name__}", endpoint(handler), methods=["POST"])
        for handler in HANDLERS
    ]


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sql")
    Databases.file = folder / "users.db"
    Databases.engine = sqlalchemy.create_engine(f"sqlite:///{Databases.file}")
    Databases.async_engine = create_async_engine(
        f"sqlite+aiosqlite:///{Databases.file}", poolclass=sqlalchemy.NullPool
    )
    with twins(make_routes, folder) as both:
        yield both
    Databases.engine.dispose()


@pytest.fixture(autouse=True)
def _users(sides):
    with connect() as db:
        db.executescript(SCHEMA)


def rows(db_statement="SELECT count(*) FROM users"):
    with connect() as db:
        return db.execute(db_statement).fetchone()[0]


def send(side, handler, given):
    return side.post(f"/{handler.__name__}", json=given)


def is_refused(response):
    return response.status_code == 403 and response.json()["code"] == REFUSED


def by_name(handler):
    return handler.__name__


@pytest.mark.parametrize("handler", CONCATENATED, ids=by_name)
def test_the_guides_payload_reads_no_table(sides, handler):
    """``' OR '1'='1`` answers with everybody, or is refused."""
    assert len(send(sides.off, handler, GUIDE).json()) == 3
    assert is_refused(send(sides.on, handler, GUIDE))
    for attack in MORE:
        assert is_refused(send(sides.on, handler, attack))


@pytest.mark.parametrize("handler", CONCATENATED, ids=by_name)
def test_the_guides_second_payload_drops_no_table(sides, handler):
    """Drivers of SQLite run one statement only: refused before it comes to that."""
    assert is_refused(send(sides.on, handler, DROPPING))
    assert rows() == 3


def test_a_script_drops_no_table(sides):
    assert send(sides.off, scripted, DROPPING).status_code == 500  # it is gone
    with connect() as db:
        assert db.execute("SELECT * FROM sqlite_master").fetchall() == []
        db.executescript(SCHEMA)
    for given in (DROPPING, "alice@example.com"):
        assert is_refused(send(sides.on, scripted, given))
    assert rows() == 3


@pytest.mark.parametrize("handler", CONCATENATED, ids=by_name)
def test_honest_values_go_through_careless_handlers(sides, handler):
    for value in HONEST:
        honest = send(sides.on, handler, value)
        assert honest.status_code == 200, value
        assert honest.json() == send(sides.off, handler, value).json()


@pytest.mark.parametrize("handler", SAFE, ids=by_name)
def test_bound_and_escaped_values_raise_no_alarm(sides, handler):
    """Attacks too: as values they are texts like any other."""
    for value in (*HONEST, "O'Brien", GUIDE, DROPPING, *MORE):
        honest = send(sides.on, handler, value)
        assert honest.status_code == 200, value
        assert honest.json() == send(sides.off, handler, value).json()
    found = send(sides.on, handler, "O'Brien").json()
    assert len(found) == (handler is not among_many)


@pytest.mark.parametrize("handler", SORTED, ids=by_name)
def test_an_order_is_no_expression(sides, handler):
    """What sorts by a password, or by its first letter, tells it in the end."""
    for attack in SORTING[:2]:
        assert send(sides.off, handler, attack).status_code == 200
    for attack in SORTING:
        by_secret = attack == "password" and handler is sorted_by_literal_column
        assert is_refused(send(sides.on, handler, attack)) != by_secret
    assert send(sides.on, handler, "email").status_code == 200


@pytest.mark.parametrize("handler", EXPANDED, ids=by_name)
def test_keys_that_were_sent_are_no_names(sides, handler):
    honest, attack = EXPANDED[handler]
    assert send(sides.off, handler, attack).status_code == 200
    assert is_refused(send(sides.on, handler, attack))
    assert send(sides.off, handler, honest).status_code == 200
    assert send(sides.on, handler, honest).status_code == 200


def test_an_allow_list_chooses_the_order(sides):
    assert send(sides.on, ordered, "-id").json()[0][0] == 3
    assert send(sides.on, ordered, "email desc, id").status_code == 200
    for attack in SORTING:
        response = send(sides.on, ordered, attack)
        assert response.status_code == 400
        assert response.json()["code"] == REFUSED


def test_a_foreign_connection_is_refused(sides):
    assert len(send(sides.off, foreign, GUIDE).json()) == 3
    assert is_refused(send(sides.on, foreign, "alice@example.com"))
