"""Confirming a session: a proof of presence for what should not be done by a thief."""

from unittest.mock import patch

import pytest
from tests.identity.gatehouse import EMAIL, HTML, PASSWORD, gatehouse, visit

from ringfence.audit.events import SessionConfirmed, SignInFailed
from ringfence.identity.accounts import Accounts

pytestmark = pytest.mark.anyio

COOKIE = "session-8000"


async def confirm(client, password=PASSWORD, **options):
    return await client.post("/auth/confirm", json={"password": password}, **options)


async def proved_at(house, client):
    """Return when the session stage says that the client was proved."""
    await client.get("/auth/me")
    return house.guard.exchanges[-1].principal.signed_in_at


async def test_the_password_makes_a_session_fresh(house, ann):
    began = house.clock.now
    house.clock.now += 1000
    assert await proved_at(house, ann) == began
    answer = await confirm(ann)
    assert answer.status_code == 200
    assert answer.json()["email"] == EMAIL
    assert await proved_at(house, ann) == house.clock.now
    (event,) = house.ledger.named(SessionConfirmed)
    assert event.account == answer.json()["id"]
    assert event.client == "127.0.0.1"


async def test_the_answer_carries_the_new_csrf_token(house, ann):
    """The session is a new one, so the old token is worth nothing."""
    before = (await ann.get("/auth/me")).json()["csrf_token"]
    answer = await confirm(ann)
    token = answer.json()["csrf_token"]
    assert token != before
    assert token == (await ann.get("/auth/me")).json()["csrf_token"]


async def test_a_stolen_cookie_does_not_become_fresh(house, ann):
    """The owner's proof renews the token; the thief keeps the old one, which ended."""
    stolen = ann.cookies[COOKIE]
    await confirm(ann)
    assert ann.cookies[COOKIE] != stolen
    async with house.client(cookies={COOKIE: stolen}) as thief:
        assert (await thief.get("/auth/me")).status_code == 401
    assert (await ann.get("/auth/me")).status_code == 200
    assert len((await ann.get("/auth/sessions")).json()) == 1


async def test_a_wrong_password_changes_nothing(house, ann):
    before = ann.cookies[COOKIE]
    house.clock.now += 700
    answer = await confirm(ann, "a guess that is wrong")
    assert answer.status_code == 403
    assert answer.json()["code"] == "identity.password_wrong"
    assert ann.cookies[COOKIE] == before
    assert await proved_at(house, ann) == house.clock.now - 700
    (event,) = house.ledger.named(SignInFailed)
    assert event.reason == "confirmation: wrong password"
    assert event.account
    assert "guess" not in repr(house.ledger.events)


async def test_confirming_does_not_put_off_the_absolute_end(house, ann):
    began = house.clock.now
    for _ in range(24):
        house.clock.now += 1_790
        answer = await confirm(ann)
        assert answer.status_code == 200
    (listed,) = (await ann.get("/auth/sessions")).json()
    assert listed["created"].startswith("1970-01-12T13:46:40")
    house.clock.now = began + 12 * 3600
    assert (await ann.get("/auth/me")).status_code == 401


async def test_who_has_the_cookie_guesses_no_better_here(house, ann):
    """The budgets are those of the sign-in: after them even the right one is wrong,
    for the thief; the owner's own device has its own."""
    stolen = {COOKIE: ann.cookies[COOKIE]}
    async with house.client("203.0.113.66", cookies=stolen) as thief:
        for number in range(12):
            await confirm(thief, f"guess number {number} of many")
        assert (await confirm(thief)).status_code in {403, 429}
    assert (await confirm(ann)).status_code == 200


async def test_a_confirmation_overtaken_by_a_change_of_password_is_refused(house, ann):
    """What the old password has proved is void with it."""
    await ann.get("/auth/me")
    exchange = house.guard.exchanges[-1]
    account = await house.accounts.confirm(exchange.principal.id, PASSWORD, exchange)
    store = house.accounts._store
    assert await store.set_password(account.id, "another hash", epoch=account.epoch)
    refused = await house.sessions.confirm(account, exchange, factor="password")
    assert refused.code == "identity.sign_in_failed"
    assert house.ledger.named(SessionConfirmed) == []


async def test_a_confirmation_without_a_session_is_refused(house):
    exchange = visit()
    account = await house.accounts.authenticate(EMAIL, PASSWORD, exchange)
    refused = await house.sessions.confirm(account, exchange, factor="password")
    assert refused.code == "identity.session_required"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_account_that_goes_meanwhile_confirms_nothing(house, ann, method):
    by_id = house.accounts._store.by_id

    async def gone(account_id):
        return None

    house.accounts._store.by_id = gone
    body = {"json": {"password": PASSWORD}} if method == "POST" else {}
    answer = await ann.request(method, "/auth/confirm", **body)
    assert answer.status_code in {401, 409}
    house.accounts._store.by_id = by_id


async def test_a_session_that_goes_meanwhile_is_not_renewed(house, ann):
    """The password is changed between the look and the new session."""
    confirm_account = house.accounts.confirm

    async def overtaken(account_id, password, exchange):
        account = await confirm_account(account_id, password, exchange)
        await house.accounts._store.set_password(account.id, "x", epoch=account.epoch)
        return account

    with patch.object(Accounts, "confirm", staticmethod(overtaken)):
        answer = await confirm(ann)
    assert answer.status_code == 401
    assert (await ann.get("/auth/me")).status_code == 401


async def test_nobody_confirms_who_is_not_signed_in(house, browser):
    assert (await confirm(browser)).status_code == 401
    assert (await browser.get("/auth/confirm")).status_code == 401


@pytest.mark.parametrize(
    "body", [{}, {"password": PASSWORD, "more": 1}, {"password": 7}]
)
async def test_a_body_of_another_shape_is_refused(ann, body):
    assert (await ann.post("/auth/confirm", json=body)).status_code == 422


async def test_the_page_leads_on_to_where_the_browser_wanted(ann):
    page = await ann.get("/auth/confirm?next=/transfers%3Fto=7", headers=HTML)
    assert page.status_code == 200
    assert "Confirm that it is you" in page.text
    assert EMAIL in page.text
    assert 'value="/transfers?to=7"' in page.text
    form = {"password": PASSWORD, "next": "/transfers?to=7"}
    answer = await ann.post("/auth/confirm", data=form, headers=HTML)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/transfers?to=7"


@pytest.mark.parametrize("wanted", ["//evil.example", "https://evil.example", "/\\e"])
async def test_the_page_leads_nowhere_else(ann, wanted):
    """An open redirect after a password would be believed (CWE-601)."""
    form = {"password": PASSWORD, "next": wanted}
    answer = await ann.post("/auth/confirm", data=form, headers=HTML)
    assert answer.headers["location"] == "/"


async def test_the_page_says_what_was_wrong_and_keeps_the_way(ann):
    form = {"password": "not the one", "next": "/transfers"}
    answer = await ann.post("/auth/confirm", data=form, headers=HTML)
    assert answer.status_code == 403
    assert 'href="#password"' in answer.text
    assert "The present password is not right." in answer.text
    assert 'value="/transfers"' in answer.text
    assert "not the one" not in answer.text


async def test_behind_a_prefix_everything_has_it(tmp_path):
    async with gatehouse(tmp_path, root_path="/shop") as house:
        await house.accounts.create(EMAIL, PASSWORD)
        async with house.client() as client:
            login = {"email": EMAIL, "password": PASSWORD}
            await client.post("/shop/auth/login", json=login)
            page = await client.get("/shop/auth/confirm", headers=HTML)
            assert 'action="/shop/auth/confirm"' in page.text
            form = {"password": PASSWORD}
            answer = await client.post("/shop/auth/confirm", data=form, headers=HTML)
            assert answer.headers["location"] == "/shop/"
