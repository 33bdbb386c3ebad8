"""What a sign-out leaves in a real browser (CWE-525, CWE-613; ASVS 5.0 V14.3.1)."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route
from tests.browser.secure import in_production

from ringfence import access, current

ACCOUNT = {"email": "alice@example.com", "password": "a long pass phrase"}
FETCH = "fetch('/statement').then(answer => answer.status)"


async def start(request):
    return HTMLResponse("<title>start</title>")


async def balance(request):
    return HTMLResponse(f"<title>balance</title><p>{current.principal().id} has 100")


async def statement(request):
    """Answer with what the application wants to have kept in the browser."""
    kept = {"cache-control": "private, max-age=600"}
    return PlainTextResponse("100 euros", headers=kept)


@pytest.fixture(scope="module")
def bank():
    app = Starlette(
        routes=[
            *access.routes([Route("/", start)], access.public),
            *access.routes(
                [Route("/balance", balance), Route("/statement", statement)],
                access.signed_in,
            ),
        ]
    )
    with in_production(app) as running:
        yield running


@pytest.fixture
def alice(bank, visit):
    """Alice's browser, signed in by its own page."""
    witness = visit(bank.url, ignore_https_errors=True)
    witness.goto("/")
    witness.send("/auth/register", **ACCOUNT)
    assert witness.send("/auth/login", **ACCOUNT) == 200
    return witness


def names(witness):
    return {cookie["name"] for cookie in witness.context.cookies()}


def test_the_session_goes_and_the_device_stays(alice):
    """Trap 16: clearing all cookies would make a stranger of the owner's own device."""
    assert names(alice) == {"__Host-session", "__Host-device"}
    assert alice.send("/auth/logout") == 204
    assert names(alice) == {"__Host-device"}


def test_what_the_browser_had_kept_is_gone(alice):
    """Even where the application asked for it to be kept."""
    assert alice.page.evaluate(FETCH) == 200
    assert alice.send("/auth/logout") == 204
    assert alice.page.evaluate(FETCH) == 401


def test_the_way_back_shows_nothing(alice):
    """Whoever sits down next presses the back button."""
    alice.goto("/balance")
    alice.goto("/")
    assert alice.send("/auth/logout") == 204
    alice.page.go_back()
    assert "100" not in alice.page.content()
