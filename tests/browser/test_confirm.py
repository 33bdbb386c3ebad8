"""A page that asks for a recent proof: to the confirmation and back, in Chromium."""

from __future__ import annotations

import sqlite3
from contextlib import closing

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
    data = tmp_path_factory.mktemp("confirm")

    def make(port):
        pages = [Route("/transfers", transfers)]
        api = Starlette(routes=access.routes(pages, access.fresh(minutes=10)))
        settings = Settings.load(
            environ={},
            env="development",
            data=data,
            identity={"sign_ins_per_address": 1000},
        )
        return Guard(api, settings)

    with served(make) as server:
        yield server, data / "ringfence.db"


def change(database, statement):
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(statement)


@pytest.fixture(params=["light", "dark"])
def ann(request, shop, visit):
    """Ann's phone, signed in too long ago."""
    server, database = shop
    witness = visit(server.url, viewport=PHONE, color_scheme=request.param)
    page = witness.page
    page.request.post("/auth/register", data={"email": EMAIL, "password": PASSWORD})
    witness.goto("/auth/login?next=/auth/account")
    page.get_by_label("E-mail address").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/auth/account")
    change(database, "UPDATE ringfence_sessions SET proved = proved - 601")
    return witness


def test_the_way_there_and_back_by_keyboard(ann):
    """The password field has the focus, and the browser knows whose password it is."""
    page = ann.page
    page.goto("/transfers?to=7")
    page.wait_for_url("**/auth/confirm?next=**")
    page.wait_for_function("document.activeElement.id === 'password'")
    page.keyboard.type("not the right one")
    page.keyboard.press("Enter")
    page.get_by_role("alert").wait_for()
    assert "not right" in page.get_by_role("alert").inner_text()
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/transfers?to=7")
    assert page.get_by_role("heading", name="Send money").is_visible()
    assert ann.violations() == []


def test_a_move_is_shown_and_settled(ann, shop):
    """On the account page, within the width of a phone, with both ways out."""
    change(
        shop[1],
        "UPDATE ringfence_sessions SET moved_at = last_seen, "
        "moved_network = '2001:db8:1234:5678::/64', moved_device = 'Chrome on Windows'",
    )
    page = ann.page
    page.goto("/auth/account")
    notice = page.get_by_role("alert")
    assert "Chrome on Windows at 2001:db8:1234:5678::/64" in notice.inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    notice.get_by_role("link", name="confirm it with your password").click()
    page.wait_for_url("**/auth/confirm?next=**")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    page.wait_for_url("**/auth/account")
    assert page.get_by_role("alert").count() == 0
    assert ann.errors == []
