"""The application of the contract, in FastAPI."""

from __future__ import annotations

import contextlib
from typing import Annotated

from fastapi import (
    APIRouter,
    BackgroundTasks,
    Depends,
    FastAPI,
    Request,
    WebSocket,
    WebSocketDisconnect,
)
from fastapi.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    StreamingResponse,
)
from tests.contracts.applications.parts import (
    SECRET,
    STAFF,
    VERBS,
    Named,
    Story,
    TeapotError,
    below,
)

from ringfence import Principal, access, current

FRAMEWORK = "fastapi"
HEAD_OF_GET = 405
RULES = ()


def build(story: Story):  # noqa: C901, PLR0915 - one application, at one place
    @contextlib.asynccontextmanager
    async def lifespan(app):
        story.start()
        yield {"word": "kept"}
        story.tell("stopped")

    public = access.depends(access.public)
    app = FastAPI(lifespan=lifespan, openapi_url=None)
    for one in reversed(story.middleware):
        app.add_middleware(one)

    @app.get("/open")
    @access.require(access.public)
    async def open_(request_id: Annotated[str, Depends(current.request_id)]):
        story.tell("open")
        return {"request_id": request_id}

    @app.get("/me")
    @access.require(access.signed_in)
    def me(principal: Annotated[Principal, Depends(current.principal)]):
        return {"id": principal.id, "csrf_token": current.csrf_token()}

    def acts():
        story.tell("dependency")

    @app.get("/staff", dependencies=[access.depends(STAFF), Depends(acts)])
    async def staff():
        story.tell("staff")
        return {"staff": True}

    marked_router = APIRouter(dependencies=[access.depends(access.public, Named("r"))])

    @marked_router.get(
        "/page", dependencies=[access.depends(access.public, Named("d"))]
    )
    async def page():
        return HTMLResponse(f'<script nonce="{current.nonce()}">1</script>')

    app.include_router(marked_router)

    @app.api_route("/things", methods=[v for v in VERBS if v != "DELETE"])
    @access.require(access.public)
    async def things(request: Request):
        story.tell(f"things {request.method}")
        return {"method": request.method}

    @app.delete("/things", dependencies=[public])
    async def remove(request: Request):
        story.tell(f"remove {request.method}")
        return {"removed": True}

    @app.get("/items/{number:int}")
    @access.require(access.public)
    async def item(number: int):
        return {"number": number}

    @app.post("/echo", dependencies=[public])
    async def echo(request: Request):
        return PlainTextResponse(await request.body())

    @app.get("/stream", dependencies=[public])
    async def stream():
        async def chunks():
            yield "a"
            yield "b"
            yield current.request_id()

        return StreamingResponse(chunks(), media_type="text/plain")

    @app.get("/later", dependencies=[public])
    async def later(tasks: BackgroundTasks):
        def afterwards():
            story.tell(f"later {current.request_id()}")

        tasks.add_task(afterwards)
        return PlainTextResponse(current.request_id())

    @app.get("/boom", dependencies=[public])
    async def boom():
        raise RuntimeError(SECRET)

    @app.get("/teapot", dependencies=[public])
    async def teapot():
        raise TeapotError

    @app.exception_handler(TeapotError)
    async def pour(request, error):
        return PlainTextResponse("short and stout", 418)

    @app.get("/state", dependencies=[public])
    async def state(request: Request):
        return {"state": request.state.word}

    @app.get("/slow", dependencies=[public])
    async def slow():
        story.waiting.set()
        try:
            await story.release.wait()
        finally:
            story.tell("let go")
        return PlainTextResponse("done")

    @app.get("/marked")
    @Named("above")
    @access.require(access.public)
    @Named("below")
    async def marked():
        return PlainTextResponse("marked")

    @app.get("/resource", dependencies=[access.depends(access.public, Named("class"))])
    def resource():
        return PlainTextResponse("resource")

    @app.websocket("/socket")
    @access.require(access.public)
    async def socket(websocket: WebSocket):
        story.tell("socket")
        await websocket.accept()
        with contextlib.suppress(WebSocketDisconnect):
            while (text := await websocket.receive_text()) != "bye":
                await websocket.send_text(f"{text} {current.request_id()}")
            await websocket.close(1000)

    @app.websocket("/private", dependencies=[access.depends(access.signed_in)])
    async def private(websocket: WebSocket):
        story.tell("private")
        await websocket.accept()
        await websocket.send_text(current.principal().id)
        await websocket.close()

    @app.websocket("/refusing", dependencies=[public])
    async def refusing(websocket: WebSocket):
        await websocket.close(1008)

    @app.websocket("/failing", dependencies=[public])
    async def failing(websocket: WebSocket):
        await websocket.accept()
        raise RuntimeError(SECRET)

    sub = FastAPI(
        openapi_url=None,
        dependencies=[access.depends(access.public, Named("mount"))],
    )

    @sub.get("/inside")
    async def inside():
        return PlainTextResponse("inside")

    app.mount("/sub", sub)
    app.mount("/foreign", below)
    access.routes(app.routes[-1:], access.public)
    return app


def undeclared():
    app = FastAPI(openapi_url=None)

    @app.get("/forgotten")
    async def forgotten():
        return JSONResponse({})

    return app


def add_late(app):
    app.get("/late")(lambda: None)


MARKS = {
    "/marked": "above below",
    "/resource": "class",
    "/page": "r d",
    "/sub/inside": "mount",
}
