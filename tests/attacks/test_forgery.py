"""Requests that another site makes a browser send (guide: "CSRF"; CWE-352, CWE-1385).

Here as bytes, with every header a browser may or may not send; tests/browser shows the
same in a real one.
"""

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from tests.attacks.ranges import ALICE, BOB, running_range
from tests.attacks.serving import served
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from ringfence import Guard, Settings, access

EVIL = "http://evil.example"
ORIGINS = (f"--origin={EVIL}", "--origin=null")


@pytest.fixture(scope="module")
def off():
    """The range's own fence lets the attacker's pages through here."""
    with running_range("off", *ORIGINS) as running:
        yield running


@pytest.fixture(scope="module")
def on():
    with running_range("on", *ORIGINS) as running:
        yield running


FOREIGN = {
    "another site": {"origin": EVIL, "sec-fetch-site": "cross-site"},
    "another origin of the site": {"origin": EVIL, "sec-fetch-site": "same-site"},
    "an opaque origin": {"origin": "null", "sec-fetch-site": "cross-site"},
    "an opaque origin alone": {"origin": "null"},
    "an old browser": {"origin": EVIL},
    "a claim beside a foreign origin": {
        "origin": EVIL,
        "sec-fetch-site": "same-origin",
    },
    "a browser that strips Origin": {"sec-fetch-site": "cross-site", "referer": EVIL},
    "neither": {},
}


def forged(side, victim, headers, **body):
    """Send with the victim's cookie what another site's page would."""
    name, value = side.session(victim)
    with side.client(headers=headers, cookies={name: value}) as browser:
        return browser.post("/transfer", **body).status_code


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
def test_money_moves_for_no_other_site(off, on, headers):
    """POST /transfer amount=1000 with the victim's cookie and no token is refused,
    whatever the browser says of where it comes from."""
    headers = {**headers}
    if headers.get("referer"):
        headers["referer"] = f"{EVIL}/page"
    body = {"data": {"amount": "1000"}}
    for side, moved in ((off, True), (on, False)):
        with side.signed_in(ALICE) as alice:
            before = len(alice.get("/transfers").json())
            status = forged(side, alice, headers, **body)
            assert (status == 200) is moved
            assert (len(alice.get("/transfers").json()) > before) is moved


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "multipart/x", ""])
def test_no_content_type_slips_through(off, on, kind):
    """JSON that a form dresses up as text is refused as JSON is (CVE-2021-32677)."""
    headers = {"origin": EVIL, "sec-fetch-site": "cross-site", "content-type": kind}
    body = {"content": b'{"amount": 1000}'}
    with off.signed_in(ALICE) as alice:
        assert forged(off, alice, headers, **body) in {200, 500}
    with on.signed_in(ALICE) as alice:
        assert forged(on, alice, headers, **body) == 403


def test_a_token_of_another_session_is_worthless(on):
    """A token minted for the attacker does not open the victim's session (unbound
    double submit)."""
    with on.signed_in(ALICE) as alice, on.signed_in(BOB) as mallory:
        token = mallory.headers["x-csrf-token"]
        assert forged(on, alice, {"x-csrf-token": token}, json={"amount": 1}) == 403
        token = alice.headers["x-csrf-token"]
        assert forged(on, alice, {"x-csrf-token": token}, json={"amount": 1}) == 200


def test_a_cookie_planted_by_a_sibling_is_worthless(on):
    """A token that equals a planted cookie proves nothing (cookie tossing)."""
    with on.signed_in(ALICE) as alice:
        name, value = on.session(alice)
        planted = {name: value, "csrf_token": "x" * 43, "csrftoken": "x" * 43}
        with on.client(cookies=planted, headers={"x-csrf-token": "x" * 43}) as browser:
            assert browser.post("/transfer", json={"amount": 1}).status_code == 403


@pytest.mark.parametrize(
    "override",
    [
        {"x-http-method-override": "POST"},
        {"x-method-override": "POST"},
        {"x-http-method": "POST"},
    ],
)
def test_a_get_stays_a_get(on, override):
    """No header or parameter turns a GET, which other sites may send, into a POST."""
    with on.signed_in(ALICE) as alice:
        before = alice.get("/transfers").json()
        name, value = on.session(alice)
        headers = {"sec-fetch-site": "cross-site", **override}
        with on.client(cookies={name: value}, headers=headers) as browser:
            answer = browser.get("/transfer?_method=POST&amount=1000")
            assert answer.status_code in {403, 405}
        assert alice.get("/transfers").json() == before


def read_by_another_site(side, mode, dest):
    """Load a private answer with the victim's cookie into a page of another site."""
    with side.signed_in(ALICE) as alice:
        name, value = side.session(alice)
    headers = {"sec-fetch-site": "cross-site", "referer": f"{EVIL}/page"}
    headers |= {"sec-fetch-mode": mode, "sec-fetch-dest": dest}
    with side.client(headers=headers, cookies={name: value}) as browser:
        return browser.get("/transfers").status_code


@pytest.mark.parametrize(
    ("mode", "dest"),
    [("no-cors", "script"), ("no-cors", "image"), ("navigate", "iframe")],
)
def test_another_site_loads_nothing_private(off, on, mode, dest):
    """A private answer enters no other site's process, as script, image or frame
    (cross-site script inclusion, XS-Leaks; CWE-1021)."""
    assert read_by_another_site(off, mode, dest) == 200
    assert read_by_another_site(on, mode, dest) == 403


def test_another_site_may_link_here(on):
    """Honest use is unchanged: a link from elsewhere opens the page, signed in."""
    assert read_by_another_site(on, "navigate", "document") == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": EVIL, "sec-fetch-site": "cross-site"},
        {"origin": EVIL},
        {"origin": "null"},
        {"origin": EVIL, "sec-fetch-site": "same-site"},
        {"referer": f"{EVIL}/page"},
    ],
    ids=["today", "without Fetch-Metadata", "opaque", "a sibling", "before 2020"],
)
def test_nobody_is_signed_in_as_the_attacker(off, on, headers):
    """Another site cannot sign the visitor in to an account of its own (sign-in CSRF,
    CVE-2025-68481)."""
    with on.signed_in(BOB):
        pass  # Bob has an account
    for side, signed_in in ((off, True), (on, False)):
        with side.client(headers=headers) as browser:
            answer = browser.post(side.sign_in_path, data=side.account(BOB))
            assert (answer.status_code == 200) is signed_in
            assert ("set-cookie" in answer.headers) is signed_in


class Overriding:
    """A middleware that lets a parameter say which method was meant."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        method = scope.get("query_string", b"").partition(b"_method=")[2].decode()
        await self.app(
            {**scope, **({"method": method} if method else {})}, receive, send
        )


@pytest.mark.parametrize("guarded", [False, True], ids=["off", "on"])
def test_a_link_deletes_nothing(guarded, tmp_path):
    """A GET, which every site may make a browser send, becomes a DELETE by a parameter
    (method override), behind the check that let it pass as a read."""
    deleted = []

    class Item(HTTPEndpoint):
        async def get(self, request):
            return PlainTextResponse("item")

        async def delete(self, request):
            deleted.append(request.url.path)
            return PlainTextResponse("gone")

    routes = access.routes([Route("/item", Item)], access.public)
    app = Starlette(routes=routes, middleware=[Middleware(Overriding)])
    settings = Settings.load(environ={}, env="development", data=tmp_path)
    link = {"url": "/item?_method=DELETE", "headers": {"sec-fetch-site": "cross-site"}}
    with (
        served(lambda port: Guard(app, settings) if guarded else app) as server,
        httpx2.Client(base_url=server.url) as browser,
    ):
        browser.get(**link)
        assert bool(deleted) is not guarded
        assert browser.get("/item").text == "item"


def test_the_token_looks_different_each_time(on):
    """A page that is compressed gives a secret away letter by letter, if it stays the
    same (BREACH). All of them work, in a header and in the fields of both forms."""
    with on.signed_in(ALICE) as alice:
        tokens = {alice.get("/auth/me").json()["csrf_token"] for _ in range(4)}
        name, value = on.session(alice)
    assert len(tokens) == 4
    assert len({token[-43:] for token in tokens}) == 4
    with on.client(cookies={name: value}) as program:
        one, two, three, four = tokens
        for form in (
            {"json": {"amount": 1}, "headers": {"x-csrf-token": one}},
            {"data": {"csrf_token": two, "amount": "1"}},
            {"files": {"csrf_token": (None, three), "amount": (None, "1")}},
        ):
            assert program.post("/transfer", **form).status_code == 200
        late = {"note": "x" * 70_000, "amount": "1", "csrf_token": four}
        assert program.post("/transfer", data=late).status_code == 403


def test_the_site_itself_works_on(off, on):
    """Honest use is unchanged: the site's own page moves money."""
    for side in (off, on):
        with side.signed_in(ALICE) as alice:
            assert alice.post("/transfer", data={"amount": "1"}).status_code == 200


def test_a_program_without_cookies_works_on(on):
    """Curl has no ambient credential: there is nothing to forge, and no token to ask
    for. It is refused for not having signed in only."""
    with on.client() as curl:
        assert curl.post("/comments", json={"text": "hello"}).status_code == 303
        assert curl.post("/transfer", json={"amount": 1}).status_code == 401


def heard(side, cookie, origin):
    """Open the WebSocket with the victim's cookie; return what it says, if anything."""
    headers = {"cookie": cookie, "x-range-key": side.key}
    url = f"ws://127.0.0.1:{side.port}/live"
    try:
        with connect(
            url, origin=origin, additional_headers=headers, proxy=None
        ) as socket:
            return socket.recv(timeout=10)
    except (InvalidStatus, ConnectionClosed):
        return None


@pytest.mark.parametrize("origin", [EVIL, "null", None])
def test_a_websocket_of_another_site_hears_nothing(off, on, origin):
    """No same-origin policy holds for WebSockets; the handshake is checked (CSWSH)."""
    for side, leaked in ((off, True), (on, False)):
        with side.signed_in(ALICE) as alice:
            cookie = "=".join(side.session(alice))
            assert (heard(side, cookie, origin) is not None) is leaked


def test_a_websocket_of_a_stranger_hears_nothing(off, on):
    """A handshake without a session meets the route's policy like any request."""
    assert heard(off, "", off.url) is not None
    assert heard(on, "", on.url) is None


def test_the_sites_own_websocket_works_on(on):
    with on.signed_in(ALICE) as alice:
        assert heard(on, "=".join(on.session(alice)), on.url) is not None
