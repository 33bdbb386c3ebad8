"""What leaves: honest answers whole, and nothing of the inside when things go wrong."""

import contextlib

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute

from ringfence import access, current


def app_of(*routes, **kwargs):
    return Starlette(routes=access.routes(routes, access.public), **kwargs)


@pytest.mark.anyio
async def test_a_stream_arrives_in_its_pieces(guarded):
    async def pieces(request):
        async def stream():
            yield b"one "
            yield b"two"

        return StreamingResponse(stream(), media_type="text/plain")

    async with guarded(app_of(Route("/", pieces))) as started:
        sent = await started.call({"path": "/"})
    bodies = [message.get("body") for message in sent[1:]]
    assert bodies == [b"one ", b"two", b""]


@pytest.mark.anyio
async def test_a_stream_that_breaks_is_cut_and_not_mended(guarded):
    """The server must drop the connection, so that half an answer is not taken for a
    whole one."""

    async def broken(request):
        async def stream():
            yield b"half"
            raise RuntimeError("disk gone")

        return StreamingResponse(stream())

    async with guarded(app_of(Route("/", broken))) as started:
        with pytest.raises(RuntimeError, match="disk gone"):
            await started.call({"path": "/"})


@pytest.mark.anyio
async def test_a_failure_after_the_answer_is_recorded_and_nothing_more(guarded, caplog):
    def fail():
        raise RuntimeError("after the answer")

    async def answered(request):
        return PlainTextResponse("done", background=BackgroundTask(fail))

    async with guarded(app_of(Route("/", answered))) as started:
        sent = await started.call({"path": "/"})
    assert sent[0]["status"] == 200
    assert sent[1]["body"] == b"done"
    assert "after the answer" in caplog.text


@pytest.mark.anyio
async def test_an_application_that_answers_nothing_is_answered_for(guarded):
    async def silent(scope, receive, send):
        return

    class Silent:
        async def __call__(self, scope, receive, send):
            return

    async with guarded(app_of(Route("/", Silent()))) as started:
        (start, body) = await started.call({"path": "/"})
    assert start["status"] == 500
    assert b"guard.application_error" in body["body"]


@pytest.mark.anyio
async def test_a_body_over_the_cap_is_refused_while_it_is_read(settings, guarded):
    async def read(request):
        return PlainTextResponse(str(len(await request.body())))

    chunk = {"type": "http.request", "body": b"x" * 600_000, "more_body": True}
    app = app_of(Route("/", read, methods=["POST"]))
    async with guarded(app) as started:
        sent = await started.call(
            {
                "path": "/",
                "method": "POST",
                "headers": [
                    (b"host", b"127.0.0.1:8000"),
                    (b"transfer-encoding", b"chunked"),
                ],
            },
            *([chunk] * 10),
        )
    assert sent[0]["status"] == 413


class RewritesPaths:
    """Middleware that sends requests somewhere else than they were checked for."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "lifespan" and scope["path"] == "/open":
            scope = {**scope, "path": "/secret"}
        await self.app(scope, receive, send)


@pytest.mark.anyio
@pytest.mark.parametrize("catches", [False, True])
async def test_another_endpoint_than_the_checked_one_is_not_entered(guarded, catches):
    """Whatever a middleware does with the path, and however the application turns the
    guard's exception into an answer of its own."""
    entered = []

    async def secret(request):
        entered.append(1)
        return PlainTextResponse("secret")

    async def open_to_all(request):
        return PlainTextResponse("open")

    async def turn_into_an_answer(request, error):
        return PlainTextResponse("caught", status_code=200)

    handlers = {Exception: turn_into_an_answer} if catches else {}
    app = Starlette(
        routes=[
            *access.routes([Route("/open", open_to_all)], access.public),
            *access.routes([Route("/secret", secret)], access.role("admin")),
        ],
        middleware=[Middleware(RewritesPaths)],
        exception_handlers=handlers,
    )
    async with guarded(app) as started, started.client() as client:
        response = await client.get("/open")
    assert response.json()["code"] == "guard.plan_mismatch"
    assert entered == []


@pytest.mark.anyio
async def test_another_websocket_than_the_checked_one_is_not_entered(guarded):
    entered = []

    async def secret(websocket):
        entered.append(1)
        await websocket.accept()

    async def open_to_all(websocket):
        await websocket.accept()

    app = Starlette(
        routes=[
            *access.routes([WebSocketRoute("/open", open_to_all)], access.public),
            *access.routes([WebSocketRoute("/secret", secret)], access.role("admin")),
        ],
        middleware=[Middleware(RewritesPaths)],
    )
    async with guarded(app) as started:
        sent = await started.call(
            {"type": "websocket", "path": "/open"}, {"type": "websocket.connect"}
        )
    assert [message["type"] for message in sent] == ["websocket.close"]
    assert entered == []


@pytest.mark.anyio
async def test_a_websocket_that_fails_is_closed(guarded):
    async def fails(websocket):
        await websocket.accept()
        raise RuntimeError("no more")

    app = app_of(WebSocketRoute("/ws", fails))
    async with guarded(app) as started:
        sent = await started.call(
            {"type": "websocket", "path": "/ws"}, {"type": "websocket.connect"}
        )
    assert sent[-1] == {"type": "websocket.close", "code": 1011}


@pytest.mark.anyio
async def test_a_websocket_that_fails_before_it_accepts_is_refused(guarded):
    async def fails(websocket):
        raise RuntimeError("no")

    app = app_of(WebSocketRoute("/ws", fails))
    async with guarded(app) as started:
        sent = await started.call(
            {
                "type": "websocket",
                "path": "/ws",
                "extensions": {"websocket.http.response": {}},
            },
            {"type": "websocket.connect"},
        )
    assert sent[0]["type"] == "websocket.http.response.start"
    assert sent[0]["status"] == 500


@pytest.mark.anyio
async def test_middleware_that_copies_the_scope_and_reads_the_body_works(guarded):
    class ReadsFirst(BaseHTTPMiddleware):
        async def dispatch(self, request, call_next):
            await request.body()
            response = await call_next(request)
            response.headers["x-seen"] = current.request_id()
            return response

    async def read(request):
        return PlainTextResponse(await request.body())

    app = app_of(
        Route("/", read, methods=["POST"]), middleware=[Middleware(ReadsFirst)]
    )
    async with guarded(app) as started, started.client() as client:
        response = await client.post("/", content=b"hello")
        assert response.text == "hello"
        assert response.headers["x-seen"]


@pytest.mark.anyio
async def test_head_has_no_body_and_the_same_headers(guarded):
    async def page(request):
        return PlainTextResponse("page")

    async with guarded(app_of(Route("/", page))) as started:
        async with started.client() as client:
            got, asked = await client.get("/"), await client.head("/")
        assert asked.content == b""
        names = set(got.headers) - {"x-request-id"}
        assert {name: asked.headers[name] for name in names} == {
            name: got.headers[name] for name in names
        }


@pytest.mark.anyio
async def test_the_exchange_ends_with_the_request(guarded):
    """What a handler leaves running may not act as the person who asked."""
    seen = []

    async def page(request):
        seen.append(current.request_id())
        return PlainTextResponse("page")

    async with guarded(app_of(Route("/", page))) as started:
        await started.call({"path": "/"})
        with contextlib.suppress(Exception):
            seen.append(current.request_id())
    assert len(seen) == 1
