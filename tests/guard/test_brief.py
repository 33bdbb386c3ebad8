"""A flood is turned away for less than an answer costs, and counted."""

import json

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute

from ringfence import access, cors, limit
from ringfence.audit.log import AuditLog
from ringfence.denial import Denial
from ringfence.guard.answers import Answers


async def hello(request):
    return PlainTextResponse("hello")


@pytest.fixture
def settings(settings_of):
    return settings_of(
        traffic={"limits_address": "2/day"}, audit={"floods_per_second": 3}
    )


@pytest.mark.anyio
async def test_of_a_flood_some_are_written_down_and_all_are_counted(guarded, settings):
    app = Starlette(routes=access.routes([Route("/", hello)], access.public))
    async with guarded(app, settings) as started, started.client() as client:
        answers = [await client.get("/") for _ in range(60)]
    refused = answers[2:]
    assert {answer.status_code for answer in refused} == {429}
    for answer in refused:
        assert answer.json()["code"] == "traffic.rate_limited"
        assert int(answer.headers["retry-after"]) > 80_000
        assert answer.headers["content-type"] == "application/problem+json"
    lines = (settings.data / "audit.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    written = [event for event in events if event.get("code") == "traffic.rate_limited"]
    lost = sum(
        event["count"] for event in events if event["event"] == "audit_events_lost"
    )
    assert 3 <= len(written) < 58
    assert len(written) + lost == 58
    ids = {answer.json().get("request_id") for answer in refused}
    assert {event["request_id"] for event in written} == ids - {None}


@pytest.mark.anyio
async def test_another_refusal_in_the_flood_is_written_down(guarded, settings):
    """Somebody who asks from elsewhere for what is not theirs is not hidden by it."""
    routes = access.routes([Route("/", hello)], access.public)
    hidden = access.routes([Route("/hidden", hello)], access.signed_in)
    app = Starlette(routes=[*routes, *hidden])
    async with guarded(app, settings) as started, started.client() as client:
        assert (await client.get("/hidden")).status_code == 401
        for _ in range(40):
            await client.get("/")
    text = (settings.data / "audit.jsonl").read_text()
    assert "access.not_signed_in" in text


def counted(settings):
    """Return how many limited requests were written down, and how many counted."""
    lines = (settings.data / "audit.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    written = sum(event.get("code") == "traffic.rate_limited" for event in events)
    lost = sum(event.get("count", 0) for event in events)
    return written, lost


@pytest.mark.anyio
@pytest.mark.parametrize("marks", [(), (cors("https://app.example"),)])
async def test_sharing_with_other_origins_makes_no_flood_dear(
    guarded, settings_of, marks
):
    """The ledger of a service with a front end of its own would fill the disk."""
    settings = settings_of(
        audit={"floods_per_second": 3},
        browser={} if marks else {"cors_origins": ("https://app.example",)},
        traffic={} if marks else {"limits_address": "2/day"},
    )
    marks = (*marks, limit("2/day")) if marks else ()
    app = Starlette(routes=access.routes([Route("/", hello)], access.public, *marks))
    asking = {"origin": "https://app.example"}
    async with guarded(app, settings) as started, started.client() as client:
        answers = [await client.get("/", headers=asking) for _ in range(60)]
    for answer in answers[2:]:
        assert answer.status_code == 429
        lines = answer.headers.get_list("access-control-allow-origin")
        assert lines == ["https://app.example"]
    written, lost = counted(settings)
    assert 3 <= written < 58
    assert written + lost == 58


@pytest.mark.anyio
async def test_a_flood_of_handshakes_is_written_down_within_the_same_bounds(
    guarded, settings
):
    async def chat(websocket):
        await websocket.accept()
        await websocket.close()

    app = Starlette(routes=access.routes([WebSocketRoute("/", chat)], access.public))
    handshake = {"type": "websocket", "path": "/", "scheme": "ws", "subprotocols": []}
    connect = {"type": "websocket.connect"}
    async with guarded(app, settings) as started:
        sent = [await started.call(handshake, connect) for _ in range(60)]
    assert [one[0]["type"] for one in sent].count("websocket.accept") == 2
    assert all(one == [{"type": "websocket.close", "code": 1008}] for one in sent[2:])
    written, lost = counted(settings)
    assert 3 <= written < 58
    assert written + lost == 58


@pytest.mark.anyio
async def test_the_shortest_answers_do_not_fill_the_memory(settings):
    """Each second that somebody has to wait is an answer of its own."""
    answers = Answers(settings, AuditLog([]), sign_in="")
    made = [
        Denial(429, f"traffic.try_{n}", "Too often.", brief=True) for n in range(600)
    ]
    for denial in made:
        _, body = answers._briefly(denial)
        assert denial.code.encode() in body["body"]
    assert len(answers._brief) <= 256
