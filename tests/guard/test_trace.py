"""The ledger tells which stages a refused request has passed, and which refused it."""

import json

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from ringfence import access


async def order(request):
    return PlainTextResponse("an order")


def shop():
    route = Route("/orders/{number}", order, methods=["GET", "POST"])
    return Starlette(routes=access.routes([route], access.signed_in))


@pytest.fixture
def refused(guarded, settings):
    """Return a function that asks, and returns what the ledger says about it."""

    async def ask(method, path, **headers):
        async with guarded(shop()) as started, started.client() as client:
            answer = await client.request(method, path, headers=headers)
        lines = (settings.data / "audit.jsonl").read_text().splitlines()
        request_id = answer.json()["request_id"]
        (event,) = (
            event
            for event in map(json.loads, lines)
            if event.get("request_id") == request_id
        )
        return event

    return ask


@pytest.mark.anyio
async def test_the_stages_stand_in_their_order(refused):
    event = await refused("GET", "/orders/7")
    assert event["route"] == "/orders/{number}"
    assert event["stage"] == "access.stage"
    assert event["passed"][:3] == [
        "traffic.request_line",
        "traffic.client_ip",
        "traffic.host",
    ]
    assert "identity.sessions" in event["passed"]
    assert event["unasked"] == ["browser.csrf", "interpreters.validation.stage"]


@pytest.mark.anyio
async def test_who_is_turned_away_in_the_street_has_no_route(refused):
    event = await refused("GET", "/orders/7", host="evil.example")
    assert event["stage"] == "traffic.host"
    assert "route" not in event
    assert event["passed"] == ["traffic.request_line", "traffic.client_ip"]


@pytest.mark.anyio
async def test_a_path_without_a_plan_says_so(refused):
    event = await refused("GET", "/nothing")
    assert event["stage"] == "guard.stages"
    assert event["code"] == "guard.no_route"
