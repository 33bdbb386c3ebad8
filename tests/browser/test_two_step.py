"""Setting up an app on a phone and signing in with it, in Chromium."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pyotp
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route
from tests.attacks.serving import served

from ringfence import Guard, Settings, access

EMAIL, PASSWORD = "ann@example.com", "plum kettle window 9"
PHONE = {"width": 360, "height": 740}


async def transfers(request: Request) -> HTMLResponse:
    return HTMLResponse("<title>Transfers</title><h1>Send money</h1>")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    data = tmp_path_factory.mktemp("two-step")

    def make(port):
        pages = [Route("/transfers", transfers)]
        api = Starlette(routes=access.routes(pages, access.factor("totp")))
        identity = {"sign_ins_per_address": 1000}
        settings = Settings.load(
            environ={}, env="development", data=data, identity=identity
        )
        return Guard(api, settings)

    with served(make) as server:
        yield server, data / "ringfence.db"


def let_time_pass(database):
    """Have every code that was used be a minute old."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE ringfence_factors SET counter = counter - 2")


def test_from_a_page_that_asks_for_it_to_the_next_sign_in(shop, visit):
    """Nothing on the way breaks the policy: no inline style, no picture of elsewhere;
    and nothing is wider than a phone."""
    server, database = shop
    witness = visit(server.url, viewport=PHONE)
    page = witness.page

    def fits():
        return page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    def sign_in(wanted):
        witness.goto(f"/auth/login?next={wanted}")
        page.get_by_label("E-mail address").fill(EMAIL)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in", exact=True).click()

    page.request.post("/auth/register", data={"email": EMAIL, "password": PASSWORD})
    sign_in("/transfers")
    page.wait_for_url("**/auth/confirm?factor=totp&next=**")
    page.get_by_role("link", name="Set one up").click()
    page.get_by_role("link", name="Set up", exact=True).click()
    drawn = page.locator("svg.qr").bounding_box()
    assert drawn["width"] == drawn["height"] > 150
    app = pyotp.TOTP("".join(page.locator(".key").inner_text().split()).upper())
    assert fits()
    page.get_by_label("Six-digit code").fill(app.now())
    page.get_by_label("Name of the app").fill("My phone")
    page.get_by_role("button", name="Turn it on").click()
    page.get_by_role("heading", name="Your recovery codes").wait_for()
    codes = page.locator(".codes code").all_inner_texts()
    assert len(codes) == 10
    assert page.get_by_role("button", name="Print").is_visible()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as a file").click()
    assert codes[9] in saved.value.path().read_text("utf-8")
    page.goto("/transfers")
    assert page.get_by_role("heading", name="Send money").is_visible()
    assert fits()
    let_time_pass(database)
    page.goto("/auth/two-step")
    assert page.get_by_text("My phone").is_visible()
    assert fits()
    page.goto("/auth/account")
    page.get_by_role("button", name="Sign out", exact=True).click()

    sign_in("/transfers")
    page.wait_for_url("**/auth/second-factor?next=**")
    page.wait_for_function("document.activeElement.id === 'code'")
    page.keyboard.type(app.now())
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Send money").wait_for()
    assert witness.violations() == []
