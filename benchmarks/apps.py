"""One endpoint to read and one to write: bare, behind today's stack, behind ringfence.

The same two handlers everywhere, on Starlette. Limits are counted and never reached,
sessions are real, and every layer is there as a plain ASGI callable, the fastest way
in which it is offered.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

REDIS = "BENCH_REDIS"
"""Names the server that the stack counts and keeps sessions in; unset means memory."""

POSTGRES = "BENCH_POSTGRES"
"""Names the database of the plain select, for SQLAlchemy."""

ITEMS = [{"id": str(number), "name": f"item {number}"} for number in range(5)]


async def read_items(_request: Request) -> JSONResponse:
    return JSONResponse(ITEMS)


async def add_item(request: Request) -> JSONResponse:
    item = await request.json()
    return JSONResponse({"id": "5", "name": item["name"]})


def bare() -> ASGIApp:
    """Starlette and nothing else: what everything is compared with."""
    return Starlette(routes=_routes())


def stack() -> ASGIApp:
    """The five packages that are put together today, each with its defaults."""
    from secure.middleware import SecureASGIMiddleware  # noqa: PLC0415 - this target's
    from slowapi import Limiter  # noqa: PLC0415 - this target's
    from slowapi.middleware import SlowAPIASGIMiddleware  # noqa: PLC0415 - this target's
    from slowapi.util import get_remote_address  # noqa: PLC0415 - this target's
    from starlette_csrf import CSRFMiddleware  # noqa: PLC0415 - this target's
    from starsessions import (  # noqa: PLC0415 - this target's
        InMemoryStore,
        SessionAutoloadMiddleware,
        SessionMiddleware,
    )
    from starsessions.stores.redis import RedisStore  # noqa: PLC0415 - this target's

    redis = os.environ.get(REDIS)

    async def sign_in(request: Request) -> JSONResponse:
        request.session["account"] = "a1"
        return JSONResponse({})

    secret = "a secret for the benchmark only"
    app = Starlette(
        routes=[*_routes(), Route("/sign-in", sign_in)],
        middleware=[
            Middleware(SecureASGIMiddleware),
            Middleware(
                CORSMiddleware,
                allow_origins=["https://shop.example"],
                allow_credentials=True,
            ),
            Middleware(SlowAPIASGIMiddleware),
            Middleware(
                SessionMiddleware,
                store=RedisStore(redis) if redis else InMemoryStore(),
                lifetime=3600,
                cookie_https_only=False,
            ),
            Middleware(SessionAutoloadMiddleware),
            Middleware(CSRFMiddleware, secret=secret, header_name="x-csrf-token"),
        ],
    )
    app.state.limiter = Limiter(
        key_func=get_remote_address,
        default_limits=["100000000/minute", "1000000000/hour"],
        storage_uri=redis,
    )
    return app


def guarded() -> ASGIApp:
    """Everything that ringfence has, for a signed-in account."""
    from ringfence import Guard, access  # noqa: PLC0415 - this target's

    return Guard(Starlette(routes=access.routes(_routes(), access.signed_in)))


def mixed() -> ASGIApp:
    """The same with a page that is open to everybody."""
    from ringfence import Guard, access  # noqa: PLC0415 - this target's

    public = access.routes([Route("/open", read_items)], access.public)
    closed = access.routes(_routes(), access.signed_in)
    return Guard(Starlette(routes=[*public, *closed]))


def selecting() -> ASGIApp:
    """Starlette behind the one read that a session in a database takes, with nothing
    decided by it."""
    from sqlalchemy import (  # noqa: PLC0415 - this target's
        Column,
        LargeBinary,
        MetaData,
        String,
        Table,
        insert,
        select,
    )
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415 - this target's

    engine = create_async_engine(
        os.environ[POSTGRES], isolation_level="AUTOCOMMIT", pool_size=8
    )
    token = b"a token's hash of 32 bytes, so. "
    table = Table(
        "bench_sessions",
        MetaData(),
        Column("token_hash", LargeBinary, primary_key=True),
        Column("account_id", String, nullable=False),
    )
    statement = select(table).where(table.c.token_hash == token)
    app = Starlette(routes=_routes())
    made = False

    async def behind(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal made
        if scope["type"] == "http":
            async with engine.connect() as connection:
                if not made:
                    await connection.run_sync(table.metadata.create_all)
                    values = {"token_hash": token, "account_id": "a1"}
                    await connection.execute(insert(table), values)
                    made = True
                row = (await connection.execute(statement)).one()
            scope["session"] = row.account_id
        await app(scope, receive, send)

    return behind


TARGETS: dict[str, Callable[[], ASGIApp]] = {
    "starlette": bare,
    "starlette + stack": stack,
    "starlette + ringfence": guarded,
    "starlette + select": selecting,
    "mixed + ringfence": mixed,
}


def _routes() -> list[Route]:
    return [
        Route("/items", read_items, methods=["GET"]),
        Route("/items", add_item, methods=["POST"]),
    ]
