"""One endpoint to read and one to write: bare, behind today's stack, behind ringfence.

The same two handlers everywhere, on Starlette. Limits are counted and never reached,
sessions are real, and every layer is there as a plain ASGI callable, the fastest way
in which it is offered.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

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
    from slowapi import Limiter  # noqa: PLC0415 - same
    from slowapi.middleware import SlowAPIASGIMiddleware  # noqa: PLC0415 - same
    from slowapi.util import get_remote_address  # noqa: PLC0415 - same
    from starlette_csrf import CSRFMiddleware  # noqa: PLC0415 - same
    from starsessions import (  # noqa: PLC0415 - same
        InMemoryStore,
        SessionAutoloadMiddleware,
        SessionMiddleware,
    )

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
                store=InMemoryStore(),
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
    )
    return app


def guarded() -> ASGIApp:
    """Everything that ringfence has, for a signed-in account."""
    from ringfence import Guard, access  # noqa: PLC0415 - this target's

    return Guard(Starlette(routes=access.routes(_routes(), access.signed_in)))


TARGETS: dict[str, Callable[[], ASGIApp]] = {
    "starlette": bare,
    "starlette + stack": stack,
    "starlette + ringfence": guarded,
}


def _routes() -> list[Route]:
    return [
        Route("/items", read_items, methods=["GET"]),
        Route("/items", add_item, methods=["POST"]),
    ]
