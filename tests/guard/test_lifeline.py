"""WebSockets and streamed answers end when their session does."""

import asyncio

import pytest
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect

from ringfence import access
from ringfence.exchange import Exchange
from ringfence.guard.lifeline import Lifeline


class Session:
    """Ends when it is told to, as ``identity.live`` would tell it."""

    def __init__(self):
        self.end = None
        self.released = 0

    def watch(self, exchange, end):
        self.end = end
        return self.release

    def release(self):
        self.released += 1


class Wire:
    """The server's side of one connection."""

    def __init__(self):
        self.sent = []
        self.changed = asyncio.Event()

    async def send(self, message):
        self.sent.append(message)
        self.changed.set()

    async def receive(self):
        await asyncio.Event().wait()

    async def until(self, wanted):
        while not any(wanted(message) for message in self.sent):
            self.changed.clear()
            await self.changed.wait()


def scope_of(kind, path="/", cookie=b""):
    scope = {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "http" if kind == "http" else "ws",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "client": ("127.0.0.1", 5000),
        "server": ("127.0.0.1", 8000),
        "headers": [
            (b"host", b"127.0.0.1:8000"),
            (b"origin", b"http://127.0.0.1:8000"),
            (b"cookie", cookie),
        ],
    }
    if kind == "http":
        scope["method"] = "GET"
    return scope


async def sign_in(client):
    account = {"email": "ann@example.com", "password": "correct horse battery 42"}
    assert (await client.post("/auth/register", json=account)).status_code == 202
    answer = await client.post("/auth/login", json=account)
    token = answer.json()["csrf_token"]
    client.headers["x-csrf-token"] = token
    cookies = [f"{name}={value}" for name, value in client.cookies.items()]
    return "; ".join(cookies).encode()


@pytest.mark.anyio
async def test_signing_out_ends_an_event_stream(guarded):
    """The client's answer ends at once, though the application waits for an event; the
    application hears of it when it sends the next one."""
    events = asyncio.Queue()
    left = asyncio.Event()

    async def stream():
        try:
            while True:
                yield await events.get()
        finally:
            left.set()

    async def feed(request):
        return StreamingResponse(stream(), media_type="text/event-stream")

    app = Starlette(routes=access.routes([Route("/feed", feed)], access.signed_in))
    async with guarded(app) as started, started.client() as client:
        cookie = await sign_in(client)
        wire = Wire()
        events.put_nowait(b"data: 1\n\n")
        serving = asyncio.create_task(
            started.guard(scope_of("http", "/feed", cookie), wire.receive, wire.send)
        )
        await wire.until(lambda message: message.get("body") == b"data: 1\n\n")
        assert (await client.post("/auth/logout")).status_code < 400
        await wire.until(
            lambda message: (
                message["type"] == "http.response.body" and not message.get("more_body")
            )
        )
        events.put_nowait(b"data: secret\n\n")
        await asyncio.wait_for(serving, 5)
        await asyncio.wait_for(left.wait(), 5)
    assert not any(b"secret" in message.get("body", b"") for message in wire.sent)


@pytest.mark.anyio
async def test_signing_out_closes_a_websocket(guarded):
    heard = []

    async def chat(websocket):
        await websocket.accept()
        try:
            while True:
                heard.append(await websocket.receive_text())
        except WebSocketDisconnect as gone:
            heard.append(gone.code)

    routes = access.routes([WebSocketRoute("/chat", chat)], access.signed_in)
    async with (
        guarded(Starlette(routes=routes)) as started,
        started.client() as client,
    ):
        cookie = await sign_in(client)
        wire = Wire()
        incoming = asyncio.Queue()
        incoming.put_nowait({"type": "websocket.connect"})
        incoming.put_nowait({"type": "websocket.receive", "text": "hello"})
        serving = asyncio.create_task(
            started.guard(
                scope_of("websocket", "/chat", cookie), incoming.get, wire.send
            )
        )
        await wire.until(lambda message: message["type"] == "websocket.accept")
        assert (await client.post("/auth/logout")).status_code < 400
        await wire.until(lambda message: message["type"] == "websocket.close")
        await asyncio.wait_for(serving, 5)
    assert wire.sent[-1]["code"] == 1008
    assert heard[-1] == 1008


@pytest.mark.anyio
async def test_a_stream_with_a_length_is_left_short():
    """A download that ends early must not look whole, so nothing more is said."""
    session, wire = Session(), Wire()
    exchange = Exchange(scope_of("http"), wire.receive)
    line = Lifeline(exchange, wire.send, session.watch, sized=True)
    session.end()
    await asyncio.sleep(0)
    assert line.cut
    assert wire.sent == []
    assert await line.receive(wire.receive) == {"type": "http.disconnect"}


@pytest.mark.anyio
async def test_what_has_ended_by_itself_is_told_nothing_more():
    """The news may have been on its way: a second end is an error to servers."""
    session, wire = Session(), Wire()
    exchange = Exchange(scope_of("http"), wire.receive)
    line = Lifeline(exchange, wire.send, session.watch, sized=False)
    line.release()
    session.end()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert session.released == 1
    assert wire.sent == []


@pytest.mark.anyio
async def test_messages_arrive_while_the_session_lives():
    session, wire = Session(), Wire()
    exchange = Exchange(scope_of("websocket"), wire.receive)
    line = Lifeline(exchange, wire.send, session.watch, sized=False)

    async def receive():
        return {"type": "websocket.receive", "text": "hello"}

    assert (await line.receive(receive))["text"] == "hello"
    waiting = asyncio.create_task(line.receive(wire.receive))
    await asyncio.sleep(0)
    session.end()
    assert (await waiting)["type"] == "websocket.disconnect"


@pytest.mark.anyio
async def test_no_message_is_lost_to_who_waits_with_a_timeout():
    """A handler that looks after something else every few seconds stops waiting in the
    very moment in which a message comes, sooner or later."""
    session, wire, coming = Session(), Wire(), asyncio.Queue()
    exchange = Exchange(scope_of("websocket"), wire.receive)
    lifeline = Lifeline(exchange, wire.send, session.watch, sized=False)
    for number in range(4):
        waiting = asyncio.create_task(lifeline.receive(coming.get))
        await asyncio.sleep(0)
        coming.put_nowait({"type": "websocket.receive", "text": str(number)})
        for _ in range(number):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait((waiting,))
        if waiting.cancelled():
            waiting = asyncio.create_task(lifeline.receive(coming.get))
        async with asyncio.timeout(5):
            assert (await waiting)["text"] == str(number)
    before = len(asyncio.all_tasks())
    abandoned = asyncio.create_task(lifeline.receive(coming.get))
    await asyncio.sleep(0)
    abandoned.cancel()
    await asyncio.wait((abandoned,))
    lifeline.release()
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == before


@pytest.mark.anyio
async def test_what_ends_by_itself_is_forgotten(guarded, monkeypatch):
    async def pieces():
        yield b"one"
        yield b"two"

    async def feed(request):
        return StreamingResponse(pieces())

    app = Starlette(routes=access.routes([Route("/feed", feed)], access.signed_in))
    async with guarded(app) as started, started.client() as client:
        await sign_in(client)
        assert (await client.get("/feed")).text == "onetwo"
        assert started.guard._rooms.identity.sessions.live.count == 0


@pytest.mark.anyio
async def test_who_has_left_already_is_told_nothing():
    """The client closes at the very moment at which its session ends: no error is left
    in a task that nobody asks."""

    async def gone(message):
        raise ConnectionResetError

    session = Session()
    exchange = Exchange(scope_of("websocket"), None)
    line = Lifeline(exchange, gone, session.watch, sized=False)
    session.end()
    await line._farewell
    line.release()
