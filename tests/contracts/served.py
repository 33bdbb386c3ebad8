"""What the servers of the contract serve: a guard before one of two frameworks, as
``SERVED_FRAMEWORK`` says. The servers import ``app`` by name."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
from collections.abc import AsyncIterator
from typing import Any

from litestar import Litestar, Request, Response, get, post
from litestar import WebSocket as LitestarSocket
from litestar import websocket as litestar_websocket
from litestar.exceptions import WebSocketDisconnect
from litestar.response import Stream
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute

from ringfence import Guard, access, current
from ringfence.exchange import active

FRAMEWORK_VARIABLE = "SERVED_FRAMEWORK"
PUBLIC = access.guard(access.public)

_PATIENCE = 15  # seconds that a server may take to tell that a reader has left

let_go = asyncio.Event()


def told(scope: Any) -> dict[str, Any]:
    """Return what the guard and the application see of one request."""
    exchange = active.get()
    return {
        "headers": [
            [name.decode("latin-1"), value.decode("latin-1")]
            for name, value in scope["headers"]
        ],
        "client": scope.get("client"),
        "address": exchange.client if exchange else "",
        "scheme": scope.get("scheme"),
        "version": scope.get("http_version"),
        "path": scope["path"],
        "raw_path": (scope.get("raw_path") or b"").decode("latin-1"),
        "word": scope.get("state", {}).get("word", ""),
    }


async def chunks() -> AsyncIterator[str]:
    """Two pieces and the context; then more than any client reads."""
    yield "a"
    yield "b"
    yield current.request_id()


async def endless() -> AsyncIterator[str]:
    try:
        while True:
            yield "x" * 10_000
            await asyncio.sleep(0)
    finally:
        let_go.set()


async def is_let_go() -> bool:
    """Wait for the end of a stream, as long as a busy server may need to tell.

    Litestar stops streaming at once, and leaves what was to be streamed to Python's
    collector when it was just sending.
    """
    for _ in range(_PATIENCE):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(let_go.wait(), 1)
        if let_go.is_set():
            return True
        gc.collect()
    return False


def starlette_app() -> Starlette:  # noqa: C901 - one application, at one place
    async def where(request):
        return JSONResponse(told(request.scope))

    async def echo(request):
        return PlainTextResponse(await request.body())

    async def unread(request):
        return PlainTextResponse("not read")

    async def stream(request):
        return StreamingResponse(chunks(), media_type="text/plain")

    async def forever(request):
        return StreamingResponse(endless(), media_type="text/plain")

    async def gone(request):
        return JSONResponse(await is_let_go())

    async def cookies(request):
        answer = PlainTextResponse("two")
        answer.set_cookie("first", "1")
        answer.set_cookie("second", "2")
        return answer

    async def socket(websocket):
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(f"{text} {websocket.scope['client'][0]}")

    @contextlib.asynccontextmanager
    async def lifespan(app):
        yield {"word": "kept"}

    return Starlette(
        routes=access.routes(
            [
                Route("/where", where),
                Route("/echo", echo, methods=["POST"]),
                Route("/unread", unread, methods=["POST"]),
                Route("/stream", stream),
                Route("/forever", forever),
                Route("/gone", gone),
                Route("/cookies", cookies),
                WebSocketRoute("/socket", socket),
            ],
            access.public,
        ),
        lifespan=lifespan,
    )


AnyRequest = Request[Any, Any, Any]


def litestar_app() -> Litestar:  # noqa: C901 - one application, at one place
    @get("/where")
    async def where(request: AnyRequest) -> dict[str, Any]:
        return told(request.scope) | {"word": request.app.state.word}

    @post("/echo", status_code=200, media_type="text/plain")
    async def echo(request: AnyRequest) -> bytes:
        return await request.body()

    @post("/unread", status_code=200, media_type="text/plain")
    async def unread() -> str:
        return "not read"

    @get("/stream")
    async def stream() -> Stream:
        return Stream(chunks(), media_type="text/plain")

    @get("/forever")
    async def forever() -> Stream:
        return Stream(endless(), media_type="text/plain")

    @get("/gone")
    async def gone() -> bool:
        return await is_let_go()

    @get("/cookies", media_type="text/plain")
    async def cookies() -> Response[str]:
        answer = Response("two", media_type="text/plain")
        answer.set_cookie("first", "1")
        answer.set_cookie("second", "2")
        return answer

    @litestar_websocket("/socket")
    async def socket_handler(socket: LitestarSocket[Any, Any, Any]) -> None:
        await socket.accept()
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                text = await socket.receive_text()
                await socket.send_text(f"{text} {socket.scope['client'][0]}")

    @contextlib.asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        app.state.word = "kept"
        yield

    return Litestar(
        [where, echo, unread, stream, forever, gone, cookies, socket_handler],
        guards=[PUBLIC],
        lifespan=[lifespan],
        openapi_config=None,
        logging_config=None,
    )


def failing_app() -> Starlette:
    @contextlib.asynccontextmanager
    async def lifespan(app):
        message = "the database of the application is gone"
        raise RuntimeError(message)
        yield

    app = starlette_app()
    app.router.lifespan_context = lifespan
    return app


BUILDERS = {
    "starlette": starlette_app,
    "litestar": litestar_app,
    "failing": failing_app,
}

app = Guard(BUILDERS[os.environ.get(FRAMEWORK_VARIABLE, "starlette")]())
