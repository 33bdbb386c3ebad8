"""Bytes that nobody would send, over a real socket to the server as it is run.

Whatever comes: no failure, no hang, and no other client than the proxy has seen.
"""

import contextlib
import json
import socket
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.attacks.serving import served
from tests.attacks.streets import HOST, application, guarded

from ringfence import Guard, Settings
from ringfence.cli.http_protocol import BoundedHead

CLIENT = "203.0.113.7"
OWN_HOST = HOST.encode()
PATIENCE = 5.0  # seconds in which everything has an answer or an end
FUZZ = settings(max_examples=150, deadline=None)

# What a proxy on this machine adds, after all that the client sent.
PROXIED = f"X-Forwarded-For: {CLIENT}\r\nX-Forwarded-Proto: https\r\n".encode()
STANDARD = f"Forwarded: for={CLIENT};proto=https\r\n".encode()


@contextlib.contextmanager
def watched(guard, folder):
    """Serve a guard; in the end nothing may have failed inside."""
    with served(lambda _: guard, protocol=BoundedHead) as server:
        yield server.port
    ledger = (folder / "audit.jsonl").read_text()
    assert "sys_startup" in ledger
    assert "sys_crash" not in ledger


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    folder = tmp_path_factory.mktemp("street")
    limits = {"limits_address": "none", "limits_ipv6_site": "none"}
    with watched(guarded(folder, **limits), folder) as port:
        yield port


@pytest.fixture(scope="module")
def standard_street(tmp_path_factory):
    """The same, behind a proxy that writes the standard's header."""
    folder = tmp_path_factory.mktemp("standard")
    limits = {"limits_address": "none", "forwarding_header": "forwarded"}
    with watched(guarded(folder, **limits), folder) as port:
        yield port


@pytest.fixture(scope="module")
def development(tmp_path_factory):
    """With sessions, so that somebody reads the cookies."""
    folder = tmp_path_factory.mktemp("development")
    loaded = Settings.load(
        environ={},
        env="development",
        data=folder,
        traffic={"limits_address": "none"},
    )
    with watched(Guard(application(), loaded), folder) as port:
        yield port


def talk(port, *pieces):
    """Send these bytes and return all that comes back, in time."""
    began = time.monotonic()
    came = b""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for piece in pieces:
                connection.sendall(piece)
        connection.settimeout(0.5)
        with contextlib.suppress(ConnectionResetError):
            while True:
                try:
                    piece = connection.recv(65_536)
                except TimeoutError:  # it waits for the rest of a head or a body
                    connection.shutdown(socket.SHUT_WR)
                    connection.settimeout(PATIENCE)
                    continue
                if not piece:
                    break
                came += piece
    assert time.monotonic() - began < PATIENCE
    if came:
        assert came.startswith(b"HTTP/1.1 "), came
        assert came[9:12] not in {b"500", b"502", b"503", b"504"}, came
    return came


def request(*lines, method=b"GET", target=b"/", host=OWN_HOST, body=b""):
    return b"".join(
        (
            method + b" " + target + b" HTTP/1.1\r\n",
            b"Host: " + host + b"\r\n",
            b"Connection: close\r\n",
            *lines,
            b"\r\n",
            body,
        )
    )


def seen(came):
    """Return the client that the application has seen, if it was asked."""
    head, _, body = came.partition(b"\r\n\r\n")
    return json.loads(body)[0] if head.startswith(b"HTTP/1.1 200") else None


LINE = st.binary(max_size=40).map(
    lambda raw: raw.replace(b"\r", b"").replace(b"\n", b"")
)
ODD = st.one_of(
    st.sampled_from([b"", b" ", b"\t", b"\x00", b"\xff", b"\x1b[2J", b"\xe2\x80\xa8"]),
    st.sampled_from(rb"% %00 .. // \ * / ? # @ : 0 GET POST HTTP/0.9 HTTP/9.9".split()),
    st.sampled_from([b"http://evil.example", b"HTTP/1.1", b"a" * 9_000]),
)
MESS = st.lists(st.one_of(ODD, LINE), max_size=5).map(b"".join)


@FUZZ
@given(MESS, MESS)
def test_request_lines(street, first, second):
    talk(street, first + b" " + second + b"\r\n" + request(PROXIED)[16:])
    came = talk(street, request(PROXIED, target=b"/" + second.replace(b" ", b"")))
    assert seen(came) in {CLIENT, None}


NAMES = st.sampled_from(
    b"""
    Accept Authorization Content-Length Content-Type Cookie Expect Host Origin Range
    Sec-Fetch-Site TE Trailer Transfer-Encoding Upgrade X-Forwarded-Host X-HTTP-Method
    X_Forwarded_For X-Real-IP CF-Connecting-IP Forwarded
    """.split()
)


@FUZZ
@given(st.lists(st.tuples(st.one_of(NAMES, MESS), MESS), max_size=6))
def test_headers(street, lines):
    block = [name + b": " + value + b"\r\n" for name, value in lines]
    came = talk(street, request(*block, PROXIED))
    assert seen(came) in {CLIENT, None}


NEARLY = [b"shop.example.com", b"SHOP.example.com:443", b"shopXexample.com", b"[::1]"]
NEARLY += [b"evil.example", b"example.com", b"shop.example.com.evil.example"]


@FUZZ
@given(
    st.one_of(
        MESS,
        st.sampled_from(NEARLY),
        st.tuples(MESS, st.just(OWN_HOST), MESS).map(b"".join),
    )
)
def test_hosts(street, host):
    """Only its own name, in any case and with any port, is answered."""
    came = talk(street, request(PROXIED, host=host))
    if came.startswith(b"HTTP/1.1 200"):
        name, _, port = host.strip(b" \t").lower().decode("ascii").partition(":")
        assert name == HOST
        assert port == "" or port.isdecimal()


ENTRY = st.one_of(
    st.sampled_from(["6.6.6.6", "127.0.0.1", "[::1]", "::ffff:127.0.0.1", "unknown"]),
    st.sampled_from(
        ["_x", "", '"', 'for="', "for=6.6.6.6", 'for="127.0.0.1', "\\", ","]
    ),
    st.sampled_from(["by=_x;", "for=6.6.6.6;", "proto=https", "for=127.0.0.1;by="]),
    st.ip_addresses().map(str),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12),
)
CHAIN = st.lists(ENTRY, max_size=5).map(", ".join)
SAID = st.lists(
    st.tuples(
        st.sampled_from(
            ["X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Forwarded-Proto", "Via"]
        ),
        CHAIN,
    ),
    max_size=4,
)


def lines_of(said):
    return [f"{name}: {value}\r\n".encode() for name, value in said]


@FUZZ
@given(SAID)
def test_forwarding_headers(street, said):
    """Whatever a client says: it is who the proxy saw, or is refused."""
    came = talk(street, request(*lines_of(said), PROXIED))
    assert seen(came) in {CLIENT, None}
    if not any(name.startswith(("X-Forwarded-P", "X-R", "Forw")) for name, _ in said):
        assert seen(came) == CLIENT  # nobody is shut out by what is not believed


ELEMENT = st.lists(
    st.sampled_from(
        ["for=6.6.6.6", 'for="[::1]:9"', "for=unknown", "proto=https", 'by="_x"', "a=b"]
    ),
    min_size=1,
    max_size=2,
    unique_by=lambda pair: pair[:2],
).map(";".join)
TOLD = st.lists(st.one_of(ELEMENT, ELEMENT, ENTRY), min_size=1, max_size=3)


@FUZZ
@given(TOLD, st.booleans(), SAID)
def test_the_standard_forwarding_header(standard_street, told, is_split, said):
    """An open quote swallows nothing of what follows, on the same line or the next."""
    values = told if is_split else [", ".join(told)]
    lines = lines_of([*said, *(("Forwarded", value) for value in values)])
    came = talk(standard_street, request(*lines, STANDARD))
    assert seen(came) in {CLIENT, None}
    joined = ", ".join([*told, f"for={CLIENT}"])
    came = talk(standard_street, request(*lines_of([("Forwarded", joined)])))
    assert seen(came) in {CLIENT, None}


@FUZZ
@given(
    st.lists(
        st.one_of(
            MESS,
            st.text(max_size=60).map(lambda text: b"session-8000=" + text.encode()),
            st.just(b"__Host-session=" + b"A" * 43),
        ),
        max_size=4,
    ),
    st.booleans(),
)
def test_cookies(development, cookies, is_split):
    cookies = [cookie.replace(b"\r", b"").replace(b"\n", b"") for cookie in cookies]
    own = b"session-%d=" % development
    cookies = [cookie.replace(b"session-8000=", own) for cookie in cookies]
    lines = [b"Cookie: " + cookie + b"\r\n" for cookie in cookies]
    if not is_split:
        lines = [b"Cookie: " + b"; ".join(cookies) + b"\r\n"]
    host = b"localhost:%d" % development
    came = talk(development, request(*lines, host=host, target=b"/auth/me"))
    assert not came.startswith(b"HTTP/1.1 2")


TOKENS = st.one_of(
    st.sampled_from(
        [b"--b", b"--b--", b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"--", b"b"]
    ),
    st.sampled_from([b"&", b"=", b"%", b"\x00", b"\xff", b"a=1", b"a" * 5_000]),
    st.sampled_from([b"Content-Disposition: form-data; name=", b'"x"', b"; filename="]),
    st.sampled_from([b"Content-Type: text/plain; charset=utf-7", b"=?utf-8?q?x?="]),
)
MULTIPART = b"multipart/form-data"
TYPES = st.sampled_from(
    [
        MULTIPART + b"; boundary=b",
        MULTIPART + b'; boundary="b"',
        MULTIPART + b"; boundary=",
        MULTIPART + b"; boundary*=utf-8''b",
        MULTIPART + b"; boundary=b;b",
        MULTIPART + b"; boundary=\xff",
        MULTIPART,
        b"multipart/mixed",
        b"application/x-www-form-urlencoded",
        b"",
    ]
)


@FUZZ
@given(TYPES, st.lists(TOKENS, max_size=14).map(b"".join), st.booleans())
def test_forms(street, content_type, body, is_chunked):
    lines = [b"Content-Type: " + content_type + b"\r\n", PROXIED]
    if is_chunked:
        lines.append(b"Transfer-Encoding: chunked\r\n")
        body = b"".join(
            b"%x\r\n%s\r\n" % (len(piece), piece)
            for piece in (body[:7], body[7:])
            if piece
        )
        body += b"0\r\n\r\n"
    else:
        lines.append(b"Content-Length: %d\r\n" % len(body))
    came = talk(street, request(*lines, method=b"POST", target=b"/form", body=body))
    assert came  # a complete request always has an answer


SIZES = st.one_of(
    st.sampled_from([b"0", b"1", b"5", b"00005", b"ffffffffffffffffff", b"-1", b"0x5"]),
    st.sampled_from([b"5;a=b", b"5 ;", b"+5", b"5\t", b"", b"g", b"1_0"]),
    st.just(b"5;" + b"x" * 3_000),
)
BREAKS = st.sampled_from([b"\r\n", b"\n", b"\r", b""])
CHUNKS = st.lists(st.tuples(SIZES, BREAKS, LINE).map(b"".join), max_size=5)
CODINGS = [b"chunked", b"Chunked", b"chunked, chunked", b"gzip, chunked", b"x"]
ENDS = [b"", b"0\r\n\r\n", b"\r\n0\r\n\r\n", b"0\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n"]


@FUZZ
@given(
    st.sampled_from(CODINGS),
    CHUNKS.map(b"\r\n".join),
    st.sampled_from(ENDS),
    st.booleans(),
)
def test_chunks(street, coding, chunks, end, has_length):
    lines = [b"Transfer-Encoding: " + coding + b"\r\n", PROXIED]
    if has_length:
        lines.append(b"Content-Length: 5\r\n")
    came = talk(street, request(*lines, method=b"POST", body=b""), chunks + end)
    assert seen(came) in {CLIENT, None}
    assert not (has_length and came.startswith(b"HTTP/1.1 200"))
