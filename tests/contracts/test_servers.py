"""One contract for all servers: what the wire makes of a request, the guard must know.

Real programs on loopback. Where they differ, the difference stands in a table here and
in ``docs/servers.md``.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import pytest
from tests.attacks.serving import ROOT, await_port, free_port
from tests.attacks.wire import request
from tests.contracts.served import FRAMEWORK_VARIABLE
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

TARGET = "tests.contracts.served:app"
_SECONDS = 20.0
_BIN = Path(sys.executable).parent


def uvicorn(port, *options):
    command = [sys.executable, "-m", "uvicorn", TARGET, "--port", str(port)]
    return [*command, "--no-proxy-headers", "--no-server-header", *options]


def granian(port, *options):
    command = [str(_BIN / "granian"), TARGET, "--port", str(port)]
    return [*command, "--interface", "asgi", "--no-access-log", *options]


def hypercorn(port, *options):
    bind = f"127.0.0.1:{port}"
    return [str(_BIN / "hypercorn"), TARGET, "--bind", bind, *options]


COMMANDS = {
    "uvicorn-httptools": lambda port: uvicorn(port, "--http", "httptools"),
    "uvicorn-h11": lambda port: uvicorn(port, "--http", "h11"),
    "granian": granian,
    "hypercorn": hypercorn,
}
# A new server adds a line here.
PAIRS = [
    ("uvicorn-httptools", "starlette"),
    ("uvicorn-httptools", "litestar"),
    ("uvicorn-h11", "starlette"),
    ("granian", "starlette"),
    ("granian", "litestar"),
    ("hypercorn", "starlette"),
    ("hypercorn", "litestar"),
]


@dataclass(frozen=True)
class Server:
    name: str
    framework: str
    port: int

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def send(self, data: bytes, *, half_close: bool = False) -> bytes:
        """Send bytes as they stand; return all that comes until the end."""
        with socket.create_connection(("127.0.0.1", self.port), _SECONDS) as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(data.replace(b"HOST", self.host.encode()))
                if half_close:
                    connection.shutdown(socket.SHUT_WR)
            return _read_all(connection)

    def ask(self, method, target, headers=None, body=b""):
        lines = {"Host": self.host, "Accept": "application/json", **(headers or {})}
        return Answer(self.send(request(method, target, lines, body)))


def _read_all(connection: socket.socket) -> bytes:
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65_536):
            answer += piece
    return answer


class Answer:
    """One response as it came over the wire."""

    def __init__(self, raw: bytes) -> None:
        head, _, rest = raw.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        self.raw = raw
        self.status = int(status.split()[1]) if status else 0
        self.headers = [
            (name.lower(), value.strip())
            for name, _, value in (line.partition(":") for line in lines)
        ]
        chunked = ("transfer-encoding", "chunked") in self.headers
        self.body = _unchunked(rest) if chunked else rest

    def all(self, name):
        return [value for found, value in self.headers if found == name]

    @property
    def code(self) -> str:
        found = re.search(rb'"code":"([^"]+)"', self.body)
        return found[1].decode() if found else ""


def _unchunked(data: bytes) -> bytes:
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        body, data = body + data[:length], data[length + 2 :]
    return body


def environment(framework: str, data: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "RINGFENCE_ENV": "development",
        "RINGFENCE_DATA": str(data),
        "RINGFENCE_IDENTITY_ENABLED": "false",
        FRAMEWORK_VARIABLE: framework,
    }


@contextlib.contextmanager
def process(command, env, log) -> Iterator[subprocess.Popen[str]]:
    """Run a command; end it, and only it, afterwards."""
    with log.open("w") as output:
        started = subprocess.Popen(
            command, cwd=ROOT, env=env, stdout=output, stderr=output, text=True
        )
        try:
            yield started
        finally:
            started.terminate()
            try:
                started.wait(10)
            except subprocess.TimeoutExpired:
                started.kill()
                started.wait(10)


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """All of them, started side by side: each takes seconds to import."""
    with contextlib.ExitStack() as stack:
        found = {}
        waiting = []
        for name, framework in PAIRS:
            data = tmp_path_factory.mktemp(f"{name}-{framework}")
            port, log = free_port(), data / "log"
            command = COMMANDS[name](port)
            running = process(command, environment(framework, data), log)
            waiting.append((stack.enter_context(running), port, log))
            found[name, framework] = Server(name, framework, port)
        for one in waiting:
            await_port(*one)
        yield found


@pytest.fixture(params=PAIRS, ids="-".join)
def server(request, servers) -> Server:
    return servers[request.param]


# Requests


def test_a_request_arrives_as_it_was_sent(server):
    answer = server.ask("GET", "/where?x=1", {"X-Case": "Kept"})
    told = json.loads(answer.body)
    assert answer.status == 200
    assert (told["path"], told["raw_path"]) == ("/where", "/where")
    assert (told["address"], told["client"][0]) == ("127.0.0.1", "127.0.0.1")
    assert (told["scheme"], told["version"]) == ("http", "1.1")
    assert ["x-case", "Kept"] in told["headers"]


def test_the_lifespan_runs_before_the_first_request(server):
    assert json.loads(server.ask("GET", "/where").body)["word"] == "kept"


def test_repeated_lines_stay_apart(server):
    """What is merged could be judged as one and read as another."""
    lines = "X-Two: a\r\nX-Two: b\r\nCookie: a=1\r\nCookie: b=2"
    answer = Answer(
        server.send(
            f"GET /where HTTP/1.1\r\nHost: HOST\r\n{lines}\r\nConnection: close\r\n"
            "Accept: application/json\r\n\r\n".encode()
        )
    )
    headers = json.loads(answer.body)["headers"]
    assert [value for name, value in headers if name == "x-two"] == ["a", "b"]
    assert [value for name, value in headers if name == "cookie"] == ["a=1", "b=2"]


@pytest.mark.parametrize(
    "line",
    ["Authorization: b", "Host: evil.example", "Origin: null", "Content-Type: a/b"],
)
def test_what_may_come_once_is_refused_twice(server, line):
    name = line.split(":")[0]
    lines = f"{name}: a\r\n{line}" if name != "Host" else line
    head = f"GET /where HTTP/1.1\r\nHost: HOST\r\n{lines}\r\n".encode()
    assert Answer(server.send(head + CLOSE)).status == 400


def test_two_cookies_are_two_lines(server):
    answer = server.ask("GET", "/cookies")
    assert [line.split("=")[0] for line in answer.all("set-cookie")] == [
        "first",
        "second",
    ]


def test_the_guards_headers_are_there_once(server):
    answer = server.ask("GET", "/where")
    assert answer.all("x-content-type-options") == ["nosniff"]
    assert len(answer.all("content-security-policy")) == 1


def test_what_is_not_there_is_told_by_the_guard(server):
    answer = server.ask("GET", "/nowhere")
    assert (answer.status, answer.code) == (404, "guard.no_route")


def test_head_has_no_body(server):
    answer = server.ask("HEAD", "/where")
    assert answer.status == (200 if server.framework == "starlette" else 405)
    assert answer.body == b""


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_bodies_arrive_with_a_length(server, version):
    answer = Answer(
        server.send(
            f"POST /echo HTTP/{version}\r\nHost: HOST\r\nContent-Length: 3\r\n"
            "Connection: close\r\n\r\nabc".encode()
        )
    )
    assert (answer.status, answer.body) == (200, b"abc")


CHUNKED = b"POST /echo HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n"
CLOSE = b"Connection: close\r\n\r\n"


def test_bodies_arrive_in_chunks(server):
    body = b"3\r\nabc\r\n2;name=value\r\nde\r\n0\r\n\r\n"
    answer = Answer(server.send(CHUNKED + CLOSE + body))
    assert (answer.status, answer.body) == (200, b"abcde")


def test_a_trailer_does_not_become_a_header(server):
    """CWE-444: nobody would have judged it. uvicorn adds one that comes at once to the
    headers, so that the guard judges it: a forged address is refused."""
    body = b"3\r\nabc\r\n0\r\nx-forwarded-for: 6.6.6.6\r\nx-late: 1\r\n\r\n"
    head = CHUNKED.replace(b"POST /echo", b"GET /where")
    answer = Answer(server.send(head + b"Accept: application/json\r\n" + CLOSE + body))
    if server.name == "uvicorn-httptools":
        assert answer.code == "traffic.forwarded_in_development"
        return
    assert answer.status == 200
    assert b"x-late" not in answer.body
    assert b"6.6.6.6" not in answer.body


def test_a_body_that_is_too_large_is_refused(server):
    """Told by its length; and in chunks, where no length is told."""
    by_length = (
        b"POST /echo HTTP/1.1\r\nHost: HOST\r\nContent-Length: 99999999\r\n" + CLOSE
    )
    assert Answer(server.send(by_length)).status == 413
    size = b"%x\r\n" % 1_000_000
    many = (size + b"x" * 1_000_000 + b"\r\n") * 11 + b"0\r\n\r\n"
    answer = server.send(CHUNKED + CLOSE + many)
    assert not answer or Answer(answer).status == 413


def test_a_client_that_waits_for_100_gets_it(server):
    data = (
        b"POST /echo HTTP/1.1\r\nHost: HOST\r\nExpect: 100-continue\r\n"
        b"Content-Length: 3\r\n" + CLOSE
    ).replace(b"HOST", server.host.encode())
    with socket.create_connection(("127.0.0.1", server.port), _SECONDS) as connection:
        connection.sendall(data)
        assert connection.recv(12) == b"HTTP/1.1 100"
        connection.sendall(b"abc")
        assert b"\r\n\r\nabc" in _read_all(connection)


def test_a_refused_client_that_waits_for_100_is_not_asked_to_send(server):
    """Nobody uploads what is refused anyway. hypercorn asks before anybody looks."""
    answer = server.send(
        b"POST /nowhere HTTP/1.1\r\nHost: HOST\r\nExpect: 100-continue\r\n"
        b"Content-Length: 3\r\n" + CLOSE
    )
    asked = answer.startswith(b"HTTP/1.1 100")
    assert asked == (server.name == "hypercorn")
    assert b" 404 " in answer


# Ambiguous lengths (CWE-444). Whoever answers, nothing that follows is answered too.

SMUGGLED = b"GET /where HTTP/1.1\r\nHost: HOST\r\nX-Smuggled: 1\r\n\r\n"
FIELDS = {
    "both": (b"Transfer-Encoding: chunked\r\nContent-Length: 3", {"granian"}),
    "two codings": (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", ()),
    "coding list": (b"Transfer-Encoding: gzip, chunked", ()),
    "odd coding": (b"Transfer-Encoding: xchunked", ()),
    "spaced name": (b"Transfer-Encoding : chunked", ()),
    "two lengths": (b"Content-Length: 3\r\nContent-Length: 4", ()),
    "signed length": (b"Content-Length: +3", ()),
    "spaced length": (b"Content-Length: 3 3", ()),
    "hex length": (b"Content-Length: 0x3", ()),
}


@pytest.mark.parametrize("name", FIELDS)
def test_ambiguous_lengths_open_no_second_request(server, name):
    """Granian takes the chunks where both are given, says so to nobody, and closes, as
    RFC 9112 section 6.1 allows; every other combination is refused by everybody."""
    fields, takers = FIELDS[name]
    head = b"POST /echo HTTP/1.1\r\nHost: HOST\r\n" + fields + b"\r\n\r\n"
    answer = server.send(head + b"3\r\nabc\r\n0\r\n\r\n" + SMUGGLED)
    statuses = re.findall(rb"HTTP/1\.1 ([0-9]{3})", answer)
    assert len(statuses) <= 1, answer
    expected = {200} if server.name in takers else {400, 501, 0}
    assert Answer(answer).status in expected


# Limits


@pytest.mark.parametrize(
    "lines",
    [
        b"X-Big: " + b"a" * 60_000,
        b"X-Big: " + b"a" * 1_000_000,
        b"\r\n".join(b"X-%d: 1" % number for number in range(2000)),
    ],
    ids=["60 kB", "1 MB", "2000 lines"],
)
def test_heads_that_are_too_large_are_refused(server, lines):
    answer = server.send(
        b"GET /where HTTP/1.1\r\nHost: HOST\r\n" + lines + b"\r\n" + CLOSE
    )
    assert not answer or Answer(answer).status in {400, 431}


@pytest.mark.parametrize(
    "target",
    ["/%2e%2e/where", "//where", "/x/../where", "/wh%00ere", "/where%2f", "\\where"],
)
def test_ambiguous_paths_are_refused(server, target):
    assert server.ask("GET", target).status == 400


@pytest.mark.parametrize("method", ["BREW", "CONNECT", "TRACE"])
def test_methods_that_nobody_serves_are_refused(server, method):
    assert server.ask(method, "/where").status in {400, 405, 501}


def test_a_method_in_small_letters_is_another_method(server):
    """Hypercorn raises it, for all alike: the guard sees what the handler sees."""
    answer = server.ask("get", "/where")
    assert answer.status == (200 if server.name == "hypercorn" else answer.status)
    assert server.name == "hypercorn" or answer.status in {400, 501}


# Connections


def test_streams_come_in_pieces_with_the_context(server):
    answer = server.ask("GET", "/stream")
    assert re.fullmatch(rb"ab[0-9a-f]{16}", answer.body)


def test_a_stream_whose_reader_leaves_is_let_go(server):
    with socket.create_connection(("127.0.0.1", server.port), _SECONDS) as connection:
        connection.sendall(
            f"GET /forever HTTP/1.1\r\nHost: {server.host}\r\n\r\n".encode()
        )
        connection.recv(1000)
    assert json.loads(server.ask("GET", "/gone").body) is True


def test_a_client_that_has_said_all_is_answered(server):
    """Half-closed connections (``nc -N``): granian takes them for gone as soon as it
    sees that they are, which may be before or after the answer."""
    answer = server.send(
        b"POST /echo HTTP/1.1\r\nHost: HOST\r\nContent-Length: 3\r\n" + CLOSE + b"abc",
        half_close=True,
    )
    assert server.name == "granian" or b"\r\n\r\nabc" in answer


def test_a_body_that_ends_early_acts_nowhere(server):
    answer = server.send(
        b"POST /echo HTTP/1.1\r\nHost: HOST\r\nContent-Length: 30\r\n" + CLOSE + b"abc",
        half_close=True,
    )
    assert not answer or Answer(answer).status >= 400


# WebSockets


def test_a_socket_speaks_and_knows_its_client(server):
    with connect(f"ws://{server.host}/socket", open_timeout=_SECONDS) as socket_:
        socket_.send("hello")
        assert socket_.recv(_SECONDS) == "hello 127.0.0.1"


@pytest.mark.parametrize(
    ("path", "origin", "status"),
    [
        ("/nowhere", None, 404),
        ("/where", None, 404),
        ("/socket", "http://evil.example", 403),
        ("/socket", "null", 403),
    ],
)
def test_a_handshake_is_refused_before_the_handler(server, path, origin, status):
    """Cross-site WebSocket hijacking (CWE-1385), and sockets where none are."""
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(f"ws://{server.host}{path}", origin=origin, open_timeout=_SECONDS),
    ):
        pytest.fail("opened")
    assert refused.value.response.status_code == status


# HTTP/2, which granian and hypercorn speak without being asked


@pytest.fixture(
    params=[pair for pair in PAIRS if pair[1] == "starlette"][2:], ids="-".join
)
def speaker(request, servers) -> Server:
    return servers[request.param]


def by_http2(server, *further, authority="HOST"):
    """Send one request; return status and body, or nothing for a closed connection."""
    config = h2.config.H2Configuration(
        validate_outbound_headers=False, normalize_outbound_headers=False
    )
    link = h2.connection.H2Connection(config)
    link.initiate_connection()
    first = [(":method", "GET"), (":path", "/where"), (":scheme", "http")]
    if authority:
        first.append((":authority", authority.replace("HOST", server.host)))
    headers = [*first, ("accept", "application/json"), *further]
    link.send_headers(1, headers, end_stream=True)
    status, body = 0, b""
    with socket.create_connection(("127.0.0.1", server.port), _SECONDS) as connection:
        connection.sendall(link.data_to_send())
        while piece := connection.recv(65_536):
            for event in link.receive_data(piece):
                if isinstance(event, h2.events.ResponseReceived):
                    status = int(dict(event.headers)[b":status"])
                elif isinstance(event, h2.events.DataReceived):
                    body += event.data
                elif isinstance(
                    event,
                    h2.events.StreamEnded
                    | h2.events.StreamReset
                    | h2.events.ConnectionTerminated,
                ):
                    return status, body
            connection.sendall(link.data_to_send())
    return status, body


def test_the_authority_of_http2_is_the_host(speaker):
    status, body = by_http2(speaker)
    assert status == 200
    assert ["host", speaker.host] in json.loads(body)["headers"]


@pytest.mark.parametrize(
    ("further", "authority"),
    [
        ((("host", "evil.example"),), "HOST"),
        ((), "evil.example"),
        ((), ""),
        ((("transfer-encoding", "chunked"),), "HOST"),
        ((("x-a", "a\r\nx-b: c"),), "HOST"),
        ((("x_forwarded_for", "6.6.6.6"),), "HOST"),
        ((("authorization", "a"), ("authorization", "b")), "HOST"),
    ],
)
def test_http2_opens_no_other_way(speaker, further, authority):
    status, _ = by_http2(speaker, *further, authority=authority)
    assert status in {0, 400}


# Start


@pytest.mark.parametrize("name", COMMANDS)
def test_an_application_that_fails_to_start_is_not_served(name, tmp_path):
    port, log = free_port(), tmp_path / "log"
    env = environment("failing", tmp_path)
    with process(COMMANDS[name](port), env, log) as started:
        if name == "hypercorn":  # it serves all the same, so the guard has to refuse
            await_port(started, port, log)
            assert Server(name, "failing", port).ask("GET", "/where").status == 500
        else:
            started.wait(60)
    assert "the database of the application is gone" in log.read_text()


@pytest.mark.parametrize(
    "command",
    [
        lambda port: uvicorn(port, "--lifespan", "off"),
        lambda port: granian(port, "--interface", "asginl"),
    ],
    ids=["uvicorn", "granian"],
)
def test_without_a_lifespan_the_guard_starts_at_the_first_request(command, tmp_path):
    port, log = free_port(), tmp_path / "log"
    with process(command(port), environment("starlette", tmp_path), log) as started:
        await_port(started, port, log)
        server = Server("late", "starlette", port)
        assert server.ask("GET", "/where").status == 200
        assert server.ask("GET", "/nowhere").code == "guard.no_route"
