"""What a sign-out leaves in a real browser (CWE-525, CWE-613; ASVS 5.0 V14.3.1)."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route
from tests.attacks.serving import served
from tests.browser.witness import SEND

from ringfence import Guard, Settings, access, current

ACCOUNT = {"email": "alice@example.com", "password": "a long pass phrase"}
FETCH = "fetch('/statement').then(async a => [a.status, await a.text()])"


async def start(request):
    return HTMLResponse("<title>start</title>")


async def balance(request):
    return HTMLResponse(f"<title>balance</title><p>{current.principal().id} has 100")


async def statement(request):
    """Answer with what the application wants to have kept in the browser."""
    kept = {"cache-control": "private, max-age=600"}
    return PlainTextResponse("100 euros", headers=kept)


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    app = Starlette(
        routes=[
            *access.routes([Route("/", start)], access.public),
            *access.routes(
                [Route("/balance", balance), Route("/statement", statement)],
                access.signed_in,
            ),
        ]
    )
    # In development: a browser caches nothing that comes by a certificate it cannot
    # check, so that over the tests' own https there would be nothing to see.
    data = tmp_path_factory.mktemp("bank")

    def guarded(_):
        settings = Settings.load(environ={}, env="development", data=data)
        return Guard(app, settings)

    with served(guarded) as running:
        yield running


@pytest.fixture
def alice(bank, browser):
    """Alice's page, signed in by itself. Not a witness: a browser whose requests are
    intercepted keeps nothing in its cache."""
    context = browser.new_context(base_url=bank.url)
    page = context.new_page()
    page.goto("/")
    assert sent(page, "/auth/register", ACCOUNT) in {200, 201, 202}
    assert sent(page, "/auth/login", ACCOUNT) == 200
    yield page
    context.close()


def sent(page, path, fields):
    return page.evaluate(SEND, [path, fields])


def cookies(page):
    return {cookie["name"].partition("-")[0] for cookie in page.context.cookies()}


def test_the_session_goes_and_the_device_stays(alice):
    """Trap 16: clearing all cookies would make a stranger of the owner's own device."""
    assert cookies(alice) == {"session", "device"}
    assert sent(alice, "/auth/logout", {}) == 204
    assert cookies(alice) == {"device"}


def test_what_the_browser_had_kept_is_gone(alice):
    """Even where the application asked for it to be kept."""
    for _ in range(2):
        assert alice.evaluate(FETCH) == [200, "100 euros"]
    assert sent(alice, "/auth/logout", {}) == 204
    assert alice.evaluate(FETCH)[0] == 401


def test_the_way_back_shows_nothing(alice):
    """Whoever sits down next presses the back button."""
    alice.goto("/balance")
    assert "has 100" in alice.content()
    alice.goto("/")
    assert sent(alice, "/auth/logout", {}) == 204
    alice.go_back()
    assert "has 100" not in alice.content()
