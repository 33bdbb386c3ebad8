"""A dry run lets pass and writes down; it covers little, and it ends by itself."""

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route

from ringfence import access, limit
from ringfence.browser.settings import BrowserSettings
from ringfence.denial import Answer, Denial
from ringfence.errors import SettingsError
from ringfence.exchange import Exchange, step_of
from ringfence.guard.dry_run import DryRun
from ringfence.settings import Settings
from ringfence.testing import FakeClock

DENIAL = Denial(403, "browser.cross_site", "No.")


async def hello(request):
    return PlainTextResponse("hello")


async def page(request):
    return HTMLResponse("<p>hello")


def in_days(days):
    return (datetime.now(UTC) + timedelta(days=days)).strftime("%Y-%m-%d")


def events(settings, name):
    lines = (settings.data / "audit.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == name]


def watching(clock, told, *parts):
    return DryRun(
        frozenset(parts),
        until=100.0,
        clock=clock,
        tell=lambda denial, exchange: told.append(denial.code),
    )


def exchange():
    return Exchange(
        {"type": "http", "method": "GET", "path": "/", "headers": []}, receive=None
    )


async def refuse(_):
    return DENIAL


@pytest.mark.anyio
async def test_what_would_be_refused_passes_and_is_told():
    told = []
    stage = watching(FakeClock(0.0), told, "csrf").watch("csrf", refuse)
    assert await stage(exchange()) is None
    assert told == ["browser.cross_site"]


@pytest.mark.anyio
async def test_it_ends_by_itself():
    clock, told = FakeClock(99.9), []
    stage = watching(clock, told, "csrf").watch("csrf", refuse)
    assert await stage(exchange()) is None
    clock.advance(0.1)
    assert await stage(exchange()) is DENIAL
    assert told == ["browser.cross_site"]


@pytest.mark.anyio
async def test_an_answer_is_no_refusal():
    """A preflight is answered as ever."""
    answer = Answer(204)

    async def preflight(_):
        return answer

    stage = watching(FakeClock(0.0), [], "csrf").watch("csrf", preflight)
    assert await stage(exchange()) is answer


def test_other_stages_stay_as_they_are():
    dry_run = watching(FakeClock(0.0), [], "limits")
    assert dry_run.watch("csrf", refuse) is refuse
    assert dry_run.watch("limits", None) is None
    assert step_of(dry_run.watch("limits", refuse)).__module__ == refuse.__module__


@pytest.mark.parametrize("part", ["access", "identity", "host", "request_line", "CSRF"])
def test_what_keeps_people_apart_cannot_be_tried_out(part):
    with pytest.raises(SettingsError, match="always refuses"):
        Settings(dry_run=(part,), dry_run_until=in_days(3))


@pytest.mark.parametrize("day", ["", "soon", "2027-02-30", "31.1.2027"])
def test_without_an_end_there_is_none(day):
    with pytest.raises(SettingsError, match="RINGFENCE_DRY_RUN_UNTIL="):
        Settings(dry_run=("limits",), dry_run_until=day)


@pytest.mark.anyio
async def test_an_end_that_is_far_away_is_refused(guarded, settings_of):
    settings = settings_of(dry_run=("limits",), dry_run_until=in_days(120))
    app = Starlette(routes=access.routes([Route("/", hello)], access.public))
    with pytest.raises(RuntimeError, match="90 days at most"):
        async with guarded(app, settings):
            pass


@pytest.mark.anyio
async def test_limits_and_csrf_are_watched_and_access_is_not(guarded, settings_of):
    settings = settings_of(dry_run=("limits", "csrf"), dry_run_until=in_days(3))
    routes = [
        *access.routes(
            [Route("/", hello, methods=["GET", "POST"])],
            access.public,
            limit("2/hour"),
        ),
        *access.routes([Route("/private", hello)], access.signed_in),
    ]
    app = Starlette(routes=routes)
    async with guarded(app, settings) as started, started.client() as client:
        for _ in range(4):
            assert (await client.get("/")).status_code == 200
        foreign = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
        assert (await client.post("/", headers=foreign)).status_code == 200
        assert (await client.get("/private")).status_code == 401
        sign_in = await client.post("/auth/login", headers=foreign, json={})
        assert sign_in.status_code == 403
    codes = [event["code"] for event in events(settings, "request_would_be_refused")]
    assert codes.count("traffic.rate_limited") >= 2
    assert any(code.startswith("browser.") for code in codes)


@pytest.mark.anyio
async def test_a_body_that_is_refused_while_it_is_watched_stays_refused():
    """It is used up by then: the application would wait for the rest for ever."""
    malformed = Denial(400, "traffic.bad_form", "No.")
    told, asked = [], exchange()

    async def look_for_a_token(exchange):
        exchange.denial = malformed  # as whoever watches over bodies does
        return malformed

    stage = watching(FakeClock(0.0), told, "csrf").watch("csrf", look_for_a_token)
    assert await stage(asked) is malformed
    assert told == []


@pytest.mark.anyio
async def test_policies_only_report_until_the_end(guarded, settings_of):
    settings = settings_of(
        dry_run=("csp",), dry_run_until=in_days(3), browser={"reports": True}
    )
    app = Starlette(routes=access.routes([Route("/", page)], access.public))
    async with guarded(app, settings) as started, started.client() as client:
        watched = await client.get("/")
        assert "content-security-policy-report-only" in watched.headers
        assert "content-security-policy" not in watched.headers
        own = await client.get("/auth/login", headers={"accept": "text/html"})
        assert "content-security-policy" in own.headers
        end = started.guard._end_of_dry_run
        assert 0 < end.when() - asyncio.get_running_loop().time() <= 3 * 86_400
        started.guard._guarded.enforce_policies()  # what the timer calls
        after = await client.get("/")
        assert "content-security-policy" in after.headers
        assert "content-security-policy-report-only" not in after.headers


def test_the_end_is_midnight_utc():
    settings = Settings(dry_run=("limits",), dry_run_until="2027-01-31")
    assert time.gmtime(settings.dry_run_ends)[:6] == (2027, 1, 31, 0, 0, 0)


def test_a_policy_whose_reports_nobody_takes_is_not_tried_out():
    with pytest.raises(SettingsError, match="RINGFENCE_BROWSER_REPORTS=true"):
        Settings(
            dry_run=("csp",),
            dry_run_until=in_days(3),
            browser=BrowserSettings(reports=False),
        )
