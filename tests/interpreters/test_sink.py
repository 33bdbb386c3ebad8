"""Who is asking at a sink, and what an objection leads to."""

import asyncio
import threading

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from tests.guard.conftest import Started, running
from tests.interpreters.test_untrusted import exchange

from ringfence import Guard, Settings, access
from ringfence.audit.events import InjectionStopped
from ringfence.audit.log import AuditLog
from ringfence.errors import InjectionRefusedError
from ringfence.exchange import active, live, own_work
from ringfence.interpreters.objection import object_to as refuse_value
from ringfence.interpreters.sink import Sink, here

SINK = Sink("sql", "a test")
ATTACK = "x' OR 1"


def object_to(text):
    """A sink that refuses every input that it sees."""
    whom = here()
    if whom is not None:
        for found in whom.inputs.found_in(text, least=3):
            whom.refuse(SINK, "an input is code here", found.input)


async def vulnerable(request):
    object_to(request.query_params["q"])
    return PlainTextResponse("carried out")


async def forgiving(request):
    try:
        object_to(request.query_params["q"])
    except Exception:  # noqa: BLE001 - as careless handlers do
        return PlainTextResponse("nothing happened")
    return PlainTextResponse("carried out")


async def cautious(request):
    """A safe way is given what it does not take."""
    refuse_value(SINK, "a value that is none")


async def in_a_task(request):
    await asyncio.create_task(vulnerable(request))
    return PlainTextResponse("carried out")


async def in_a_thread(request):
    """A plain thread carries no context."""
    raised = []

    def work():
        try:
            object_to(request.query_params["q"])
        except InjectionRefusedError as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    await asyncio.to_thread(thread.join)
    return PlainTextResponse("refused" if raised else "carried out")


async def body(request):
    object_to((await request.json())["q"])
    return PlainTextResponse("carried out")


async def socket(websocket):
    await websocket.accept()
    object_to(await websocket.receive_text())
    await websocket.send_text("carried out")


def backend(tmp_path, **settings):
    routes = [
        Route("/vulnerable", vulnerable),
        Route("/forgiving", forgiving),
        Route("/cautious", cautious),
        Route("/task", in_a_task),
        Route("/thread", in_a_thread),
        Route("/body", body, methods=["POST"]),
        WebSocketRoute("/socket", socket),
    ]
    app = Starlette(routes=access.routes(routes, access.public))
    given = Settings.load(environ={}, env="development", data=tmp_path, **settings)
    return Guard(app, given)


@pytest.fixture
async def started(tmp_path):
    guard = backend(tmp_path)
    async with running(guard):
        yield Started(guard)
    assert not live


@pytest.fixture
def told(monkeypatch):
    """The events that are recorded."""
    events = []
    record = AuditLog.record

    def also(self, event):
        events.append(event)
        record(self, event)

    monkeypatch.setattr(AuditLog, "record", also)
    return events


pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("path", ["/vulnerable", "/forgiving", "/task"])
async def test_the_guard_answers(started, path):
    """With 403, whatever the handler has made of the exception."""
    async with started.client() as client:
        answer = await client.get(path, params={"q": ATTACK})
    assert answer.status_code == 403
    assert answer.json()["code"] == "interpreters.sql"
    assert ATTACK not in answer.text


async def test_a_safe_way_does_not_speak_of_code(started):
    """Who has named a file with a slash in it is no attacker, and is not called one."""
    async with started.client() as client:
        answer = await client.get("/cautious")
    assert answer.status_code == 400
    assert answer.json()["detail"] == "Part of what was sent cannot be used here."


async def test_honest_requests_pass(started):
    """A sink that finds nothing of the request lets it pass."""
    async with started.client() as client:
        answer = await client.get("/vulnerable", params={"q": "ab"})
    assert answer.text == "carried out"


async def test_body(started):
    async with started.client() as client:
        answer = await client.post("/body", json={"q": ATTACK})
    assert answer.status_code == 403


async def test_thread_without_context(started):
    """Code of which nobody knows whom it works for is judged by all that is asked."""
    async with started.client() as client:
        answer = await client.get("/thread", params={"q": ATTACK})
    assert answer.text == "refused"


async def test_message_of_a_websocket(started):
    """The connection is closed, and nothing more is said on it."""
    sent = await started.call(
        {"type": "websocket", "path": "/socket", "subprotocols": [], "scheme": "ws"},
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": ATTACK},
    )
    assert [message["type"] for message in sent] == [
        "websocket.accept",
        "websocket.close",
    ]


async def test_it_is_written_down(tmp_path, told):
    """Where it came in, what it was about to reach, and nothing of what it was."""
    guard = backend(tmp_path)
    async with running(guard):
        started = Started(guard)
        async with started.client() as client:
            await client.get("/vulnerable", params={"q": ATTACK})
    (event,) = [event for event in told if isinstance(event, InjectionStopped)]
    assert (event.interpreter, event.driver) == ("sql", "a test")
    assert (event.route, event.place, event.field) == ("/vulnerable", "query", "q")
    assert event.request_id
    assert not event.watched
    assert ATTACK not in repr(event)


async def test_dry_run_lets_pass_and_tells(tmp_path, told):
    """A sink that is only watched refuses nothing."""
    guard = backend(tmp_path, dry_run=("sinks",), dry_run_until="2026-12-31")
    async with running(guard), Started(guard).client() as client:
        answer = await client.get("/vulnerable", params={"q": ATTACK})
    assert answer.text == "carried out"
    assert [e.watched for e in told if isinstance(e, InjectionStopped)]


async def test_own_work_is_for_nobody():
    """What the guard does in the background is not of whoever is being answered."""
    request = exchange(query=b"q=x")
    live.add(request)
    try:
        assert here() is not None
        own_work.set(True)
        assert here() is None
    finally:
        live.discard(request)


async def test_nobody_is_asking():
    """Outside requests nothing is judged."""
    assert active.get() is None
    assert here() is None
