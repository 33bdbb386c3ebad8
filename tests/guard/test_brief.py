"""A flood is turned away for less than an answer costs, and counted."""

import json

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from ringfence import access


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
