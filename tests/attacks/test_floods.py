"""Too much, and from a false address (CWE-400, CWE-770, CWE-348)."""

import socket

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from tests.attacks import wire
from tests.attacks.serving import served

from ringfence import Guard, Settings, access

MEGABYTE = 1024 * 1024


def send(side, method, target, headers=(), body=b""):
    fixed = {"Host": f"127.0.0.1:{side.port}", "X-Range-Key": side.key}
    request = wire.request(method, target, {**fixed, **dict(headers)}, body)
    return wire.send(side.port, request)


def test_a_large_body_is_refused_by_what_it_declares(off, on):
    """A body over the limit is refused before it is read."""
    kind = {"Content-Type": "application/json"}
    body = b'{"text": "' + b"x" * (12 * MEGABYTE) + b'"}'
    assert send(off, "POST", "/comments", kind, body).status == 303
    answer = send(on, "POST", "/comments", kind, body)
    assert answer.status == 413
    assert b"code" in answer.body


def test_a_large_body_is_refused_while_it_comes(off, on):
    """A body that declares no length is cut at the limit (chunked)."""
    chunk = b"x" * MEGABYTE
    chunks = [b'{"text": "', *[chunk] * 12, b'"}', b""]
    body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in chunks)
    headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    for side, status in ((off, 303), (on, 413)):
        fixed = {"Host": f"127.0.0.1:{side.port}", "X-Range-Key": side.key}
        request = wire.request("POST", "/comments", {**fixed, **headers})
        assert wire.send(side.port, request + body).status == status


def test_a_large_body_of_a_get_is_refused(on):
    """The limit does not ask what a body is for."""
    assert send(on, "GET", "/comments", body=b"x" * 12 * MEGABYTE).status == 413


def test_an_honest_body_passes(on):
    kind = {"Content-Type": "application/json"}
    body = b'{"text": "' + b"x" * 10_000 + b'"}'
    assert send(on, "POST", "/comments", kind, body).status == 303


def test_too_many_headers_are_refused(off, on):
    """Thousands of header lines cost every reader of headers time (CVE-2025-14550)."""
    flood = {f"X-Flood-{n}": "x" for n in range(1000)}
    assert send(off, "GET", "/comments", flood).status == 200
    assert send(on, "GET", "/comments", flood).status == 431


def test_the_same_header_a_thousand_times_is_refused(on):
    """Repeated lines are joined by many readers in quadratic time."""
    lines = "".join("X-Flood: x\r\n" for _ in range(1000))
    request = (
        f"GET /comments HTTP/1.1\r\nHost: 127.0.0.1:{on.port}\r\n"
        f"X-Range-Key: {on.key}\r\n{lines}Connection: close\r\n\r\n"
    )
    assert wire.send(on.port, request.encode()).status == 431


def test_a_huge_header_is_refused(on):
    """One header of 60 kB is refused like a thousand small ones."""
    assert send(on, "GET", "/comments", {"X-Flood": "x" * 60_000}).status in {400, 431}


def test_a_long_address_is_refused(on):
    assert send(on, "GET", "/greet?name=" + "x" * 60_000).status in {400, 414}


@pytest.mark.parametrize(
    "length", ["-1", "1e3", "0x10", "10, 10", " ", "99999999999999999999", "+5", "1_0"]
)
def test_a_false_length_is_refused(on, length):
    """A Content-Length that is no number is never guessed at."""
    headers = {"Content-Length": length, "Content-Type": "application/json"}
    answer = send(on, "POST", "/comments", headers)
    assert answer.status in {400, 413}


def test_two_lengths_are_refused(on):
    """Content-Length beside Transfer-Encoding is request smuggling (RFC 9112, 6.1)."""
    headers = {"Content-Length": "5", "Transfer-Encoding": "chunked"}
    request = wire.request(
        "POST",
        "/comments",
        {"Host": f"127.0.0.1:{on.port}", "X-Range-Key": on.key, **headers},
    )
    with socket.create_connection(("127.0.0.1", on.port), 10) as connection:
        connection.sendall(request + b"0\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 400"


FORWARDED = {
    "X-Forwarded-For": "127.0.0.1",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "https",
    "X-Real-IP": "127.0.0.1",
    "Forwarded": "for=127.0.0.1;host=evil.example",
    "CF-Connecting-IP": "127.0.0.1",
    "X_Forwarded_For": "127.0.0.1",
    "True-Client-IP": "127.0.0.1",
}


@pytest.mark.parametrize("header", FORWARDED)
def test_no_header_names_the_client_in_development(on, header):
    """A development server that sees a forwarding header stands behind a proxy, and
    refuses to be one in secret (CVE-2025-59152, CVE-2025-46814)."""
    answer = send(on, "GET", "/comments", {header: FORWARDED[header]})
    assert answer.status in {400, 403, 421}


async def take(request):
    return PlainTextResponse(str(len(await request.body())))


def hang_up(port, path, times):
    """Announce a body, send one byte of it, and go."""
    fixed = {"Host": f"127.0.0.1:{port}", "Content-Length": "9"}
    headers = {**fixed, "Content-Type": "application/json"}
    half = wire.request("POST", path, headers).replace(b"Connection: close\r\n", b"")
    for _ in range(times):
        with socket.create_connection(("127.0.0.1", port), 20) as connection:
            connection.sendall(half + b"{")


def hang_up_often(app, *paths):
    """Serve an application, flood it, and return once it has seen all of it: whoever
    comes last is accepted last, so the server is not ended with half of it unread."""
    with served(lambda port: app) as server:
        for path in paths:
            hang_up(server.port, path, 50)
        fixed = {"Host": f"127.0.0.1:{server.port}"}
        assert (
            wire.send(server.port, wire.request("POST", "/take", fixed)).status == 200
        )


def taking():
    return Starlette(
        routes=access.routes([Route("/take", take, methods=["POST"])], access.public)
    )


def test_hanging_up_fills_the_log_of_who_has_no_guard(caplog):
    hang_up_often(taking(), "/take")
    assert caplog.text.count("Traceback") > 10


def test_hanging_up_floods_neither_the_log_nor_the_ledger(tmp_path, caplog):
    """Half a request is the cheapest thing to send: it must not cost a trace and an
    event, and must not hide real failures among its own (CWE-779)."""
    settings = Settings.load(environ={}, env="development", data=tmp_path)
    hang_up_often(Guard(taking(), settings), "/take", "/auth/login")
    assert "Traceback" not in caplog.text
    events = (tmp_path / "audit.jsonl").read_text()
    assert "sys_startup" in events
    assert "sys_crash" not in events
    assert "audit_events_lost" not in events


def test_leaving_a_websocket_floods_neither_the_log_nor_the_ledger(tmp_path, caplog):
    """Most handlers do not catch what tells them that the client has gone."""

    async def echo(websocket):
        await websocket.accept()
        while True:
            await websocket.send_text(await websocket.receive_text())

    routes = access.routes([WebSocketRoute("/echo", echo)], access.public)
    settings = Settings.load(environ={}, env="development", data=tmp_path)
    guard = Guard(Starlette(routes=routes), settings)
    with served(lambda port: guard) as server:
        host = f"127.0.0.1:{server.port}"
        headers = {
            "Host": host,
            "Origin": f"http://{host}",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version": "13",
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", server.port), 20) as connection:
                connection.sendall(f"GET /echo HTTP/1.1\r\n{lines}\r\n".encode())
                assert b" 101 " in connection.recv(4096)
    assert "Traceback" not in caplog.text
    assert "sys_crash" not in (tmp_path / "audit.jsonl").read_text()
