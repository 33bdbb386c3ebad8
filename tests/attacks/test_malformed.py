"""Requests that no honest client sends are refused with a code, never a 500 (CWE-20,
CWE-444, CWE-755)."""

import json
import socket

import pytest
from tests.attacks import wire
from tests.attacks.ranges import ALICE

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"

BODIES = {
    "nothing": (JSON, b""),
    "cut off": (JSON, b'{"email": "a@example.com", "pass'),
    "no object": (JSON, b'["email", "password"]'),
    "null": (JSON, b"null"),
    "numbers": (JSON, b'{"email": 1, "password": 2}'),
    "lists": (JSON, b'{"email": ["a@example.com"], "password": ["x"]}'),
    "operators": (JSON, b'{"email": {"$ne": null}, "password": {"$ne": null}}'),
    "deep": (JSON, b"[" * 50_000),
    "deep object": (JSON, b'{"a":' * 20_000 + b"1" + b"}" * 20_000),
    "twice": (JSON, b'{"email": "a@example.com", "email": "b@example.com"}'),
    "huge number": (JSON, b'{"email": ' + b"9" * 50_000 + b"}"),
    "not a number": (JSON, b'{"email": NaN, "password": Infinity}'),
    "no UTF-8": (JSON, b'{"email": "\xff\xfe", "password": "x"}'),
    "a lone surrogate": (
        JSON,
        b'{"email": "\\ud800@x.com", "password": "\\udfff aaa"}',
    ),
    "a zero byte": (JSON, b'{"email": "a\\u0000@example.com", "password": "x"}'),
    "UTF-16": (JSON, '{"email": "a@example.com"}'.encode("utf-16")),
    "a byte order mark": (JSON, b'\xef\xbb\xbf{"email": "a@example.com"}'),
    "another type": ("application/xml", b"<email>a@example.com</email>"),
    "no type": ("", b'{"email": "a@example.com", "password": "x"}'),
    "two types": (f"{JSON}, {FORM}", b"{}"),
    "form, cut off": (FORM, b"email=%4&password=%"),
    "form, no UTF-8": (FORM, b"email=%ff%fe&password=%00"),
    "form, many fields": (FORM, b"&".join(b"a%d=1" % n for n in range(5000))),
    "multipart, no boundary": ("multipart/form-data", b"--x\r\n\r\n--x--"),
    "multipart, cut off": (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="email"',
    ),
    "a long password": (
        JSON,
        json.dumps({"email": "a@example.com", "password": "x" * 50_000}).encode(),
    ),
    "a long address": (
        JSON,
        json.dumps({"email": "x" * 50_000 + "@x.com", "password": "a" * 20}).encode(),
    ),
}


def post(side, path, kind, body):
    headers = {"Host": f"127.0.0.1:{side.port}", "X-Range-Key": side.key}
    if kind:
        headers["Content-Type"] = kind
    return wire.send(side.port, wire.request("POST", path, headers, body))


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("path", ["/auth/login", "/auth/register"])
def test_a_malformed_body_is_refused(on, path, name):
    """A body that cannot be meant gets a 4xx with a code."""
    answer = post(on, path, *BODIES[name])
    assert 400 <= answer.status < 500, answer.body
    problem = json.loads(answer.body)
    assert "." in problem["code"]
    assert "Traceback" not in answer.body.decode()


LINES = {
    "no Host": b"GET /comments HTTP/1.1\r\n\r\n",
    "no Host, HTTP/1.0": b"GET /comments HTTP/1.0\r\nX-Range-Key: {key}\r\n\r\n",
    "a forwarded Host only": (
        b"GET /comments HTTP/1.0\r\nX-Range-Key: {key}\r\n"
        b"X-Forwarded-Host: {host}\r\n\r\n"
    ),
    "two Hosts": b"GET / HTTP/1.1\r\nHost: {host}\r\nHost: evil.example\r\n\r\n",
    "a space before the colon": b"GET / HTTP/1.1\r\nHost : {host}\r\n\r\n",
    "a folded header": b"GET / HTTP/1.1\r\nHost: {host}\r\nA: b\r\n c\r\n\r\n",
    "a header without a name": b"GET / HTTP/1.1\r\nHost: {host}\r\n: x\r\n\r\n",
    "a zero byte in a header": b"GET / HTTP/1.1\r\nHost: {host}\r\nA: \x00\r\n\r\n",
    "no version": b"GET /comments\r\n\r\n",
    "an unknown version": b"GET / HTTP/9.9\r\nHost: {host}\r\n\r\n",
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "two codings": (
        b"POST /comments HTTP/1.1\r\nHost: {host}\r\nX-Range-Key: {key}\r\n"
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"
    ),
    "an unknown coding": (
        b"POST /comments HTTP/1.1\r\nHost: {host}\r\nX-Range-Key: {key}\r\n"
        b"Transfer-Encoding: xchunked\r\n\r\n"
    ),
    "a chunk that is no number": (
        b"POST /comments HTTP/1.1\r\nHost: {host}\r\nX-Range-Key: {key}\r\n"
        b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    ),
}


@pytest.mark.parametrize("name", LINES)
def test_a_malformed_request_is_refused(on, name):
    """What two parsers could read in two ways is answered by none of the targets."""
    request = LINES[name].replace(b"{key}", on.key.encode())
    request = request.replace(b"{host}", f"127.0.0.1:{on.port}".encode())
    with socket.create_connection(("127.0.0.1", on.port), 10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while chunk := connection.recv(65_536):
            received += chunk
    assert b" 200 " not in received
    assert b"HTTP/1.1 5" not in received.replace(b"HTTP/1.1 501", b"")
    assert b"<!doctype" not in received


HEADERS = (
    "Host",
    "Origin",
    "Cookie",
    "Content-Type",
    "Accept",
    "Accept-Language",
    "Authorization",
    "Sec-Fetch-Site",
    "Sec-Fetch-Mode",
    "X-CSRF-Token",
    "If-None-Match",
    "Range",
    "User-Agent",
    "Referer",
    "Expect",
    "Upgrade",
    "Connection",
    "Access-Control-Request-Method",
    "X-Request-Id",
)
VALUES = (
    "",
    " ",
    ",",
    ";",
    "=",
    "\xff\xfe",
    "\u00e9\u00e0",
    '"',
    "\t",
    "a" * 5_000,
    "%00%0d%0a",
    "-1",
    "NaN",
    "{}",
    "' OR '1'='1",
    ";=;=;=" * 200,
    "bytes=" + ",".join(["0-"] * 1000),
    "Basic " + "=" * 100,
    "Bearer " + "e30." * 500,
    "text/html;q=" + "9" * 300,
    "multipart/form-data; boundary=" + "b" * 300,
)


@pytest.mark.parametrize("name", HEADERS)
def test_no_header_makes_it_fail(on, name):
    """Whatever stands in a header is understood or refused, never a crash."""
    with on.signed_in(ALICE) as alice:
        cookie = "=".join(on.session(alice))
    fixed = {"Host": f"127.0.0.1:{on.port}", "X-Range-Key": on.key, "Cookie": cookie}
    for value in VALUES:
        for method, target in (("GET", "/auth/me"), ("POST", "/auth/login")):
            headers = {**fixed, name: value}
            body = b'{"email": "a@example.com", "password": "x"}'
            request = wire.request(method, target, headers, body)
            answer = wire.send(on.port, request)
            assert answer.status < 500 or answer.status == 501, (method, value[:40])


def test_a_second_request_is_not_smuggled(on):
    """A length and a coding together cannot hide a request behind a request."""
    hidden = b"GET /admin/users HTTP/1.1\r\nHost: x\r\n\r\n"
    request = (
        b"POST /comments HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nX-Range-Key: %s\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n%s"
    ) % (on.port, on.key.encode(), 5 + len(hidden), hidden)
    with socket.create_connection(("127.0.0.1", on.port), 10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while chunk := connection.recv(65_536):
            received += chunk
    assert received.count(b"HTTP/1.1 ") == 1
    assert received.startswith(b"HTTP/1.1 400")


def test_the_range_lives_on(on):
    """After all of this it answers as before."""
    with on.client() as client:
        assert client.get("/comments").status_code == 200
