"""Values that are pasted into statements (guide: "SQL Injection")."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import aiosqlite
from sqlalchemy import NullPool, create_engine, text
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from examples.range.given import fields_of, world_of
from examples.range.target import Target


async def login(request: Request) -> Response:
    """The guide's own."""
    email = (await fields_of(request)).get("email", "")
    query = "SELECT * FROM users WHERE email='" + str(email) + "'"
    return _answer(world_of(request).rows(query))


async def sort(request: Request) -> Response:
    by = request.query_params.get("by", "id")
    return _answer(world_of(request).rows(f"SELECT id, name FROM users ORDER BY {by}"))


async def search(request: Request) -> Response:
    wanted = request.query_params.get("q", "")
    query = f"SELECT id, name FROM users WHERE name LIKE '%{wanted}%'"
    return _answer(world_of(request).rows(query))


async def rename(request: Request) -> Response:
    """Run a script, since it was at hand."""
    fields = await fields_of(request)
    with closing(sqlite3.connect(world_of(request).path)) as db:
        db.executescript(
            f"UPDATE users SET name = '{fields['name']}' WHERE id = '{fields['id']}';"
        )
    return JSONResponse({"renamed": True})


async def find_order(request: Request) -> Response:
    """SQLAlchemy, whose ``text`` takes what it is given."""
    item = request.query_params.get("item", "")
    engine = create_engine(f"sqlite:///{world_of(request).path}", poolclass=NullPool)
    with engine.connect() as db:
        found = db.execute(text(f"SELECT id, item FROM orders WHERE item = '{item}'"))
        return _answer([dict(row) for row in found.mappings()])


async def count_orders(request: Request) -> Response:
    """The same in a coroutine."""
    user = request.query_params.get("user", "0")
    async with aiosqlite.connect(world_of(request).path) as db:
        query = f"SELECT count(*) FROM orders WHERE user_id = {user}"
        async with db.execute(query) as cursor:
            return _answer([row[0] for row in await cursor.fetchall()])


async def keep_search(request: Request) -> Response:
    """Store what to look for: bound, as it should be."""
    world = world_of(request)
    wanted = (await fields_of(request)).get("q", "")
    world.rows("INSERT INTO comments VALUES (?)", f"search:{wanted}")
    return JSONResponse({"kept": True})


async def run_search(request: Request) -> Response:
    """Trust what comes out of the own table: second order."""
    world = world_of(request)
    kept = world.row(
        "SELECT text FROM comments WHERE text LIKE 'search:%' ORDER BY rowid DESC"
    )
    wanted = str(kept["text"])[len("search:") :] if kept else ""
    return _answer(world.rows(f"SELECT id, name FROM users WHERE name = '{wanted}'"))


def _answer(rows: object) -> Response:
    return JSONResponse(rows)


TARGETS = (
    Target("POST", "/login", login, "a statement by concatenation", body=("email",)),
    Target("GET", "/sort", sort, "an order that was sent", query=("by",)),
    Target("GET", "/people", search, "a pattern by f-string", query=("q",)),
    Target("POST", "/rename", rename, "a script by f-string", body=("id", "name")),
    Target("GET", "/orders/find", find_order, "text() by f-string", query=("item",)),
    Target("GET", "/orders/count", count_orders, "a number unquoted", query=("user",)),
    Target("POST", "/searches", keep_search, "what is stored ...", body=("q",)),
    Target("GET", "/searches/run", run_search, "... becomes a statement"),
)
"""``POST /login`` is the guide's; the rest are the ways it is done elsewhere."""
