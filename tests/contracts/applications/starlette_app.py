"""The application of the contract, in Starlette."""

from __future__ import annotations

import contextlib

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    StreamingResponse,
)
from starlette.routing import Mount, Route, WebSocketRoute
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

FRAMEWORK = "starlette"
HEAD_OF_GET = 200  # Starlette answers HEAD wherever it answers GET
RULES = ()


def build(story: Story):  # noqa: C901, PLR0915 - one application, at one place
    @access.require(access.public)
    async def open_(request):
        story.tell("open")
        return JSONResponse({"request_id": current.request_id()})

    @access.require(access.signed_in)
    def me(request):
        token = current.csrf_token()
        return JSONResponse({"id": current.principal().id, "csrf_token": token})

    @access.require(STAFF)
    async def staff(request):
        story.tell("staff")
        return JSONResponse({"staff": True})

    async def page(request):
        text = f'<script nonce="{current.nonce()}">1</script>'
        return HTMLResponse(text)

    @access.require(access.public)
    async def things(request):
        story.tell(f"things {request.method}")
        return JSONResponse({"method": request.method})

    @access.require(access.public)
    async def remove(request):
        story.tell(f"remove {request.method}")
        return JSONResponse({"removed": True})

    @access.require(access.public)
    async def item(request):
        return JSONResponse({"number": request.path_params["number"]})

    @access.require(access.public)
    async def echo(request):
        return PlainTextResponse(await request.body())

    @access.require(access.public)
    async def stream(request):
        async def chunks():
            yield "a"
            yield "b"
            yield current.request_id()

        return StreamingResponse(chunks(), media_type="text/plain")

    @access.require(access.public)
    async def later(request):
        def afterwards():
            story.tell(f"later {current.request_id()}")

        return PlainTextResponse(
            current.request_id(), background=BackgroundTask(afterwards)
        )

    @access.require(access.public)
    async def boom(request):
        raise RuntimeError(SECRET)

    @access.require(access.public)
    async def teapot(request):
        raise TeapotError

    @access.require(access.public)
    async def state(request):
        return JSONResponse({"state": request.state.word})

    @access.require(access.public)
    async def slow(request):
        story.waiting.set()
        try:
            await story.release.wait()
        finally:
            story.tell("let go")
        return PlainTextResponse("done")

    @Named("above")
    @access.require(access.public)
    @Named("below")
    async def marked(request):
        return PlainTextResponse("marked")

    @Named("class")
    @access.require(access.public)
    class Resource(HTTPEndpoint):
        async def get(self, request):
            return PlainTextResponse("resource")

    @access.require(access.public)
    async def socket(websocket):
        story.tell("socket")
        await websocket.accept()
        async for text in websocket.iter_text():
            if text == "bye":
                await websocket.close(1000)
                return
            await websocket.send_text(f"{text} {current.request_id()}")

    @access.require(access.signed_in)
    async def private(websocket):
        story.tell("private")
        await websocket.accept()
        await websocket.send_text(current.principal().id)
        await websocket.close()

    @access.require(access.public)
    async def refusing(websocket):
        await websocket.close(1008)

    @access.require(access.public)
    async def failing(websocket):
        await websocket.accept()
        raise RuntimeError(SECRET)

    async def inside(request):
        return PlainTextResponse("inside")

    @contextlib.asynccontextmanager
    async def lifespan(app):
        story.start()
        yield {"word": "kept"}
        story.tell("stopped")

    async def pour(request, error):
        return PlainTextResponse("short and stout", 418)

    routes = [
        Route("/open", open_),
        Route("/me", me),
        Route("/staff", staff),
        *access.routes([Route("/page", page)], access.public, Named("route")),
        Route("/things", things, methods=[v for v in VERBS if v != "DELETE"]),
        Route("/things", remove, methods=["DELETE"]),
        Route("/items/{number:int}", item),
        Route("/echo", echo, methods=["POST"]),
        Route("/stream", stream),
        Route("/later", later),
        Route("/boom", boom),
        Route("/teapot", teapot),
        Route("/state", state),
        Route("/slow", slow),
        Route("/marked", marked),
        Route("/resource", Resource),
        WebSocketRoute("/socket", socket),
        WebSocketRoute("/private", private),
        WebSocketRoute("/refusing", refusing),
        WebSocketRoute("/failing", failing),
        *access.routes(
            [Mount("/sub", Starlette(routes=[Route("/inside", inside)]))],
            access.public,
            Named("mount"),
        ),
        *access.routes([Mount("/foreign", below)], access.public),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(one) for one in story.middleware],
        lifespan=lifespan,
        exception_handlers={TeapotError: pour},
    )


def undeclared():
    async def forgotten(request): ...

    return Starlette(routes=[Route("/forgotten", forgotten)])


def add_late(app):
    app.router.routes.append(Route("/late", lambda request: None))


MARKS = {
    "/marked": "above below",
    "/resource": "class",
    "/page": "route",
    "/sub/inside": "mount",
}
