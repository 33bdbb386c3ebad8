"""Scripts of other origins (CWE-942, CWE-346).

Both sides run the same backend, whose developer has let everybody in with the recipe
that tutorials give. Here the headers are judged as the Fetch standard tells browsers
to; tests/browser/test_cors.py shows the same in a real one.
"""

import httpx2
import pytest
from tests.attacks import wire
from tests.attacks.sharing import (
    ALICE,
    SECRET,
    allowed,
    guarded,
    readable,
    signed_in,
    unguarded,
)
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

APP = "https://app.example"
FOREIGN = [
    "null",
    "https://evil.example",
    "http://app.example",
    "https://app.example:8443",
    "https://app.example.evil.example",
    "https://evilapp.example",
    "https://sub.app.example",
    "https://appxexample",
    "https://APP.example",
]


@pytest.fixture(scope="module")
def off():
    with unguarded() as server:
        yield server


@pytest.fixture(scope="module")
def on(tmp_path_factory):
    with guarded(tmp_path_factory.mktemp("named"), APP) as server:
        yield server


@pytest.fixture(scope="module")
def open_to_everybody(tmp_path_factory):
    """The settings say ``*``, which comes without credentials."""
    data = tmp_path_factory.mktemp("anyone")
    with guarded(data, "*", credentials=False) as server:
        yield server


@pytest.fixture(scope="module")
def alice_off(off):
    with signed_in(off, guarded=False) as client:
        yield client


@pytest.fixture(scope="module")
def alice(on):
    with signed_in(on, guarded=True) as client:
        yield client


def asking(origin, method="PUT", **wishes):
    headers = {"origin": origin, "access-control-request-method": method}
    return headers | {name.replace("_", "-"): value for name, value in wishes.items()}


@pytest.mark.parametrize("origin", FOREIGN)
def test_no_other_origin_reads_what_is_alices(alice_off, alice, origin):
    """A page of another origin reads a signed-in answer, because the origin is
    reflected; with the guard it is told nothing, whatever the application says."""
    for client, leaked in ((alice_off, True), (alice, False)):
        answer = client.get("/mine", headers={"origin": origin})
        assert SECRET in answer.text
        assert readable(answer, origin, credentials=True) is leaked


@pytest.mark.parametrize("origin", FOREIGN)
def test_no_other_origin_gets_leave_to_write(alice_off, alice, origin):
    """And where it writes without asking, it is refused before the application."""
    for client, granted in ((alice_off, True), (alice, False)):
        asked = client.options("/mine", headers=asking(origin))
        assert allowed(asked, "PUT") is granted
        assert readable(asked, origin, credentials=True) is granted
        before = client.get("/written").json()
        client.post("/mine", content=b"x", headers={"origin": origin})
        assert (client.get("/written").json() > before) is granted


def test_no_private_network_is_opened(alice_off, alice):
    """A public page gets no leave to reach a backend behind the firewall
    (CVE-2024-6221)."""
    wish = asking(APP, access_control_request_private_network="true")
    for client, granted in ((alice_off, True), (alice, False)):
        answer = client.options("/mine", headers=wish)
        assert allowed(answer, "PUT")
        assert ("access-control-allow-private-network" in answer.headers) is granted


@pytest.mark.parametrize(
    "path", ["/prices/../mine", "/prices//../mine", "/prices/%2e%2e/mine", "//mine"]
)
def test_another_spelling_of_a_path_opens_nothing(on, path):
    """Rules that matched ``/prices/*`` opened ``/prices/../mine`` (CVE-2020-25032)."""
    line = wire.request("GET", path, {"Host": f"127.0.0.1:{on.port}", "Origin": APP})
    answer = wire.send(on.port, line)
    assert answer.status == 400
    assert SECRET.encode() not in answer.body


def test_a_planted_answer_stays_with_its_origin(alice):
    """A cache that keeps an answer for one origin must not give it to another."""
    for origin in (None, APP, "https://evil.example"):
        headers = {} if origin is None else {"origin": origin}
        answer = alice.get("/mine", headers=headers)
        vary = ", ".join(answer.headers.get_list("vary")).lower()
        assert "origin" in vary


def test_a_closed_route_stays_closed(alice):
    """``cors()`` takes a route out of what the settings open."""
    answer = alice.get("/closed", headers={"origin": APP})
    assert SECRET in answer.text
    assert not readable(answer, APP, credentials=True)
    asked = alice.options("/closed", headers=asking(APP, "GET"))
    assert not readable(asked, APP, credentials=True)


def test_what_is_open_to_all_shows_nothing_to_a_visitor(on, alice):
    """``cors("*")`` is for what everybody may know: a page of another site gets it
    without Alice's cookie, and cannot write with it."""
    evil = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    answer = alice.get("/prices", headers=evil | {"sec-fetch-mode": "cors"})
    assert not readable(answer, evil["origin"], credentials=True)
    for kind in ("text/plain", "application/json"):
        headers = evil | {"content-type": kind}
        assert alice.post("/prices", content=b"1", headers=headers).status_code == 403


def test_everybodys_scripts_sign_nobody_in(open_to_everybody):
    """Sign-in stays ours where the application is open to all: a page that signs its
    visitor in would read what they write (sign-in CSRF)."""
    evil = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    with signed_in(open_to_everybody, guarded=True) as client:
        client.cookies.clear()
        for body in ({"json": ALICE}, {"data": ALICE}):
            answer = client.post("/auth/login", headers=evil, **body)
            assert answer.status_code == 403
            assert "set-cookie" not in answer.headers
        asked = client.options("/auth/login", headers=asking(evil["origin"], "POST"))
        assert not readable(asked, evil["origin"], credentials=False)


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_no_other_origin_listens(off, on, alice_off, alice, origin):
    """No CORS holds for WebSockets: the handshake itself is judged (CSWSH)."""
    for server, client, heard in ((off, alice_off, True), (on, alice, False)):
        assert (listen(server, client, origin) == SECRET) is heard


def listen(server, client, origin):
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    url = f"ws://127.0.0.1:{server.port}/live"
    try:
        with connect(
            url, origin=origin, additional_headers={"cookie": cookie}, proxy=None
        ) as socket:
            return socket.recv(timeout=10)
    except InvalidStatus as refused:
        return refused.response.status_code


# Honest use


def test_the_allowed_origin_works_on(on, alice):
    """Its pages read, ask, write and listen, cookies and all."""
    answer = alice.get("/mine", headers={"origin": APP})
    assert readable(answer, APP, credentials=True)
    asked = alice.options(
        "/mine", headers=asking(APP, access_control_request_headers="content-type")
    )
    assert asked.status_code == 204
    assert allowed(asked, "PUT", "content-type")
    assert readable(asked, APP, credentials=True)
    headers = {"origin": APP, "sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"}
    answer = alice.put("/mine", json={}, headers=headers)
    assert answer.status_code == 200
    assert readable(answer, APP, credentials=True)
    assert listen(on, alice, APP) == SECRET


def test_the_allowed_origin_signs_in(on):
    """A front end of another origin uses the sign-in too."""
    with signed_in(on, guarded=True) as client:
        client.cookies.clear()
        headers = {"origin": APP, "sec-fetch-site": "cross-site"}
        answer = client.post("/auth/login", json=ALICE, headers=headers)
        assert answer.status_code == 200
        assert readable(answer, APP, credentials=True)
        me = client.get("/auth/me", headers={"origin": APP})
        assert readable(me, APP, credentials=True)


def test_everybody_reads_what_is_open_to_all(on):
    evil = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    with httpx2.Client(base_url=on.url, headers=evil) as visitor:
        answer = visitor.get("/prices")
        assert readable(answer, evil["origin"], credentials=False)
        assert answer.headers.get_list("access-control-allow-origin") == ["*"]
        asked = visitor.options("/prices", headers=asking(evil["origin"], "POST"))
        assert allowed(asked, "POST")
        assert visitor.post("/prices", json={}).status_code == 200


def test_an_allowed_script_can_read_why_it_was_refused(on):
    """From the street, from the plan, from the framework and from a room."""
    refusals = {
        ("GET", "/mine"): 401,
        ("GET", "/nowhere"): 404,
        ("DELETE", "/mine"): 405,
        ("GET", "/a%2fb"): 400,
    }
    with httpx2.Client(base_url=on.url, headers={"origin": APP}) as visitor:
        for (method, path), status in refusals.items():
            answer = visitor.request(method, path)
            assert answer.status_code == status
            assert readable(answer, APP, credentials=True)
        evil = {"origin": "https://evil.example"}
        for method, path in refusals:
            answer = visitor.request(method, path, headers=evil)
            assert not readable(answer, evil["origin"], credentials=False)


def test_without_an_origin_little_is_said(alice):
    """A request of our own pages gets no line but the one for caches."""
    answer = alice.get("/mine")
    assert not any(name.startswith("access-control") for name in answer.headers)
