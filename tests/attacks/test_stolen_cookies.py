"""A cookie in the wrong hands (guide: "Session Management"; CWE-613, CWE-384, CWE-306).

Mallory has Alice's cookie: from a backup of her browser, or a log. What it opens
is hers until somebody notices; these are the ways to notice, and what a thief cannot do
until then.
"""

import asyncio
import sqlite3
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from secrets import token_urlsafe

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from tests.attacks.ledgers import settled
from tests.attacks.serving import NO_TLS, served
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from ringfence import Guard, Settings, access

ALICE = {"email": "alice@example.com", "password": "correct horse battery"}
HOME, CAFE = "127.0.0.1", "127.9.9.9"  # all of 127.0.0.0/8 is this machine
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
SCRIPT = "python-requests/2.32"
NEW = "another long pass phrase"
MANY = {"sign_ins_per_address": 1000, "sign_ins_global": 1000}  # Alice signs in a lot
SOON = 5.0  # seconds; what is promised is two


async def who(request: Request) -> JSONResponse:
    return JSONResponse({"signed": "in"})


async def transfer(request: Request) -> JSONResponse:
    return JSONResponse({"paid": True})


async def feed(websocket):
    await websocket.accept()
    while True:
        await websocket.send_text(await websocket.receive_text())


async def stream(request: Request) -> StreamingResponse:
    async def ticks():
        while True:
            yield b"tick\n"
            await asyncio.sleep(0.02)

    return StreamingResponse(ticks())


@dataclass(frozen=True)
class Side:
    """One of the two backends, and how Alice signs in and out there."""

    url: str
    guarded: bool
    data: Path

    @property
    def sign_out_path(self):
        return "/auth/logout" if self.guarded else "/logout"

    @property
    def sign_in_path(self):
        return "/auth/login" if self.guarded else "/login"

    @contextmanager
    def client(self, address=HOME, agent=FIREFOX, cookie=""):
        headers = {"user-agent": agent, "origin": self.url}
        if cookie:
            headers["cookie"] = cookie
        transport = httpx2.HTTPTransport(local_address=address, verify=NO_TLS)
        with httpx2.Client(
            base_url=self.url, headers=headers, transport=transport, timeout=60
        ) as client:
            yield client

    @contextmanager
    def alice(self):
        """Alice's browser, signed in."""
        with self.client() as client:
            answer = client.post(self.sign_in_path, json=ALICE)
            assert answer.status_code == 200, answer.text
            client.headers["x-csrf-token"] = answer.json()["csrf_token"]
            yield client

    @contextmanager
    def mallory(self, alice, address=CAFE, agent=SCRIPT):
        """Mallory, with what Alice's browser sends to show who she is."""
        stolen = "; ".join(
            f"{name}={value}" for name, value in alice.cookies.items() if "sess" in name
        )
        with self.client(address, agent, stolen) as client:
            client.headers["x-csrf-token"] = alice.headers["x-csrf-token"]
            yield client

    def pays(self, client):
        return client.post("/transfer", json={}).status_code == 200

    def reads(self, client):
        return client.get("/me").status_code == 200

    def let_time_pass(self, seconds):
        """Have every proof be older than it is."""
        with closing(sqlite3.connect(self.data / "ringfence.db")) as database, database:
            database.execute(
                "UPDATE ringfence_sessions SET proved = proved - ?", [seconds]
            )

    def moves(self):
        """Return what the ledger says about moves."""
        return [
            event
            for event in self.ledger()
            if event["event"] == "authn_impossible_travel"
        ]

    def ledger(self):
        """Return all events."""
        with self.client() as client:
            return settled(self.data, client)


def careless(port):
    """A backend with sessions of the usual kind: a random cookie, looked up."""
    sessions = set()

    async def login(request):
        token = token_urlsafe(32)
        sessions.add(token)
        answer = JSONResponse({"csrf_token": ""})
        answer.set_cookie("session", token, httponly=True)
        return answer

    async def logout(request):
        sessions.discard(request.cookies.get("session"))
        return JSONResponse({})

    def for_members(endpoint):
        async def checked(request):
            if request.cookies.get("session") not in sessions:
                return JSONResponse({}, 401)
            return await endpoint(request)

        return checked

    async def checked_feed(websocket):
        if websocket.cookies.get("session") in sessions:
            await feed(websocket)

    return Starlette(
        routes=[
            Route("/login", login, methods=["POST"]),
            Route("/logout", logout, methods=["POST"]),
            Route("/me", for_members(who)),
            Route("/transfer", for_members(transfer), methods=["POST"]),
            Route("/stream", for_members(stream)),
            WebSocketRoute("/feed", checked_feed),
        ]
    )


def careful(folder, **identity):
    """The same backend behind a guard."""

    def make(port):
        members = [
            Route("/me", who),
            Route("/stream", stream),
            WebSocketRoute("/feed", feed),
        ]
        sensitive = [Route("/transfer", transfer, methods=["POST"])]
        api = Starlette(
            routes=[
                *access.routes(members, access.signed_in),
                *access.routes(sensitive, access.fresh(minutes=10)),
            ]
        )
        settings = Settings.load(
            environ={}, env="development", data=folder, identity=MANY | identity
        )
        return Guard(api, settings)

    return make


@contextmanager
def running_careful(folder, **identity):
    with served(careful(folder, **identity)) as server:
        side = Side(server.url, guarded=True, data=folder)
        with side.client() as client:
            client.post("/auth/register", json=ALICE)
        yield side


@pytest.fixture(scope="module")
def off(tmp_path_factory):
    with served(careless) as server:
        yield Side(server.url, guarded=False, data=tmp_path_factory.mktemp("off"))


@pytest.fixture(scope="module")
def on(tmp_path_factory):
    with running_careful(tmp_path_factory.mktemp("on")) as side:
        yield side


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """Where a session that moves has to be confirmed."""
    folder = tmp_path_factory.mktemp("strict")
    with running_careful(folder, session_moved="confirm") as side:
        yield side


@pytest.fixture(scope="module")
def strictest(tmp_path_factory):
    """Where a session that moves ends."""
    folder = tmp_path_factory.mktemp("strictest")
    with running_careful(folder, session_moved="end") as side:
        yield side


def test_a_cookie_stolen_yesterday_moves_no_money(off, on):
    """What cannot be undone asks for a proof that no cookie carries."""
    for side, paid in ((off, True), (on, False)):
        with side.alice() as alice:
            if side.guarded:
                side.let_time_pass(601)
            with side.mallory(alice, HOME, FIREFOX) as mallory:  # unnoticed otherwise
                assert side.reads(mallory)
                assert side.pays(mallory) is paid


def test_alice_pays_after_her_password(on):
    """And what Mallory has stolen is worth nothing from then on."""
    with on.alice() as alice, on.mallory(alice) as mallory:
        on.let_time_pass(601)
        answer = alice.post("/transfer", json={})
        assert answer.json()["code"] == "access.not_fresh"
        assert answer.headers["www-authenticate"].startswith("Session")
        where = answer.json()["confirm"]
        answer = alice.post(where, json={"password": ALICE["password"]})
        alice.headers["x-csrf-token"] = answer.json()["csrf_token"]
        assert on.pays(alice)
        assert not on.reads(mallory)


def test_alice_s_browser_is_led_to_the_confirmation_and_back(on):
    """A page that needs a fresh proof leads no browser round in a circle."""
    page = {"accept": "text/html", "sec-fetch-site": "same-origin"}
    with on.alice() as alice:
        on.let_time_pass(601)
        answer = alice.post("/transfer", headers=page)
        assert answer.status_code == 401
        assert 'href="/auth/confirm"' in answer.text
        form = {"password": ALICE["password"], "next": "/me"}
        answer = alice.post("/auth/confirm", data=form, headers=page)
        assert (answer.status_code, answer.headers["location"]) == (303, "/me")


def test_being_asked_is_no_alarm(on):
    """Nobody asked for what they may not have, which the ledger is alarmed at."""
    with on.alice() as alice:
        on.let_time_pass(601)
        request_id = alice.post("/transfer", json={}).json()["request_id"]
        (event,) = [one for one in on.ledger() if one.get("request_id") == request_id]
        assert (event["event"], event["level"]) == ("request_refused", "WARN")


def test_right_after_the_sign_in_nobody_is_asked(on):
    with on.alice() as alice:
        assert on.pays(alice)


def test_a_cookie_that_moves_is_noticed(on):
    """Another network and another device at once: the ledger and the owner are told."""
    before = len(on.moves())
    with on.alice() as alice:
        with on.mallory(alice) as mallory:
            assert on.reads(mallory)
            assert on.reads(mallory)
        (event,) = on.moves()[before:]
        assert event["level"] == "CRITICAL"
        assert event["client"] == CAFE
        assert (event["from_network"], event["device"]) == (HOME, "Python")
        listed = alice.get("/auth/sessions").json()
        (mine,) = [session for session in listed if session["current"]]
        assert mine["moved"]["address"] == CAFE


@pytest.mark.parametrize(
    ("address", "agent"),
    [(CAFE, FIREFOX), (HOME, FIREFOX.replace("128.0", "140.0")), (HOME, SCRIPT)],
    ids=["another network", "an update", "another program"],
)
def test_alice_on_her_way_is_no_thief(strictest, address, agent):
    """One of the two changes all the time."""
    with strictest.alice() as alice, strictest.mallory(alice, address, agent) as she:
        assert strictest.reads(she)
        assert strictest.pays(she)
    assert strictest.moves() == []


def test_a_cookie_that_moves_opens_nothing_fresh(strict):
    """Even within the ten minutes, for both, until the owner has confirmed."""
    with strict.alice() as alice, strict.mallory(alice) as mallory:
        assert strict.pays(alice)
        assert not strict.pays(mallory)
        assert not strict.pays(alice)
        body = {"password": ALICE["password"]}
        answer = alice.post("/auth/confirm", json=body)
        alice.headers["x-csrf-token"] = answer.json()["csrf_token"]
        assert strict.pays(alice)
        assert not strict.reads(mallory)


def test_a_cookie_that_moves_ends(off, strictest):
    for side, lives in ((off, True), (strictest, False)):
        with side.alice() as alice, side.mallory(alice) as mallory:
            assert side.reads(alice)
            assert side.reads(mallory) is lives
            assert side.reads(alice) is lives


@contextmanager
def listening(side, client):
    """Open a WebSocket with what a client's cookies say."""
    cookies = client.headers.get("cookie") or "; ".join(
        f"{name}={value}" for name, value in client.cookies.items()
    )
    url = side.url.replace("http", "ws") + "/feed"
    with connect(url, additional_headers={"Cookie": cookies}, origin=side.url) as open_:
        open_.send("hello")
        assert open_.recv(SOON) == "hello"
        yield open_


def still_open(websocket):
    try:
        websocket.send("still there?")
        websocket.recv(SOON)
    except ConnectionClosed:
        return False
    return True


def sign_out(side, alice):
    alice.post(side.sign_out_path)


def end_the_others(side, alice):
    with side.alice() as elsewhere:
        elsewhere.delete("/auth/sessions?keep=current")


def change_the_password(side, alice):
    with side.alice() as elsewhere:
        body = {"current_password": ALICE["password"], "new_password": NEW}
        answer = elsewhere.post("/auth/password/change", json=body)
        assert answer.status_code == 200, answer.text
        elsewhere.headers["x-csrf-token"] = answer.json()["csrf_token"]
        back = {"current_password": NEW, "new_password": ALICE["password"]}
        answer = elsewhere.post("/auth/password/change", json=back)
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("end", [sign_out, end_the_others, change_the_password])
def test_a_thief_s_websocket_ends_with_the_session(off, on, end):
    """A handshake is judged once; without more, what it opened stays open for ever."""
    sides = ((off, True), (on, False)) if end is sign_out else ((on, False),)
    for side, survives in sides:
        with (
            side.alice() as alice,
            side.mallory(alice, HOME, FIREFOX) as mallory,
            listening(side, mallory) as websocket,
        ):
            assert still_open(websocket)
            end(side, alice)
            assert still_open(websocket) is survives
            if not survives:
                assert websocket.close_code == 1008


def test_a_thief_s_stream_ends_with_the_session(off, on):
    for side, survives, ticks in ((off, True, 20), (on, False, 200)):
        with side.alice() as alice, side.mallory(alice, HOME, FIREFOX) as mallory:
            with mallory.stream("GET", "/stream") as answer:
                chunks = answer.iter_raw()
                assert next(chunks).startswith(b"tick")
                alice.post(side.sign_out_path)
                heard = sum(1 for _ in islice(chunks, ticks))
            assert (heard == ticks) is survives


def test_a_session_ended_elsewhere_is_cut_within_seconds(on):
    """As ``ringfence accounts`` does it, from another process."""
    with on.alice() as alice, listening(on, alice) as websocket:
        with closing(sqlite3.connect(on.data / "ringfence.db")) as database, database:
            database.execute("DELETE FROM ringfence_sessions")
        started = time.monotonic()
        cut = threading.Event()

        def wait():
            try:
                websocket.recv(SOON)
            except ConnectionClosed:
                cut.set()

        waiting = threading.Thread(target=wait)
        waiting.start()
        waiting.join()
        assert cut.is_set()
        assert time.monotonic() - started < SOON


def test_an_honest_websocket_stays_open(on):
    """Whatever happens to other sessions of the same account."""
    with on.alice() as alice, listening(on, alice) as websocket:
        with on.alice() as elsewhere:
            elsewhere.post("/auth/logout")
        assert still_open(websocket)
