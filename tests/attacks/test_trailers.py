"""Fields behind a chunked body that pose as headers, or never end (CWE-444, CWE-348,
CWE-400; RFC 9110 section 6.5.1, RFC 9112 section 7.1.2).

Off is uvicorn alone; on is uvicorn as ``ringfence serve`` runs it.
"""

import contextlib
import json
import socket

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from tests.attacks import wire
from tests.attacks.serving import served
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ringfence import Guard, Settings, access
from ringfence.cli.http_protocol import BoundedHead
from ringfence.secrets.keyring import Keyring

CLIENT = "203.0.113.9"  # as the proxy in front saw it
SPOOFED = "192.0.2.6"
HEAD = {
    "Host": "shop.example.com",
    "X-Forwarded-For": CLIENT,
    "X-Forwarded-Proto": "https",
    "Content-Type": "application/json",
    "Sec-Fetch-Site": "same-origin",
    "Transfer-Encoding": "chunked",
}
MEGABYTE = 1024 * 1024


async def seen(request):
    await request.body()
    return JSONResponse([request.client.host, sorted(request.headers)])


def application():
    routes = [Route("/seen", seen, methods=["POST"])]
    return Starlette(routes=access.routes(routes, access.public))


@pytest.fixture
def guarded(tmp_path):
    """The application in production, behind a proxy on this machine."""
    keys = tmp_path / "keys"
    Keyring(keys, create=True).open()
    settings = Settings.load(
        environ={},
        data=tmp_path,
        keys_file=keys,
        public_origins=("https://shop.example.com",),
        proxies=("127.0.0.1/32",),
    )
    return lambda _: Guard(application(), settings)


def chunked(trailers, **headers):
    head = wire.request("POST", "/seen", {**HEAD, **headers})
    return head, b"1\r\n1\r\n0\r\n" + trailers + b"\r\n"


def test_a_trailer_names_no_client(guarded):
    """The proxy passes a trailer on as it came: whoever takes it for a header lets the
    client choose its own address."""
    request = b"".join(chunked(b"X-Forwarded-For: %b\r\n" % SPOOFED.encode()))
    for protocol, client in ((HttpToolsProtocol, SPOOFED), (BoundedHead, CLIENT)):
        with served(guarded, protocol=protocol) as server:
            answer = wire.send(server.port, request)
        assert answer.status == 200
        assert json.loads(answer.body)[0] == client


def test_a_late_trailer_is_not_seen_by_the_application(guarded):
    """A trailer that comes when the stages are done would be believed unjudged; the
    guard drops it on every server."""
    late = b"Authorization: Basic YTpi\r\nX-HTTP-Method-Override: DELETE\r\n"
    head, rest = chunked(late, Expect="100-continue")
    for make_app, passes in ((lambda _: application(), True), (guarded, False)):
        with (
            served(make_app) as server,
            socket.create_connection(("127.0.0.1", server.port), 20) as connection,
        ):
            connection.sendall(head)
            assert b" 100 " in connection.recv(100)  # the application has begun to read
            connection.sendall(rest)
            received = b""
            while part := connection.recv(65_536):
                received += part
        assert received.startswith(b"HTTP/1.1 200 ")
        assert (b"x-http-method-override" in received) is passes
        assert (b"authorization" in received) is passes


def test_trailers_do_not_fill_the_memory(guarded):
    """Every trailer is kept, and nothing asks how many there are."""
    line = b"X-A: " + b"a" * 8_000 + b"\r\n"
    head, body = chunked(line * (4 * MEGABYTE // len(line)))
    for protocol, taken in ((HttpToolsProtocol, True), (BoundedHead, False)):
        with (
            served(lambda _: application(), protocol=protocol) as server,
            socket.create_connection(("127.0.0.1", server.port), 20) as connection,
        ):
            received = b""
            with contextlib.suppress(ConnectionError):  # hung up before it was sent
                connection.sendall(head + body)
                received = connection.recv(65_536)
        assert received.startswith(b"HTTP/1.1 200 ") is taken
