"""What leaves: honest answers whole, and nothing of the inside when things go wrong."""

import asyncio
import contextlib

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect

from ringfence import Guard, access, current
from ringfence.audit.log import AuditLog
from ringfence.exchange import Exchange
from ringfence.guard.answers import Answers
from ringfence.testing import FakeClock


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


HALF = {"type": "http.request", "body": b"{", "more_body": True}
WHOLE = {"type": "http.request", "body": b"{}", "more_body": False}
GONE = {"type": "http.disconnect"}
POST = {
    "path": "/",
    "method": "POST",
    "headers": [(b"host", b"127.0.0.1:8000"), (b"content-length", b"9")],
}


async def read(request):
    return PlainTextResponse(await request.body())


async def answer_500(request):
    try:
        return PlainTextResponse(await request.body())
    except ClientDisconnect:
        pass
    return PlainTextResponse("sorry", status_code=500)


async def fail_otherwise(request):
    with contextlib.suppress(ClientDisconnect):
        await request.body()
    raise KeyError("what has not come")


class AnswersNothing:
    async def __call__(self, scope, receive, send):
        while (await receive())["type"] == "http.request":
            pass


def crashes(settings):
    lines = (settings.data / "audit.jsonl").read_text().splitlines()
    return [line for line in lines if "sys_crash" in line]


@pytest.mark.anyio
@pytest.mark.parametrize("incoming", [[GONE], [HALF, GONE]])
@pytest.mark.parametrize("endpoint", [read, answer_500, AnswersNothing()])
async def test_a_client_that_hangs_up_is_counted_and_nothing_more(
    settings, guarded, caplog, endpoint, incoming
):
    """Half a request is no failure of the application's: no trace, no event."""
    app = app_of(Route("/", endpoint, methods=["POST"]))
    async with guarded(app) as started:
        for _ in range(3):
            await started.call(POST, *incoming)
        assert started.guard._answers.hang_ups == 3
    assert "failed" not in caplog.text
    assert crashes(settings) == []


@pytest.mark.anyio
async def test_hanging_up_is_seen_through_middleware(settings, guarded, caplog):
    class Passing(BaseHTTPMiddleware):
        async def dispatch(self, request, call_next):
            return await call_next(request)

    app = app_of(Route("/", read, methods=["POST"]), middleware=[Middleware(Passing)])
    async with guarded(app) as started:
        await started.call(POST, HALF, GONE)
    assert "failed" not in caplog.text
    assert crashes(settings) == []


@pytest.mark.anyio
@pytest.mark.parametrize("incoming", [[GONE], [HALF, GONE]])
async def test_hanging_up_hides_no_other_failure(settings, guarded, caplog, incoming):
    """Whatever fails besides is recorded, also where the client has gone."""
    app = app_of(Route("/", fail_otherwise, methods=["POST"]))
    async with guarded(app) as started:
        await started.call(POST, *incoming)
    assert "what has not come" in caplog.text
    assert len(crashes(settings)) == 1


@pytest.mark.anyio
async def test_a_cap_that_is_passed_after_the_answer_began_is_recorded(
    settings, guarded
):
    async def answers_first(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        with contextlib.suppress(Exception):
            while (await receive())["type"] == "http.request":
                pass
        await send({"type": "http.response.body", "body": b"swallowed"})

    class AnswersFirst:
        async def __call__(self, scope, receive, send):
            await answers_first(scope, receive, send)

    chunk = {"type": "http.request", "body": b"x" * 600_000, "more_body": True}
    headers = [(b"host", b"127.0.0.1:8000"), (b"transfer-encoding", b"chunked")]
    app = app_of(Route("/", AnswersFirst()))
    async with guarded(app) as started:
        scope = {"path": "/", "method": "POST", "headers": headers}
        await started.call(scope, *([chunk] * 5))
    ledger = (settings.data / "audit.jsonl").read_text()
    assert "traffic.body_too_large" in ledger


@pytest.mark.anyio
async def test_a_websocket_that_denies_and_then_fails_is_not_closed_again(guarded):
    class Denies:
        async def __call__(self, scope, receive, send):
            await receive()
            start = {"type": "websocket.http.response.start", "status": 403}
            await send({**start, "headers": []})
            await send({"type": "websocket.http.response.body", "body": b"no"})
            raise RuntimeError("afterwards")

    app = app_of(WebSocketRoute("/ws", Denies()))
    async with guarded(app) as started:
        sent = await started.call(
            {
                "type": "websocket",
                "path": "/ws",
                "extensions": {"websocket.http.response": {}},
            },
            {"type": "websocket.connect"},
        )
    assert [message["type"] for message in sent] == [
        "websocket.http.response.start",
        "websocket.http.response.body",
    ]


@pytest.mark.anyio
async def test_a_line_break_in_a_header_is_answered_for(guarded):
    """Response splitting: nothing of that answer leaves (CVE-2020-7695)."""

    async def splits(scope, receive, send):
        headers = [(b"x-name", b"a\r\nset-cookie: b=c")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    class Splits:
        async def __call__(self, scope, receive, send):
            await splits(scope, receive, send)

    async with guarded(app_of(Route("/", Splits()))) as started:
        (start, _) = await started.call({"path": "/"})
    assert start["status"] == 500


@pytest.mark.anyio
async def test_what_fails_with_a_whole_request_is_recorded(settings, guarded, caplog):
    """Whoever hangs up after an attack does not hide what it broke."""

    async def broken(request):
        await request.body()
        assert await request.is_disconnected()
        raise KeyError("a real failure")

    async with guarded(app_of(Route("/", broken, methods=["POST"]))) as started:
        await started.call(POST, WHOLE, GONE)
        assert started.guard._answers.hang_ups == 0
    assert "a real failure" in caplog.text
    assert len(crashes(settings)) == 1


@pytest.mark.anyio
async def test_what_fails_before_the_client_has_gone_is_recorded(
    settings, guarded, caplog
):
    async def broken(request):
        async for _ in request.stream():
            raise KeyError("a real failure")

    async with guarded(app_of(Route("/", broken, methods=["POST"]))) as started:
        await started.call(POST, HALF, GONE)
    assert "a real failure" in caplog.text
    assert len(crashes(settings)) == 1


async def echo(websocket):
    await websocket.accept()
    while True:
        await websocket.send_text(await websocket.receive_text())


async def clean_up_badly(websocket):
    await websocket.accept()
    with contextlib.suppress(WebSocketDisconnect):
        await websocket.receive_text()
    raise KeyError("a real failure")


@pytest.mark.anyio
@pytest.mark.parametrize(("endpoint", "count"), [(echo, 0), (clean_up_badly, 1)])
async def test_a_websocket_that_is_left_is_no_failure(
    settings, guarded, caplog, endpoint, count
):
    """Its handler is told by an exception, which few of them catch; what else it
    raises then is its own."""
    handshake = {
        "type": "websocket",
        "path": "/",
        "headers": [
            (b"host", b"127.0.0.1:8000"),
            (b"origin", b"http://127.0.0.1:8000"),
        ],
    }
    left = {"type": "websocket.disconnect", "code": 1006}
    async with guarded(app_of(WebSocketRoute("/", endpoint))) as started:
        sent = await started.call(handshake, {"type": "websocket.connect"}, left)
    assert [message["type"] for message in sent] == ["websocket.accept"]
    assert len(crashes(settings)) == count
    assert caplog.text.count("WEBSOCKET / failed") == count


def test_a_failure_loop_does_not_fill_the_log(settings, caplog):
    """Traces have a budget a second; what goes beyond is counted, and told."""
    clock = FakeClock()
    answers = Answers(settings, AuditLog([]), sign_in="", clock=clock)
    scope = {"type": "http", "method": "GET", "path": "/broken", "headers": []}
    error = KeyError("x")
    for _ in range(100):
        answers.log_failure(Exchange(scope, None), error)
    assert caplog.text.count("/broken failed") == 10
    clock.advance(1)
    answers.log_failure(Exchange(scope, None), error)
    assert caplog.text.count("/broken failed") == 11
    assert "90 failures before this one were not traced" in caplog.text
    answers.log_failure(Exchange(scope, None), error)
    assert caplog.text.count("were not traced") == 1


@pytest.mark.anyio
@pytest.mark.parametrize("name", [b"content-type", b"content-length"])
async def test_a_line_break_is_looked_for_in_everyday_headers_too(guarded, name):
    """The quick way of an ordinary answer is no way round."""

    class Splits:
        async def __call__(self, scope, receive, send):
            ending = b"" if scope["path"] == "/good" else b"\r\nset-cookie: b=c"
            start = {"status": 200, "headers": [(name, b"1" + ending)]}
            await send({"type": "http.response.start", **start})
            await send({"type": "http.response.body", "body": b"x"})

    paths = ("/good", "/good", "/bad")
    routes = [Route("/good", Splits()), Route("/bad", Splits())]
    async with guarded(app_of(*routes)) as started:
        answers = [await started.call({"path": path}) for path in paths]
    assert [answer[0]["status"] for answer in answers] == [200, 200, 500]
    assert not any(b"\r" in value for _, value in answers[-1][0]["headers"])


@pytest.mark.anyio
async def test_headers_may_come_one_by_one(guarded):
    """ASGI asks for an iterable, not for a list."""

    class Lazy:
        async def __call__(self, scope, receive, send):
            lines = iter([(b"content-type", b"text/plain")])
            await send({"type": "http.response.start", "status": 200, "headers": lines})
            await send({"type": "http.response.body", "body": b"x"})

    async with guarded(app_of(Route("/", Lazy()))) as started:
        (start, _) = await started.call({"path": "/"})
    names = [name for name, _ in start["headers"]]
    assert names.count(b"content-type") == 1
    assert b"x-content-type-options" in names


@pytest.mark.anyio
async def test_first_requests_that_come_together_start_the_guard_once(
    settings, monkeypatch
):
    """Where the server runs no lifespan: nothing is opened twice, nobody waits in
    vain."""
    guard = Guard(app_of(Route("/", lambda request: PlainTextResponse("x"))), settings)
    opened = []
    open_ = guard._open

    async def slowly():
        opened.append(1)
        await asyncio.sleep(0)
        await open_()

    monkeypatch.setattr(guard, "_open", slowly)
    transport = httpx2.ASGITransport(guard, client=("127.0.0.1", 5000))
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://127.0.0.1:8000"
    ) as client:
        answers = await asyncio.gather(*(client.get("/") for _ in range(5)))
    await guard._close()
    assert {answer.status_code for answer in answers} == {200}
    assert opened == [1]


@pytest.mark.anyio
async def test_hanging_up_is_seen_through_an_error_that_names_it(
    settings, guarded, caplog
):
    """``raise ... from``: the cause is what has happened, the rest is words."""

    async def rename(request):
        try:
            await request.body()
        except ClientDisconnect as gone:
            raise LookupError("nothing was sent") from gone

    async with guarded(app_of(Route("/", rename, methods=["POST"]))) as started:
        await started.call(POST, HALF, GONE)
        assert started.guard._answers.hang_ups == 1
    assert crashes(settings) == []


@pytest.mark.anyio
async def test_a_body_over_the_cap_is_answered_for_when_the_application_is_silent(
    guarded, settings_of
):
    """It has swallowed the refusal; the client learns the reason all the same."""

    class Swallows:
        async def __call__(self, scope, receive, send):
            with contextlib.suppress(Exception):
                while (await receive())["type"] == "http.request":
                    pass

    settings = settings_of(traffic={"max_body": 10})
    app = app_of(Route("/", Swallows(), methods=["POST"]))
    lines = [POST["headers"][0], (b"transfer-encoding", b"chunked")]
    many = {"type": "http.request", "body": b"x" * 11, "more_body": True}
    async with guarded(app, settings) as started:
        (start, _) = await started.call({**POST, "headers": lines}, many)
    assert start["status"] == 413
