"""The street behind real servers, spoken to byte by byte."""

import asyncio
import json
import socket
import threading

import pytest
import uvicorn

from ringfence.exchange import Exchange
from ringfence.guard.refuse import respond
from ringfence.traffic.body_limit import limit_body
from ringfence.traffic.client_ip import locate
from ringfence.traffic.host import allow_hosts
from ringfence.traffic.request_line import refuse_ambiguous
from ringfence.traffic.settings import TrafficSettings

SETTINGS = TrafficSettings()
STAGES = (
    refuse_ambiguous(SETTINGS),
    locate(SETTINGS, development=True),
    allow_hosts(SETTINGS, development=True, public_origins=()),
    limit_body(10),
)


async def street(scope, receive, send):
    """Cross the street, then tell what the application was given."""
    if scope["type"] == "lifespan":
        return
    exchange = Exchange(scope, receive)
    for stage in STAGES:
        denial = await stage(exchange)
        if denial is not None:
            await respond(denial, exchange, send)
            return
    told = json.dumps({"path": exchange.path, "host": exchange.host}).encode()
    headers = [(b"content-length", b"%d" % len(told))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": told})


@pytest.fixture(scope="module", params=["h11", "httptools"])
def address(request):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            street,
            http=request.param,
            lifespan="off",
            loop="asyncio",
            proxy_headers=False,
            server_header=False,
            log_config=None,  # it would hold for all tests that follow
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(
            target=asyncio.run, args=(server.serve(sockets=[listener]),)
        )
        thread.start()
        yield listener.getsockname()
        server.should_exit = True
        thread.join(timeout=10)


def say(address, *lines, body=b""):
    """Send these lines and return the status and the body of the first answer."""
    with socket.create_connection(address, timeout=5) as connection:
        connection.sendall(b"\r\n".join([*lines, b"connection: close", b"", body]))
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk
    head, _, rest = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), rest


HOST = b"Host: localhost"


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/", "/"),
        (b"/orders/1002?x=/../", "/orders/1002"),
        (b"/100%25.txt", "/100%.txt"),
        (b"/caf%C3%A9", "/caf\xe9"),
        (b"/a;v=1/~me/10:30", "/a;v=1/~me/10:30"),
    ],
)
def test_honest_requests_arrive(address, target, path):
    status, body = say(address, b"GET " + target + b" HTTP/1.1", HOST)
    assert (status, json.loads(body)["path"]) == (200, path)


@pytest.mark.parametrize(
    "target",
    [
        b"/a/../admin",
        b"/a/%2e%2e/admin",
        b"/a%2fb",
        b"//admin",
        b"/admin%0a",
        b"/a%00",
        b"/a%252e",
        b"/a%ff",
        b"/a\\b",
        b"/a\xc3\xa9",
        b"/a%",
        b"http://evil.example//admin",
        b"*",
    ],
)
def test_ambiguous_requests_do_not(address, target):
    assert say(address, b"GET " + target + b" HTTP/1.1", HOST)[0] == 400


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ((b"GET / HTTP/1.1",), 400),
        ((b"GET / HTTP/1.0",), 400),
        ((b"GET / HTTP/1.0", b"X-Forwarded-Host: localhost"), 403),
        ((b"GET / HTTP/1.1", b"Host: localhost/admin?"), 400),
        ((b"GET / HTTP/1.1", b"Host: evil.example"), 400),
        ((b"GET / HTTP/1.1", HOST, HOST), 400),
        ((b"GET / HTTP/1.1", HOST, b"X-Forwarded-For: 127.0.0.1"), 403),
        ((b"GET / HTTP/1.1", HOST, b"X_Forwarded_For: 127.0.0.1"), 400),
        ((b"GET / HTTP/1.1", HOST, b"X-HTTP-Method-Override: DELETE"), 400),
        ((b"TRACE / HTTP/1.1", HOST), 501),
        ((b"GET /" + b"a" * 3_000 + b" HTTP/1.1", HOST), 414),
        ((b"GET / HTTP/1.1", HOST, *[b"a%d: 1" % n for n in range(200)]), 431),
        ((b"POST / HTTP/1.1", HOST, b"Content-Length: 11"), 413),
        ((b"POST / HTTP/1.1", HOST, b"Content-Length: -1"), 400),
        (
            (
                b"POST / HTTP/1.1",
                HOST,
                b"Content-Length: 5",
                b"Transfer-Encoding: chunked",
            ),
            400,
        ),
    ],
)
def test_malformed_requests_are_answered_with_their_status(address, lines, status):
    """Never a 500, whichever of server and guard notices first."""
    assert say(address, *lines, body=b"0\r\n\r\n")[0] == status
