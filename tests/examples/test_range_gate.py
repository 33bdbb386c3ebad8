"""The range's fence: code execution by design, so nothing but its tester gets in."""

import pytest
from examples.range import gate
from examples.range.gate import Gate
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

pytestmark = pytest.mark.anyio

KEY = "the-key-of-this-run"
HOST = (b"host", b"127.0.0.1:8100")
WITH_KEY = (b"x-range-key", KEY.encode())


async def show_headers(request: Request) -> JSONResponse:
    return JSONResponse([[name, value] for name, value in request.headers.items()])


@pytest.fixture
def app() -> Gate:
    routes = [Route("/", show_headers, methods=["GET", "POST"])]
    return Gate(
        Starlette(routes=routes),
        port=8100,
        key=KEY,
        origins=["http://localhost:9000"],
    )


async def ask(app: ASGIApp, *headers, client=("127.0.0.1", 5), kind="http"):
    """Send one request and return what came back: status or close code, and text."""
    scope = {
        "type": kind,
        "method": "POST",
        "path": "/",
        "raw_path": b"/",
        "root_path": "",
        "query_string": b"",
        "headers": list(headers),
        "client": client,
        "server": ("127.0.0.1", 8100),
        "scheme": "http",
        "http_version": "1.1",
        "subprotocols": [],
    }
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    status = sent[0].get("status", sent[0].get("code"))
    return status, b"".join(message.get("body", b"") for message in sent).decode()


async def test_the_key_opens_the_range_as_a_header(app):
    assert (await ask(app, HOST, WITH_KEY))[0] == 200


async def test_the_key_opens_the_range_as_a_cookie(app):
    cookie = (b"cookie", f"a=b; range_key={KEY}".encode())
    assert (await ask(app, HOST, cookie))[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ((b"x-range-key", b""),),
        ((b"x-range-key", b"guess"),),
        ((b"x-range-key", KEY[:-1].encode()),),
        ((b"x-range-key", KEY.encode() + b"x"),),
        ((b"x-range-key", b"\xff\xfe"),),
        ((b"cookie", b"range_key="),),
        ((b"cookie", b"range_key=guess"),),
        ((b"cookie", b'range_key="; \x00=;;;'),),
    ],
)
async def test_without_the_key_nobody_gets_in(app, headers):
    """Every request needs the secret of this run."""
    status, text = await ask(app, HOST, *headers)
    assert status == 403
    assert "key" in text
    assert KEY not in text


async def test_the_key_is_compared_in_constant_time(app, monkeypatch):
    """An answer's time says nothing of how much of a guess was right."""
    compared = []
    monkeypatch.setattr(
        gate.hmac, "compare_digest", lambda *pair: bool(compared.append(pair))
    )
    await ask(app, HOST, (b"x-range-key", b"guess"))
    assert compared == [(b"guess", KEY.encode())]


@pytest.mark.parametrize(
    "host",
    [
        b"evil.example",
        b"127.0.0.1",
        b"127.0.0.1:8101",
        b"127.0.0.1:8100.evil.example",
        b"localhost.evil.example:8100",
        b"LOCALHOST:8100 ",
        b"0.0.0.0:8100",
        b"127.0.0.1:8100/?#",
        b"",
    ],
)
async def test_another_host_is_refused(app, host):
    """A name that an attacker points to 127.0.0.1 (DNS rebinding) opens nothing."""
    status, text = await ask(app, (b"host", host), WITH_KEY)
    assert status == 403
    assert "Host" in text


async def test_no_host_or_two_are_refused(app):
    assert (await ask(app, WITH_KEY))[0] == 403
    assert (await ask(app, HOST, HOST, WITH_KEY))[0] == 403
    assert (await ask(app, HOST, (b"host", b"evil.example"), WITH_KEY))[0] == 403


async def test_localhost_is_its_own_too(app):
    assert (await ask(app, (b"host", b"localhost:8100"), WITH_KEY))[0] == 200


@pytest.mark.parametrize(
    "client", [("192.0.2.7", 5), ("10.0.0.1", 5), ("2001:db8::1", 5), None]
)
async def test_a_peer_beyond_loopback_is_refused(app, client):
    """Whoever forwards the port to the network opens nothing."""
    status, text = await ask(app, HOST, WITH_KEY, client=client)
    assert status == 403
    assert "loopback" in text


@pytest.mark.parametrize(
    "origin",
    [
        b"https://evil.example",
        b"null",
        b"http://localhost:9001",
        b"http://localhost:9000.evil.example",
        b"https://127.0.0.1:8100",
        b"",
    ],
)
async def test_a_page_of_another_origin_is_refused(app, origin):
    """A site that the developer happens to visit cannot use the range, key or not."""
    status, text = await ask(app, HOST, WITH_KEY, (b"origin", origin))
    assert status == 403
    assert "origin" in text


@pytest.mark.parametrize("origin", [b"http://127.0.0.1:8100", b"http://localhost:9000"])
async def test_its_own_and_its_test_origins_may_ask(app, origin):
    cross = (b"sec-fetch-site", b"cross-site")
    assert (await ask(app, HOST, WITH_KEY, (b"origin", origin), cross))[0] == 200


async def test_a_link_or_image_of_another_site_is_refused(app):
    """A request without Origin still says that it comes from elsewhere."""
    cross = (b"sec-fetch-site", b"cross-site")
    evil = (b"referer", b"https://evil.example/page")
    friend = (b"referer", b"http://localhost:9000/page")
    assert (await ask(app, HOST, WITH_KEY, cross))[0] == 403
    assert (await ask(app, HOST, WITH_KEY, cross, evil))[0] == 403
    assert (await ask(app, HOST, WITH_KEY, cross, friend))[0] == 200


async def test_a_websocket_needs_all_of_it_too(app):
    """The handshake is a request like any other."""
    for headers in ((HOST,), (WITH_KEY,), (HOST, WITH_KEY, (b"origin", b"null"))):
        assert await ask(app, *headers, kind="websocket") == (1008, "")


async def test_the_targets_never_see_the_key(app):
    """A page that prints its request must not give the key away."""
    cookie = (b"cookie", f"a=b; range_key={KEY}; c=d".encode())
    _, text = await ask(app, HOST, WITH_KEY, cookie)
    assert KEY not in text
    assert '["cookie","a=b; c=d"]' in text


async def test_all_origins_are_refused_that_nobody_named():
    closed = Gate(Starlette(), port=8100, key=KEY)
    for origin in (b"null", b"http://localhost:9000"):
        assert (await ask(closed, HOST, WITH_KEY, (b"origin", origin)))[0] == 403
