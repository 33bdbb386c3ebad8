"""Attacks on the street: false addresses, slow and shattered bodies, known attackers
(CWE-348, CWE-290, CWE-400, CWE-770)."""

import asyncio
import json
import socket
import time

import pytest
from tests.attacks import wire
from tests.attacks.serving import lifespan, served
from tests.attacks.streets import HOST, application, call, guarded
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from ringfence.cli.http_protocol import BoundedHead

CLIENT = "203.0.113.7"  # as the proxy in front saw it
LIE = "6.6.6.6"
QUICK = {"body_grace": 0.2, "body_rate": 1_000_000}


def ask(port, path="/", headers=(), body=b"", method="POST"):
    fixed = {"Host": HOST, "X-Forwarded-For": CLIENT, "X-Forwarded-Proto": "https"}
    request = wire.request(method, path, {**fixed, **dict(headers)}, body)
    return wire.send(port, request)


@pytest.fixture(scope="module")
def off():
    """The application alone, on uvicorn alone."""
    with served(lambda _: application()) as server:
        yield server.port


@pytest.fixture(scope="module")
def guard(tmp_path_factory):
    return guarded(tmp_path_factory.mktemp("street"), **QUICK)


@pytest.fixture(scope="module")
def on(guard):
    """The same behind the guard, as ``ringfence serve`` runs it."""
    with served(lambda _: guard, protocol=BoundedHead) as server:
        yield server.port


@pytest.mark.anyio
@pytest.mark.parametrize("trusted", ["*", "127.0.0.1"])
async def test_a_server_that_rewrites_the_peer(tmp_path, trusted):
    """Uvicorn alone believes whoever comes from this machine: a tunnel, a proxy that
    passes headers on, a neighbour in the container. The guard does not start so."""
    headers = [(b"x-forwarded-for", LIE.encode())]
    local = ("127.0.0.1", 4711)
    bare = ProxyHeadersMiddleware(application(), trusted)
    _, [told, *_] = await call(bare, client=local, headers=headers)
    assert told == LIE
    guard = guarded(tmp_path, proxies=("none",))
    async with lifespan(ProxyHeadersMiddleware(guard, trusted)) as reason:
        assert "--no-proxy-headers" in reason
    async with lifespan(guard) as reason:
        assert reason == ""
        _, [told, *_] = await call(guard, client=local, headers=headers)
        assert told == "127.0.0.1"
        # Where the start-up did not see it, the request does.
        late = ProxyHeadersMiddleware(guard, trusted)
        status, problem = await call(late, client=local, headers=headers)
        assert (status, problem["code"]) == (500, "traffic.peer_rewritten")


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": f"{LIE}, {CLIENT}"},
        {"X-Forwarded-For": f"{LIE}\r\nX-Forwarded-For: {CLIENT}"},
        {"X-Real-IP": LIE},
        {"CF-Connecting-IP": LIE},
        {"True-Client-IP": LIE},
        {"Forwarded": f"for={LIE}"},
        {"Client-IP": LIE},
        {"X-Forwarded-For": f"{LIE}, ::ffff:{CLIENT}"},
        {"X-Forwarded-For": f"{LIE}, {CLIENT}:1234"},
    ],
)
def test_a_client_cannot_choose_its_address(on, headers):
    answer = ask(on, headers=headers, method="GET")
    assert json.loads(answer.body)[:2] == [CLIENT, "https"]


def test_an_underscore_is_no_way_around(off, on):
    """Servers that make variables of headers read both spellings as one."""
    headers = {"X_Forwarded_For": LIE}
    assert ask(off, headers=headers, method="GET").status == 200
    assert ask(on, headers=headers, method="GET").status == 400


def drip(port, path, *, chunked, pieces=15):
    """Send a byte of a body every twentieth of a second; return the status that comes,
    0 if none does."""
    coding = "Transfer-Encoding: chunked" if chunked else "Content-Length: 100000"
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nX-Forwarded-For: {CLIENT}\r\n"
        f"X-Forwarded-Proto: https\r\n{coding}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        connection.sendall(head.encode())
        connection.settimeout(0.05)
        for _ in range(pieces):
            connection.sendall(b"1\r\nx\r\n" if chunked else b"x")
            try:
                return int(connection.recv(4096).split()[1])
            except TimeoutError:
                continue
    return 0


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_drips(off, on, chunked):
    """Each holds a connection and a task for as long as its sender likes."""
    assert drip(off, "/read", chunked=chunked) == 0
    assert drip(on, "/read", chunked=chunked) == 408


def parts(count, more=""):
    part = f'--b\r\nContent-Disposition: form-data; name="a"{more}\r\n\r\n\r\n'
    return part.encode() * count + b"--b--\r\n"


MULTIPART = {"Content-Type": "multipart/form-data; boundary=b"}
URLENCODED = {"Content-Type": "application/x-www-form-urlencoded"}


FORMS = {
    "fields": (MULTIPART, parts(5_000), parts(50), 413),
    "files": (MULTIPART, parts(500, '; filename="x"'), parts(5, '; filename="x"'), 413),
    "file name": (MULTIPART, parts(1, f'; filename="{"x" * 999}"'), parts(1), 400),
    "urlencoded": (URLENCODED, b"a=1&" * 50_000, b"a=1&" * 50, 413),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_form_of_countless_pieces(off, on, form):
    """CVE-2023-30798: a megabyte becomes a million objects."""
    kind, body, honest, status = form
    assert ask(off, "/form", kind, body).status == 200
    assert ask(on, "/form", kind, body).status == status
    assert ask(on, "/form", kind, honest).status == 200


def test_junk_after_the_last_boundary(off, on):
    """CVE-2024-53981: parsers logged it byte by byte."""
    body = parts(1) + b"x" * 100_000
    assert ask(off, "/form", MULTIPART, body).status == 200
    assert ask(on, "/form", MULTIPART, body).status == 400


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=a; boundary=b",
        "multipart/form-data; boundary*=utf-8''b",
    ],
)
def test_a_boundary_that_can_be_read_in_two_ways(on, kind):
    answer = ask(on, "/form", {"Content-Type": kind}, parts(1))
    assert (answer.status, json.loads(answer.body)["code"]) == (
        400,
        "traffic.bad_boundary",
    )


def test_a_body_that_the_guard_reads_itself(on):
    """Anybody may send reports of browsers: one too large is a 413, no failure."""
    kind = {"Content-Type": "application/reports+json", "Transfer-Encoding": "chunked"}
    fixed = {"Host": HOST, "X-Forwarded-For": CLIENT, "X-Forwarded-Proto": "https"}
    head = wire.request("POST", "/.well-known/ringfence-reports", {**fixed, **kind})
    piece = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    assert wire.send(on, head + piece * 8 + b"0\r\n\r\n").status == 413


async def converse(port, *messages):
    """Say these over a WebSocket; return the answers and the code at the end."""
    answers = []
    async with connect(
        f"ws://{HOST}/echo",
        host="127.0.0.1",
        port=port,
        origin=f"https://{HOST}",
        additional_headers={"X-Forwarded-For": CLIENT},
    ) as socket:
        try:
            for message in messages:
                await socket.send(message)
                answers.append(await socket.recv())
        except ConnectionClosed as closed:
            return answers, closed.rcvd.code
    return answers, 1000


@pytest.mark.anyio
async def test_a_message_without_end(off, on):
    """Servers put together up to 16 MiB; a handler that parses it pays."""
    large = "x" * 3_000_000
    assert await converse(off, "hello", large) == (["5", "3000000"], 1000)
    assert await converse(on, "hello", large) == (["5"], 1011)


def test_a_body_that_nobody_reads_costs_no_parsing(on):
    assert ask(on, "/ignore", MULTIPART, parts(5_000)).status == 200


def test_a_known_attacker_is_turned_away(guard, on):
    """Blocked for a while, without the others behind the same proxy."""
    assert ask(on, method="GET").status == 200
    add, remove = guard.blocklist.add, guard.blocklist.remove
    asyncio.run(add("203.0.113.0/24", seconds=60, reason="scanned for shells"))
    try:
        for _ in range(3):
            answer = ask(on, method="GET")
            assert answer.status == 403
            assert json.loads(answer.body)["code"] == "traffic.blocked"
        other = ask(on, headers={"X-Forwarded-For": "198.51.100.7"}, method="GET")
        assert other.status == 200
    finally:
        assert asyncio.run(remove("203.0.113.0/24"))
    assert ask(on, method="GET").status == 200


def test_reading_a_forwarding_header_takes_linear_time(on):
    began = time.monotonic()
    for value in (", ".join(["127.0.0.1"] * 2_000), '"' * 30_000, "," * 30_000):
        assert ask(on, headers={"X-Forwarded-For": value}, method="GET").status == 400
    assert time.monotonic() - began < 2
