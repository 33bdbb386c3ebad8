"""Who must never be turned away: the table of docs/honest-traffic.md, case by case."""

import asyncio
import contextlib
import json
import shutil
import socket
import subprocess
import threading

import httpx2
import pytest
import uvicorn
from tests.attacks.serving import served
from tests.attacks.streets import HOST, guarded

from ringfence.cli.http_protocol import BoundedHead

CLIENT = "203.0.113.7"
PROXIES = ("127.0.0.1/32", "10.0.0.0/8")


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    """A guarded application in production, with its usual limits, behind a proxy."""
    guard = guarded(tmp_path_factory.mktemp("street"), proxies=PROXIES)
    with served(lambda _: guard, protocol=BoundedHead) as server:
        yield server.port


def say(connection, text):
    """Send these lines and return the status and the body of the answer."""
    connection.settimeout(10)
    connection.sendall(text)
    came = b""
    while piece := connection.recv(65_536):
        came += piece
    head, _, body = came.rpartition(b"\r\n\r\n")
    status = int(head.split(b"HTTP/1.1 ")[-1][:3])  # the last: 100 may come before
    return status, body


def ask(port, *lines, first="GET / HTTP/1.1", body=b"", host=HOST, client=CLIENT):
    """Ask as a client does whose requests come over our proxy."""
    proxied = (f"X-Forwarded-For: {client}", "X-Forwarded-Proto: https")
    head = [first, f"Host: {host}", *lines, *(proxied if client else ())]
    if "HTTP/1.1" in first:
        head.append("Connection: close")
    text = "\r\n".join((*head, "", "")).encode()
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        return say(connection, text + body)


def posted(body, *lines):
    """Return the lines and the body of a POST."""
    return (*lines, f"Content-Length: {len(body)}"), body


CURL = ("User-Agent: curl/8.5.0", "Accept: */*")
FORM = "Content-Type: application/x-www-form-urlencoded"
GETS = {
    "curl": CURL,
    "a script without any header": (),
    "an empty User-Agent": ("User-Agent:",),
    "a browser of 2015, without Fetch-Metadata": (
        "User-Agent: Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko",
        "Accept: text/html, application/xhtml+xml, */*",
        "Accept-Language: de-DE,en;q=0.5",
        "DNT: 1",
    ),
    "a browser of today": (
        "Accept: text/html,application/xhtml+xml,*/*;q=0.8",
        'Sec-CH-UA: "Chromium";v="140"',
        "Sec-Fetch-Dest: document",
        "Sec-Fetch-Mode: navigate",
        "Sec-Fetch-Site: none",
        "Sec-Fetch-User: ?1",
        "Upgrade-Insecure-Requests: 1",
        "Priority: u=0, i",
    ),
    "a followed link": ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"),
    "a cache": ('If-None-Match: "a", "b"', "Cache-Control: max-age=0"),
    "a resumed download": ("Range: bytes=1000-", 'If-Range: "a"'),
    "two lines of one list": ("Accept: text/html", "Accept: */*;q=0.1"),
    "cookies that HTTP/2 has split": ("Cookie: a=1", "Cookie: b=2"),
    "a traced request": ("traceparent: 00-0af7651916cd43dd84-b7ad6b71-01",),
    "a proxy that names itself": ("Via: 1.1 vegur", "X-Request-Id: 4711"),
    "a client behind its own proxy": ("X-Forwarded-For: 192.168.0.9",),
    "headers of a provider": ("CF-Ray: 8f", "CF-IPCountry: DE", "CDN-Loop: cloudflare"),
    "the proxies' other headers": (
        "X-Real-IP: 203.0.113.7",
        "X-Forwarded-Port: 443",
        f"X-Forwarded-Host: {HOST}",
        "X-Forwarded-Server: edge-1",
    ),
}


@pytest.mark.parametrize("lines", GETS.values(), ids=GETS)
def test_readers_are_answered(port, lines):
    status, body = ask(port, *lines)
    assert (status, json.loads(body)) == (200, [CLIENT, "https", "GET"])


MULTIPARTS = {
    "curl": "------------------------d74496d66958873e",
    "Chromium": "----WebKitFormBoundary7MA4YWxkTrZu0gW",
    "Firefox": "----geckoformboundary9ba7e5ed4f0b3d4a",
    "an old Firefox": "---------------------------974767299852498929531610575",
    "httpx and requests": "0f2b4d6c8e9a1b3c5d7f9e8d7c6b5a49",
    "Java": "rCxVsKpt_Yb-4NX1Zc7",
}


@pytest.mark.parametrize("boundary", MULTIPARTS.values(), ids=MULTIPARTS)
@pytest.mark.parametrize("quote", ["", '"'])
def test_uploads_arrive(port, boundary, quote):
    part = (
        f"--{boundary}\r\nContent-Disposition: form-data; "
        'name="file"; filename="Übersicht €.pdf"\r\n'
        "Content-Type: application/pdf\r\n\r\n%PDF-1.7\r\n--\r\n"
    )
    content = (part * 2 + f"\r\n--{boundary}--\r\n").encode()
    kind = f"Content-Type: multipart/form-data; boundary={quote}{boundary}{quote}"
    lines, body = posted(content, kind)
    assert ask(port, *lines, first="POST /form HTTP/1.1", body=body) == (200, b"2")


POSTS = {
    "curl -d": posted(b"a=1&b=2", *CURL, FORM),
    "a form of an old browser": posted(b"a=1", FORM, f"Referer: https://{HOST}/"),
    "a form of our own page": posted(
        b"a=1", FORM, f"Origin: https://{HOST}", "Sec-Fetch-Site: same-origin"
    ),
    "JSON": posted(b'{"a": 1}', "Content-Type: application/json"),
    "no content type": posted(b"a"),
    "nothing": posted(b""),
    "a streamed body": (("Transfer-Encoding: chunked",), b"3\r\na=1\r\n0\r\n\r\n"),
    "who waits for 100 Continue": posted(b"a=1", FORM, "Expect: 100-continue"),
}


@pytest.mark.parametrize("post", POSTS.values(), ids=POSTS)
def test_writers_are_answered(port, post):
    lines, body = post
    status, answer = ask(port, *lines, first="POST /read HTTP/1.1", body=body)
    expected = 3 if "Transfer-Encoding: chunked" in lines else len(body)
    assert (status, int(answer)) == (200, expected)


@pytest.mark.parametrize(
    ("lines", "client", "found"),
    [
        ((), "2001:db8:1:2::7", "2001:db8:1:2::7"),
        ((), f"{CLIENT}, 10.0.0.5", CLIENT),
        ((), f"192.168.0.9, {CLIENT}, 10.0.0.5, 10.0.0.6", CLIENT),
        ((f"X-Forwarded-For: {CLIENT}",), "10.0.0.5", CLIENT),
        (("X-Forwarded-Proto: https",), CLIENT, CLIENT),
        ((), f"{CLIENT}:50123", CLIENT),
        ((), "[2001:db8::7]:50123", "2001:db8::7"),
        ((), "fd00::7", "fd00::7"),
        ((), "192.168.1.20", "192.168.1.20"),
    ],
)
def test_clients_are_told_apart_behind_proxies(port, lines, client, found):
    """IPv6 alone, two proxies in a row, each with a line of its own, with ports."""
    status, body = ask(port, *lines, client=client)
    assert (status, json.loads(body)[0]) == (200, found)


def test_an_office_behind_one_address(port):
    """Two hundred people who come back from lunch."""
    assert {ask(port, client="198.51.100.1")[0] for _ in range(200)} == {200}


@pytest.mark.parametrize("host", [HOST, f"{HOST}:443", HOST.upper()])
def test_hosts_are_compared_as_browsers_spell_them(port, host):
    assert ask(port, host=host)[0] == 200


def test_a_health_check(port):
    """Of the proxy itself: no User-Agent, no forwarding header, HTTP/1.0."""
    assert ask(port, client="")[0] == 200
    assert ask(port, first="GET / HTTP/1.0", client="")[0] == 200
    assert ask(port, first="HEAD / HTTP/1.1", client="")[0] == 200


def test_an_address_in_absolute_form(port):
    """What RFC 9112, 3.2.2 wants every server to take."""
    assert ask(port, first=f"GET http://{HOST}/ HTTP/1.1")[0] == 200


def test_httpx(port):
    headers = {"Host": HOST, "X-Forwarded-For": CLIENT, "X-Forwarded-Proto": "https"}
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers=headers) as client:
        assert client.get("/").json()[0] == CLIENT
        files = {"file": ("a.txt", b"x" * 100_000)}
        assert client.post("/form", data={"a": "1"}, files=files).json() == 2
        streamed = client.post("/read", content=iter([b"x"] * 1_000))
        assert streamed.json() == 1_000


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(port, tmp_path):
    upload = tmp_path / "report.txt"
    upload.write_bytes(b"x" * 100_000)
    command = ["curl", "-sS", "--max-time", "10", "-H", f"Host: {HOST}"]
    command += ["-H", f"X-Forwarded-For: {CLIENT}"]
    base = f"http://127.0.0.1:{port}"
    for arguments, answer in (
        ([f"{base}/"], f'["{CLIENT}","http","GET"]'),
        (["-d", "a=1&b=2", f"{base}/form"], "2"),
        (["-F", f"f=@{upload}", "-F", "a=1", f"{base}/form"], "2"),
        (["-T", str(upload), "-X", "POST", f"{base}/read"], "100000"),
    ):
        assert run([*command, *arguments]) == answer


def run(command):
    """Run a program; return what it has written."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=20, check=True
    )
    return done.stdout


@contextlib.contextmanager
def over_a_socket_file(guard, path):
    """Serve a guard where nginx would reach it."""
    config = uvicorn.Config(
        guard, uds=str(path), http=BoundedHead, log_config=None, proxy_headers=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=asyncio.run, args=(server.serve(),))
    thread.start()
    try:
        while not server.started and thread.is_alive():
            thread.join(0.05)
        yield
    finally:
        server.should_exit = True
        thread.join(10)


def test_a_socket_file(tmp_path):
    """A connection without addresses; the proxy at its other end names the client."""
    path = tmp_path / "app.sock"
    guard = guarded(tmp_path, proxies=("unix",))
    with over_a_socket_file(guard, path):
        for line, client in (
            ("Accept: */*", "unix"),
            (f"X-Forwarded-For: {CLIENT}", CLIENT),
        ):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(path))
                text = f"GET / HTTP/1.1\r\nHost: {HOST}\r\n{line}\r\n"
                status, body = say(
                    connection, f"{text}Connection: close\r\n\r\n".encode()
                )
            assert status == 200
            assert json.loads(body)[0] == client or (
                client == "unix" and line[0] == "A"
            )
