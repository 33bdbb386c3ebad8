"""The address to which browsers report, through the whole guard."""

import json
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from ringfence import Guard, access
from ringfence.errors import PlanError

pytestmark = pytest.mark.anyio

PATH = "/.well-known/ringfence-reports"
OLD = {"content-type": "application/csp-report"}
REPORT = {
    "csp-report": {
        "document-uri": "http://127.0.0.1:8000/page",
        "effective-directive": "script-src-elem",
        "blocked-uri": "inline",
    }
}


async def anything(scope, receive, send):
    await PlainTextResponse("the application")(scope, receive, send)


def app():
    """An application that answers everything itself, everywhere."""
    return Starlette(routes=access.routes([Mount("/", anything)], access.public))


@pytest.fixture
def written(settings):
    """Return a function that returns the reports in the ledger."""

    def read():
        lines = (Path(settings.data) / "audit.jsonl").read_text().splitlines()
        events = map(json.loads, lines)
        return [event for event in events if event["event"] == "browser_report"]

    return read


async def test_a_report_reaches_the_ledger_and_not_the_application(guarded, written):
    async with guarded(app()) as started, started.client() as client:
        answer = await client.post(PATH, json=REPORT, headers=OLD)
    assert (answer.status_code, answer.content) == (204, b"")
    (event,) = written()
    assert event["client"] == "127.0.0.1"
    assert event["page"] == "http://127.0.0.1:8000/page"
    assert event["request_id"]


async def test_a_browser_is_let_in_as_it_comes(guarded, written):
    """It sends the session cookie, its origin, and no token."""
    coming = {**OLD, "sec-fetch-site": "same-origin", "origin": "http://127.0.0.1:8000"}
    async with guarded(app()) as started, started.client() as client:
        account = {"email": "ann@example.com", "password": "correct horse battery"}
        await client.post("/auth/register", json=account)
        assert (await client.post("/auth/login", json=account)).status_code == 200
        answer = await client.post(PATH, json=REPORT, headers=coming)
    assert answer.status_code == 204
    assert len(written()) == 1


async def test_other_methods_go_where_they_went(guarded):
    async with guarded(app()) as started, started.client() as client:
        assert (await client.get(PATH)).text == "the application"


async def parts(size):
    yield json.dumps(REPORT).encode()
    for _ in range(size // 10_000):
        yield b" " * 10_000


async def test_a_body_that_is_too_large_is_not_read(guarded, written):
    async with guarded(app()) as started, started.client() as client:
        announced = b" " * 65_537 + json.dumps(REPORT).encode()
        told = await client.post(PATH, content=announced, headers=OLD)
        untold = await client.post(PATH, content=parts(70_000), headers=OLD)
        assert written() == []
        honest = await client.post(PATH, content=parts(60_000), headers=OLD)
    assert (told.status_code, untold.status_code) == (204, 413)
    assert (honest.status_code, len(written())) == (204, 1)


async def test_a_flood_is_answered_alike_and_written_within_bounds(guarded, written):
    async with guarded(app()) as started, started.client() as client:
        answers = {
            (await client.post(PATH, json=REPORT, headers=OLD)).status_code
            for _ in range(50)
        }
    assert answers == {204}
    assert 10 <= len(written()) <= 30


async def test_it_stands_in_the_plan(settings):
    (plan,) = (one for one in Guard(app(), settings).plan if one.path == PATH)
    assert (plan.methods, str(plan.policy), plan.csrf) == (("POST",), "public", "off")
    assert plan.body_limit == 65_536


async def test_without_reports_there_is_no_such_address(settings, restarting):
    off = settings.__class__.load(
        toml=None,
        environ={},
        env="development",
        data=settings.data,
        browser={"reports": False},
    )
    guard = Guard(Starlette(), off)
    assert PATH not in {plan.path for plan in guard.plan}
    async with restarting(guard) as started, started.client() as client:
        answer = await client.post(PATH, json=REPORT, headers=OLD)
    assert answer.status_code == 404


async def test_an_applications_own_route_there_stops_the_start(settings):
    async def theirs(request):
        return PlainTextResponse("")

    routes = access.routes([Route(PATH, theirs, methods=["POST"])], access.public)
    with pytest.raises(PlanError, match=r"theirs .*RINGFENCE_BROWSER_REPORT_PATH"):
        Guard(Starlette(routes=routes), settings)
