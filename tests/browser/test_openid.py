"""Signing in with another provider, in Chromium: there and back by clicks."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route
from tests.attacks.serving import served
from tests.identity.openid.guarded import settings_of
from tests.servers.openid_provider import ANN, running_provider

from ringfence import Guard, Settings, access

PASSWORD = "plum kettle window 9"


async def orders(request: Request) -> HTMLResponse:
    return HTMLResponse("<title>Orders</title><h1>Your orders</h1>")


@pytest.fixture(scope="module")
def provider():
    with running_provider(asks=True) as running:
        yield running


@pytest.fixture(scope="module")
def shop(provider, tmp_path_factory):
    data = tmp_path_factory.mktemp("openid")

    def make(port):
        routes = access.routes([Route("/orders", orders)], access.signed_in)
        settings = Settings.load(
            environ={},
            env="development",
            data=data,
            openid=settings_of(provider.settings()),
        )
        return Guard(Starlette(routes=routes), settings)

    with served(make) as server:
        yield server


def test_there_and_back_by_clicks(shop, provider, visit):
    """From a page that asks for a sign-in, over the provider, to that very page."""
    provider.person = {**ANN, "sub": "clicks", "email": "clicks@example.com"}
    witness = visit(shop.url)
    page = witness.page
    page.goto("/orders")
    page.get_by_role("link", name="Sign in with Honest").click()
    page.get_by_role("link", name="Yes, sign in as Ann").click()
    page.get_by_role("heading", name="Your orders").wait_for()
    assert page.url == f"{shop.url}/orders"
    assert not [c for c in page.context.cookies() if c["name"].startswith("openid-")]
    assert witness.violations() == []


def test_an_account_is_connected_and_disconnected_by_clicks(shop, provider, visit):
    """The form leads on by a page of ours, since ``form-action 'self'`` lets no form
    lead to another site."""
    body = {"email": "bob@example.com", "password": PASSWORD}
    provider.person = {**ANN, "sub": "bob-1", "email": body["email"]}
    witness = visit(shop.url)
    page = witness.page
    page.request.post("/auth/register", data=body)
    page.request.post("/auth/login", data=body)
    page.goto("/auth/account")
    page.get_by_role("link", name="See what is connected").click()
    page.get_by_role("button", name="Connect Honest").click()
    page.get_by_role("link", name="Yes, sign in as Ann").click()
    page.wait_for_url("**/auth/openid?note=linked")
    assert "Connected as bob@example.com" in page.locator("main").inner_text()
    page.get_by_role("button", name="Disconnect Honest").click()
    page.wait_for_url("**/auth/openid?note=unlinked")
    assert "Not connected" in page.locator("main").inner_text()
    assert witness.violations() == []


def test_a_refusal_is_a_page_of_ours(shop, provider, visit):
    """Who says no over there is told so, and finds another way in."""
    page = visit(shop.url).page
    page.goto("/auth/login")
    provider.error = "access_denied"
    try:
        page.get_by_role("link", name="Sign in with Honest").click()
        page.get_by_role("link", name="Yes, sign in as Ann").click()
        page.get_by_role("alert").wait_for()
    finally:
        provider.error = ""
    assert "was not allowed to tell" in page.get_by_role("alert").inner_text()
    page.get_by_role("link", name="sign in", exact=True).click()
    page.get_by_label("E-mail address").wait_for()
