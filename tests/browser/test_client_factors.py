"""The browser client with passkeys, second factors and tokens in cookies."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from tests.attacks.serving import RAISED, served
from tests.browser.clients import EMPTY, STORED, Tab, page, script

from ringfence import Guard, Settings, access

ACCOUNT = {"email": "ann@example.com", "password": "plum kettle window 9"}
TOLD = "() => rf.me().then((who) => who && who.factors)"
REFRESH = """() => fetch("/auth/token/refresh", {
    method: "POST",
    headers: {"content-type": "application/json"},
    body: JSON.stringify({transport: "cookie"}),
}).then((answer) => answer.status)"""
SENT = """() => rf.fetch("/echo", {method: "POST", body: "1"})
    .then((answer) => answer.status)"""
DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


async def start(request):
    return page("start")


async def echo(request):
    return JSONResponse((await request.body()).decode())


def guarded(data):
    def make(port):
        public = [Route("/", start), Route("/app.js", script)]
        strict = [Route("/strict", echo, methods=["POST"])]
        private = [Route("/echo", echo, methods=["POST"])]
        routes = [
            *access.routes(public, access.public),
            *access.routes(private, access.signed_in),
            *access.routes(strict, access.factor("passkey")),
        ]
        settings = Settings.load(
            environ=RAISED, env="development", data=data, tokens={"enabled": True}
        )
        return Guard(Starlette(routes=routes), settings)

    return make


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("factors")


@pytest.fixture(scope="module")
def site(data):
    with served(guarded(data)) as running:
        yield running


@pytest.fixture
def tab(site, visit):
    """A tab at a name (passkeys belong to one), with an authenticator."""
    context = visit(site.other_site).context
    tab = Tab(context.new_page())
    cdp = context.new_cdp_session(tab.page)
    cdp.send("WebAuthn.enable", {"enableUI": False})
    cdp.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})
    yield tab.goto("/")
    assert tab.errors == []
    assert tab.violations() == []


def test_a_passkey_from_the_first_to_the_last(tab):
    """Made, signed in with, asked for as the second half and as one more proof."""
    assert tab.page.request.post("/auth/register", data=ACCOUNT).ok
    tab.run("who => rf.signIn(who)", ACCOUNT)
    assert tab.run("() => rf.passkeys.register('My phone').then((it) => it.label)")
    tab.run("() => rf.signOut()")
    assert tab.run(TOLD) is None
    assert tab.run("() => rf.passkeys.signIn().then((who) => who.email)")
    assert tab.run(TOLD) == ["passkey"]
    tab.run("() => rf.signOut()")
    tab.begin(f"() => rf.signIn({ACCOUNT}).then((who) => who.factors)")
    dialog = tab.page.get_by_role("dialog", name="Confirm that it is you")
    dialog.get_by_role("button", name="Use a passkey").click()
    assert tab.finished() == ["passkey", "password"]
    assert tab.post("/strict", '"kept"') == [200, '"kept"']
    assert tab.run("() => rf.passkeys.verify().then((who) => who.email)")
    assert tab.run(STORED) == EMPTY


def test_a_route_asks_for_what_the_account_has_not(tab):
    """Nothing would do, so nobody is asked."""
    other = {**ACCOUNT, "email": "bob@example.com"}
    assert tab.page.request.post("/auth/register", data=other).ok
    tab.run("who => rf.signIn(who)", other)
    status, problem = tab.post("/strict")
    assert (status, problem["code"]) == (401, "access.factor_needed")
    assert tab.page.locator("dialog").count() == 0


def test_tokens_in_cookies(tab):
    other = {**ACCOUNT, "email": "eve@example.com"}
    assert tab.page.request.post("/auth/register", data=other).ok
    assert tab.run("who => rf.signIn({...who, tokens: true})", other)["email"]
    assert tab.post("/echo", '"kept"') == [200, '"kept"']
    cookies = {it["name"].partition("-")[0]: it for it in tab.page.context.cookies()}
    assert {"access", "refresh"} <= set(cookies)
    assert all(it["httpOnly"] for it in cookies.values())
    assert tab.run(REFRESH) == 200
    assert tab.post("/echo", '"kept"') == [200, '"kept"']
    assert tab.run(STORED) == EMPTY
    tab.run("() => rf.signOut()")
    assert tab.post("/echo")[0] == 401


def test_two_tabs_refresh_once_together(tab, data):
    """A change of roles voids the access token that both tabs have. The first one to
    notice redeems the refresh token, and the other goes on with what it got."""
    zoe = {**ACCOUNT, "email": "zoe@example.com"}
    assert tab.page.request.post("/auth/register", data=zoe).ok
    assert tab.run("who => rf.signIn({...who, tokens: true})", zoe)["email"]
    second = Tab(tab.page.context.new_page()).goto("/")
    asked = []
    tab.page.context.on("request", lambda request: asked.append(request.url))
    with closing(sqlite3.connect(data / "ringfence.db", timeout=10)) as database:
        database.execute(
            "UPDATE ringfence_accounts SET epoch = epoch + 1 WHERE email_key = ?",
            (zoe["email"],),
        )
        database.commit()
        for one in (tab, second):
            one.begin(SENT)
        assert (tab.finished(), second.finished()) == (200, 200)
        assert sum(url.endswith("/auth/token/refresh") for url in asked) == 1
        query = """
            SELECT generation FROM ringfence_grants JOIN ringfence_accounts AS account
            ON account.id = account_id WHERE account.email_key = ?
        """
        assert database.execute(query, (zoe["email"],)).fetchall() == [(1,)]
