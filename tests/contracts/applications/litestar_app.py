"""The application of the contract, in Litestar."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from litestar import (
    Controller,
    Litestar,
    Request,
    Response,
    Router,
    WebSocket,
    asgi,
    delete,
    get,
    post,
    route,
    websocket,
)
from litestar.background_tasks import BackgroundTask
from litestar.exceptions import WebSocketDisconnect
from litestar.params import FromPath
from litestar.response import Stream
from litestar.types import Receive, Scope, Send
from tests.contracts.applications.parts import (
    SECRET,
    STAFF,
    VERBS,
    Named,
    Story,
    TeapotError,
    below,
)

from ringfence import access, current

FRAMEWORK = "litestar"
HEAD_OF_GET = 405
RULES = ()

AnyRequest = Request[Any, Any, Any]
AnySocket = WebSocket[Any, Any, Any]


def build(story: Story):  # noqa: C901, PLR0915 - one application, at one place
    public = access.guard(access.public)

    @get("/open")
    @access.require(access.public)
    async def open_() -> dict[str, str]:
        story.tell("open")
        return {"request_id": current.request_id()}

    @get("/me", sync_to_thread=True)
    @access.require(access.signed_in)
    def me() -> dict[str, str]:
        return {"id": current.principal().id, "csrf_token": current.csrf_token()}

    def acts() -> None:
        story.tell("dependency")

    @get("/staff", guards=[access.guard(STAFF)])
    async def staff() -> dict[str, bool]:
        story.tell("staff")
        return {"staff": True}

    @get(
        "/page",
        media_type="text/html",
        guards=[access.guard(access.public, Named("d"))],
    )
    async def page() -> str:
        return f'<script nonce="{current.nonce()}">1</script>'

    marked_router = Router(
        "/",
        route_handlers=[page],
        guards=[access.guard(access.public, Named("r"))],
    )

    @route("/things", http_method=[v for v in VERBS if v != "DELETE"], status_code=200)
    @access.require(access.public)
    async def things(request: AnyRequest) -> dict[str, str]:
        story.tell(f"things {request.method}")
        return {"method": request.method}

    @delete("/things", status_code=200, guards=[public])
    async def remove(request: AnyRequest) -> dict[str, bool]:
        story.tell(f"remove {request.method}")
        return {"removed": True}

    @get("/items/{number:int}")
    @access.require(access.public)
    async def item(number: FromPath[int]) -> dict[str, int]:
        return {"number": number}

    @post("/echo", status_code=200, guards=[public], media_type="text/plain")
    async def echo(request: AnyRequest) -> bytes:
        return await request.body()

    @get("/stream", guards=[public])
    async def stream() -> Stream:
        async def chunks() -> AsyncIterator[str]:
            yield "a"
            yield "b"
            yield current.request_id()

        return Stream(chunks(), media_type="text/plain")

    @get("/later", guards=[public])
    async def later() -> Response[str]:
        async def afterwards() -> None:
            story.tell(f"later {current.request_id()}")

        return Response(
            current.request_id(),
            media_type="text/plain",
            background=BackgroundTask(afterwards),
        )

    @get("/boom", guards=[public])
    async def boom() -> None:
        raise RuntimeError(SECRET)

    @get("/teapot", guards=[public])
    async def teapot() -> None:
        raise TeapotError

    def pour(request: AnyRequest, error: TeapotError) -> Response[str]:
        return Response("short and stout", status_code=418, media_type="text/plain")

    @get("/state", guards=[public])
    async def state(request: AnyRequest) -> dict[str, str]:
        return {"state": request.app.state.word}

    @get("/slow", guards=[public], media_type="text/plain")
    async def slow() -> str:
        story.waiting.set()
        try:
            await story.release.wait()
        finally:
            story.tell("let go")
        return "done"

    @get("/marked", media_type="text/plain")
    @Named("above")
    @access.require(access.public)
    @Named("below")
    async def marked() -> str:
        return "marked"

    class Resource(Controller):
        path = "/resource"
        guards = (access.guard(access.public, Named("class")),)

        @get(media_type="text/plain")
        async def read(self) -> str:
            return "resource"

    @websocket("/socket")
    @access.require(access.public)
    async def opened(socket: AnySocket) -> None:
        story.tell("socket")
        await socket.accept()
        with contextlib.suppress(WebSocketDisconnect):
            while (text := await socket.receive_text()) != "bye":
                await socket.send_text(f"{text} {current.request_id()}")
            await socket.close(code=1000)

    @websocket("/private", guards=[access.guard(access.signed_in)])
    async def private(socket: AnySocket) -> None:
        story.tell("private")
        await socket.accept()
        await socket.send_text(current.principal().id)
        await socket.close()

    @websocket("/refusing", guards=[public])
    async def refusing(socket: AnySocket) -> None:
        await socket.close(code=1008)

    @websocket("/failing", guards=[public])
    async def failing(socket: AnySocket) -> None:
        await socket.accept()
        raise RuntimeError(SECRET)

    @get("/inside", media_type="text/plain")
    async def inside() -> str:
        return "inside"

    sub = Router(
        "/sub",
        route_handlers=[inside],
        guards=[access.guard(access.public, Named("mount"))],
    )

    @asgi("/foreign", is_mount=True, copy_scope=True, guards=[public])
    async def foreign(scope: Scope, receive: Receive, send: Send) -> None:
        await below(scope, receive, send)

    @contextlib.asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        story.start()
        app.state.word = "kept"
        yield
        story.tell("stopped")

    return Litestar(
        [
            open_,
            me,
            staff,
            marked_router,
            things,
            remove,
            item,
            echo,
            stream,
            later,
            boom,
            teapot,
            state,
            slow,
            marked,
            Resource,
            opened,
            private,
            refusing,
            failing,
            sub,
            foreign,
        ],
        middleware=list(story.middleware),
        lifespan=[lifespan],
        exception_handlers={TeapotError: pour},
        openapi_config=None,
        logging_config=None,
    )


def undeclared():
    @get("/forgotten")
    async def forgotten() -> None: ...

    return Litestar([forgotten], openapi_config=None, logging_config=None)


def add_late(app):
    @get("/late")
    async def late() -> None: ...

    app.register(late)


MARKS = {
    "/marked": "above below",
    "/resource": "class",
    "/page": "r d",
    "/sub/inside": "mount",
}
