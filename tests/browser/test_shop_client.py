"""The shop with its scripts: a proof on the spot, and a sign-out for all tabs."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import httpx2
import pytest
from tests.attacks.serving import NO_TLS
from tests.attacks.shops import running_shop
from tests.browser.clients import PHONE, Tab

ACCOUNT = {"email": "dora@example.com", "password": "a long pass phrase"}


@pytest.fixture(scope="module")
def shop():
    with running_shop() as running:
        httpx2.post(f"{running.url}/auth/register", json=ACCOUNT, verify=NO_TLS)
        yield running


@pytest.fixture
def dora(shop, visit):
    witness = visit(shop.url, viewport=PHONE)
    witness.goto("/auth/login?next=/transfers/new")
    witness.page.get_by_label("E-mail address").fill(ACCOUNT["email"])
    witness.page.get_by_label("Password").fill(ACCOUNT["password"])
    witness.page.keyboard.press("Enter")
    witness.page.wait_for_url(lambda url: "/auth/" not in url)
    yield witness
    assert witness.violations() == []


def test_a_transfer_that_took_long_to_think_of(shop, dora):
    """What was typed stays, is sent once, and the page goes on as without scripts."""
    page = dora.page
    page.get_by_label("Their e-mail address").fill("erin@example.com")
    page.get_by_label("Euros").fill("1.25")
    with closing(sqlite3.connect(shop.data / "ringfence.db")) as db, db:
        db.execute("UPDATE ringfence_sessions SET proved = proved - 1000")
    page.get_by_role("button", name="Send", exact=True).click()
    dialog = page.get_by_role("dialog", name="Confirm that it is you")
    dialog.get_by_label("Password").fill(ACCOUNT["password"])
    dialog.get_by_role("button", name="Confirm").click()
    page.wait_for_url("**/transfers?done=sent")
    assert page.get_by_role("cell", name="erin@example.com").count() == 1


def test_what_is_wrong_is_shown_as_without_scripts(dora):
    dora.page.get_by_label("Their e-mail address").fill("nobody")
    dora.page.get_by_label("Euros").fill("1.25")
    dora.page.get_by_role("button", name="Send", exact=True).click()
    dora.page.get_by_text("does not look like an e-mail address").wait_for()


def test_a_sign_out_leaves_no_tab_behind(dora):
    other = Tab(dora.context.new_page())
    other.page.goto("/profile")
    dora.page.get_by_role("button", name="Sign out").click()
    dora.page.wait_for_url("**/auth/login?note=signed-out")
    other.page.wait_for_url("**/auth/login?note=signed-out")
    assert other.errors == []
    other.page.go_back()
    assert ACCOUNT["email"] not in other.page.content()
