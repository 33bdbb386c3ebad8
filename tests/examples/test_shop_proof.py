"""What cannot be undone asks for a recent proof: sending credit, removing accounts."""

from urllib.parse import parse_qs, urlsplit

import pytest
from tests.examples.conftest import HOME, OWN_PAGE, PASSWORD

from ringfence.testing import assert_refused

pytestmark = pytest.mark.anyio


def transfer(to):
    return {"to": to.email, "amount": 1_000}


async def test_a_session_that_was_left_open_sends_no_credit(town, ada, bob):
    """Orders go on, credit does not: what is sent is gone (CWE-306)."""
    await town.let_minutes_pass(16)
    answer = await ada.api.post("/api/transfers", json=transfer(bob))
    assert_refused(answer, "access.not_fresh", 401)
    form = {"to": bob.email, "amount": "10"}
    assert (await ada.post("/transfers", **form)).status_code == 401
    assert await ada.balance() == 10_000
    answer = await ada.api.post("/api/orders", json={"product_id": "kale"})
    assert answer.status_code == 201


async def test_a_program_confirms_and_sends(town, ada, bob):
    await town.let_minutes_pass(16)
    refused = (await ada.api.post("/api/transfers", json=transfer(bob))).json()
    answer = await ada.api.post(refused["confirm"], json={"password": PASSWORD})
    assert answer.status_code == 200
    ada.api.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
    answer = await ada.api.post("/api/transfers", json=transfer(bob))
    assert answer.status_code == 201


async def test_a_browser_is_led_to_the_password_and_back(town, ada):
    """Before the form is shown, so that nothing typed is lost."""
    await town.let_minutes_pass(11)
    assert (await ada.page.get("/transfers", headers=OWN_PAGE)).status_code == 200
    answer = await ada.page.get("/transfers/new", headers=OWN_PAGE)
    assert answer.status_code == 303
    way = urlsplit(answer.headers["location"])
    assert way.path == "/auth/confirm"
    assert parse_qs(way.query) == {"next": ["/transfers/new"]}
    fields = {"password": PASSWORD, "next": "/transfers/new"}
    answer = await ada.post("/auth/confirm", **fields)
    assert answer.headers["location"] == "/transfers/new"
    answer = await ada.page.get("/transfers/new", headers=OWN_PAGE)
    assert answer.status_code == 200


async def test_a_form_that_comes_too_late_leads_back_to_its_page(town, ada, bob):
    await town.let_minutes_pass(16)
    ada.page.headers["Referer"] = f"{HOME}/transfers/new"
    answer = await ada.post("/transfers", to=bob.email, amount="10")
    assert answer.status_code == 401
    assert '<a href="/auth/confirm?next=%2Ftransfers%2Fnew">' in answer.text


async def test_there_is_time_to_fill_in_the_form(town, ada, bob):
    """A form that was shown may be sent five minutes later."""
    await town.let_minutes_pass(14)
    answer = await ada.post("/transfers", to=bob.email, amount="10")
    assert answer.headers["location"] == "/transfers?done=sent"


async def test_a_session_that_was_left_open_removes_nobody(town, ada, olga):
    await town.let_minutes_pass(16)
    answer = await olga.api.delete(f"/api/admin/users/{ada.id}")
    assert_refused(answer, "access.not_fresh", 401)
    assert (await olga.post(f"/admin/users/{ada.id}/remove")).status_code == 401
    page = await olga.page.get(f"/admin/users/{ada.id}/remove", headers=OWN_PAGE)
    assert page.headers["location"].startswith("/auth/confirm?next=")
    assert await ada.balance() == 10_000


async def test_a_customer_is_not_asked_for_a_password_in_vain(town, ada, bob):
    """Whoever lacks the role hears of that, fresh or not."""
    await town.let_minutes_pass(16)
    answer = await bob.api.delete(f"/api/admin/users/{ada.id}")
    assert_refused(answer, "access.not_allowed", 403)
