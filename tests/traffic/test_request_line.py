import time
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.exchange import Exchange
from ringfence.traffic.request_line import (
    SERVED_METHODS,
    judge_path,
    refuse_ambiguous,
)
from ringfence.traffic.settings import TrafficSettings

pytestmark = pytest.mark.anyio

SETTINGS = TrafficSettings()
LIMIT = SETTINGS.path_limit
STAGE = refuse_ambiguous(SETTINGS)


def decoded(raw: bytes) -> str:
    """The path as uvicorn hands it on."""
    return unquote(raw.decode("ascii"))


HONEST = [
    b"/",
    b"/orders/1002",
    b"/orders/1002/",
    b"/100%25.txt",
    b"/caf%C3%A9",
    b"/%F0%9F%A6%8A",
    b"/a%20b",
    b"/a;v=1",
    b"/~me",
    b"/10:30",
    b"/.well-known/jwks.json",
    b"/a..b/..a/b..",
    b"/...",
    b"/a.b.c",
    b"/(x)/[y]/{z}/a|b",
    b"/a%3Fb%23c",
    b"/%E2%88%95",  # U+2215, a look-alike of the slash, stays a letter
]


@pytest.mark.parametrize("raw", HONEST)
async def test_honest_paths_pass(exchange_of, raw):
    """A false alarm is an outage."""
    assert await STAGE(exchange_of(decoded(raw), raw_path=raw)) is None


REFUSED = [
    (b"/a/../admin", "path_dots"),
    (b"/..", "path_dots"),
    (b"/a/./b", "path_dots"),
    (b"/a/.", "path_dots"),
    (b"/..;/admin", "path_dots"),
    (b"/.;x/admin", "path_dots"),
    (b"//admin", "path_slashes"),
    (b"/a//b", "path_slashes"),
    (b"/a/b//", "path_slashes"),
    (b"/a\\b", "path_grammar"),
    (b"/a%2fb", "path_encoding"),
    (b"/a%2Fb", "path_encoding"),
    (b"/a%5cb", "path_encoding"),
    (b"/%2e%2e/admin", "path_encoding"),
    (b"/%2E/admin", "path_encoding"),
    (b"/.%2e/admin", "path_encoding"),
    (b"/a%00", "path_encoding"),
    (b"/admin%0a", "path_encoding"),
    (b"/admin%0d%0aSet-Cookie:x", "path_encoding"),
    (b"/a%1b[31m", "path_encoding"),
    (b"/a%7f", "path_encoding"),
    (b"/a%C2%85b", "path_control"),
    (b"/a%E2%80%A8b", "path_control"),
    (b"/a%252fb", "path_encoding"),
    (b"/%252e%252e/admin", "path_encoding"),
    (b"/a%255cb", "path_encoding"),
    (b"/a%2500", "path_encoding"),
    (b"/a%25250a", "path_encoding"),
    (b"/a%25c0%25af", "path_encoding"),
    (b"/100%", "path_encoding"),
    (b"/a%zz", "path_encoding"),
    (b"/a%2", "path_encoding"),
    (b"/a%ff", "path_encoding"),
    (b"/%c0%af", "path_encoding"),
    (b"/%ed%a0%80", "path_encoding"),
    (b"/a b", "path_grammar"),
    (b"/a#b", "path_grammar"),
    (b"/a?b", "path_grammar"),
    (b"/<script>", "path_grammar"),
    (b"*", "path_grammar"),
    (b"http://evil.example/admin", "path_grammar"),
    (b"orders", "path_grammar"),
]


@pytest.mark.parametrize(("raw", "reason"), REFUSED)
async def test_ambiguous_paths_are_refused(exchange_of, raw, reason):
    """A path that two readers could understand in two ways never gets further."""
    denial = await STAGE(exchange_of(decoded(raw), raw_path=raw))
    assert (denial.status, denial.code) == (400, f"traffic.{reason}")


@pytest.mark.parametrize(
    "path",
    ["/a/../b", "//a", "/a\\b", "/a\nb", "/a\x85b", "x", "", "/%2e%2e", "/a%252f"],
)
async def test_without_raw_path_the_decoded_one_is_judged(exchange_of, path):
    """A server that keeps the raw path to itself opens no hole for what is visible."""
    denial = await STAGE(exchange_of(path, raw_path=None))
    assert denial.status == 400


async def test_without_raw_path_honest_ones_pass(exchange_of):
    assert await STAGE(exchange_of("/café/100%.txt", raw_path=None)) is None


async def test_raw_and_decoded_path_must_agree(exchange_of):
    """Something in front rewrote one of the two: which one would be served?"""
    denial = await STAGE(exchange_of("/admin", raw_path=b"/public"))
    assert denial.code == "traffic.path_mismatch"


@pytest.mark.parametrize(
    ("path", "raw", "code"),
    [
        ("/api", b"/api", None),
        ("/api/orders", b"/api/orders", None),
        ("/api/caf\xe9", b"/api/caf%C3%A9", None),
        ("/api/orders", b"/orders", None),  # hypercorn: raw path without the prefix
        ("/apix/orders", b"/apix/orders", "traffic.path_outside_root"),
        ("/orders", b"/orders", "traffic.path_outside_root"),
        ("/apihttp://x", b"/apihttp://x", "traffic.path_slashes"),
    ],
)
async def test_paths_outside_the_root_path_are_refused(exchange_of, path, raw, code):
    """Starlette routes those as if there were no prefix."""
    denial = await STAGE(exchange_of(path, raw_path=raw, root_path="/api"))
    assert (denial and denial.code) == code


async def test_long_paths_and_queries(exchange_of):
    longest = "/" + "a" * (LIMIT - 1)
    assert await STAGE(exchange_of(longest)) is None
    assert (await STAGE(exchange_of(longest + "a"))).status == 414
    padded = b"/" + b"%41" * LIMIT
    assert (await STAGE(exchange_of("/" + "A" * LIMIT, raw_path=padded))).status == 414
    query = b"q" * (SETTINGS.query_limit + 1)
    assert (await STAGE(exchange_of(query_string=query))).status == 414
    assert await STAGE(exchange_of(query_string=query[1:])) is None


async def test_too_many_headers(exchange_of):
    many = [(f"x-{number}", "1") for number in range(101)]
    assert (await STAGE(exchange_of(headers=many))).code == "traffic.too_many_headers"
    assert await STAGE(exchange_of(headers=many[1:])) is None


@pytest.mark.parametrize("name", ["cookie", "x-large"])
async def test_headers_too_large(exchange_of, name):
    denial = await STAGE(exchange_of(headers=[(name, "a" * 32_768)]))
    assert (denial.status, denial.code) == (431, "traffic.headers_too_large")


@pytest.mark.parametrize("method", sorted(SERVED_METHODS))
async def test_usual_methods_pass(exchange_of, method):
    assert await STAGE(exchange_of(method=method)) is None


@pytest.mark.parametrize(
    ("method", "status"),
    [
        ("TRACE", 501),
        ("CONNECT", 501),
        ("PROPFIND", 501),
        ("get", 501),
        ("GET /", 400),
        ("G\nET", 400),
        ("", 400),
    ],
)
async def test_other_methods_are_refused(exchange_of, method, status):
    assert (await STAGE(exchange_of(method=method))).status == status


async def test_extra_methods_pass_where_a_setting_names_them(exchange_of):
    stage = refuse_ambiguous(TrafficSettings(extra_methods=("PROPFIND",)))
    assert await stage(exchange_of(method="PROPFIND")) is None


@pytest.mark.parametrize(
    "name",
    [
        "host",
        "content-length",
        "content-type",
        "authorization",
        "origin",
        "referer",
        "sec-fetch-site",
        "sec-fetch-mode",
        "sec-fetch-dest",
        "x-csrf-token",
        "transfer-encoding",
        "x-forwarded-host",
        "x-real-ip",
        "cf-connecting-ip",
        "range",
        "idempotency-key",
        "last-event-id",
    ],
)
async def test_what_may_come_once_must_not_come_twice(exchange_of, name):
    """GHSA-8xvm-856x-7hwp: one reader took the first line, another the last."""
    denial = await STAGE(exchange_of(headers=[(name, "1"), (name, "1")]))
    assert (denial.status, denial.code) == (400, "traffic.repeated_header")


@pytest.mark.parametrize(
    ("name", "joined"),
    [
        ("cookie", b"a=1; b=2"),
        ("x-forwarded-for", b"a=1, b=2"),
        ("forwarded", b"a=1, b=2"),
    ],
)
async def test_lines_that_may_be_split_are_joined(exchange_of, name, joined):
    """HTTP/2 splits cookies (RFC 9113, 8.2.3); a proxy may add a line to a list."""
    exchange = exchange_of(headers=[(name, "a=1"), ("accept", "*/*"), (name, "b=2")])
    assert await STAGE(exchange) is None
    assert exchange.headers[name.encode()] == joined


async def test_harmless_headers_may_be_repeated(exchange_of):
    assert await STAGE(exchange_of(headers=[("accept", "a"), ("accept", "b")])) is None


async def test_ten_thousand_lines_take_linear_time(exchange_of):
    """CVE-2025-14550: joining them in quadratic time was a way to stop the server."""
    settings = TrafficSettings(
        header_count_limit=1_000_000, header_bytes_limit=100_000_000
    )
    stage = refuse_ambiguous(settings)

    async def cost(lines):
        exchange = exchange_of(headers=[("cookie", "a=" + "b" * 50)] * lines)
        before = time.process_time()
        assert await stage(exchange) is None
        return time.process_time() - before

    await cost(100)
    assert await cost(40_000) < 40 * max(await cost(10_000), 0.001)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ([("content-length", "10")], None),
        ([("content-length", "0")], None),
        ([("transfer-encoding", "chunked")], None),
        ([("content-length", "-1")], "traffic.bad_content_length"),
        ([("content-length", "+1")], "traffic.bad_content_length"),
        ([("content-length", "1_0")], "traffic.bad_content_length"),
        ([("content-length", "0x10")], "traffic.bad_content_length"),
        ([("content-length", "5, 5")], "traffic.bad_content_length"),
        ([("content-length", "")], "traffic.bad_content_length"),
        ([("content-length", "\xb2")], "traffic.bad_content_length"),
        ([("content-length", "9" * 19)], "traffic.bad_content_length"),
        ([("transfer-encoding", "gzip, chunked")], "traffic.unknown_transfer_coding"),
        ([("transfer-encoding", "xchunked")], "traffic.unknown_transfer_coding"),
        ([("upgrade", "h2c"), ("content-length", "5")], "traffic.upgrade_with_body"),
        (
            [("upgrade", "h2c"), ("transfer-encoding", "chunked")],
            "traffic.upgrade_with_body",
        ),
        (
            [("content-length", "5"), ("transfer-encoding", "chunked")],
            "traffic.ambiguous_length",
        ),
    ],
)
async def test_lengths_have_one_reading(exchange_of, headers, code):
    """Request smuggling lives on two readers that disagree about the length."""
    denial = await STAGE(exchange_of(method="POST", headers=headers))
    assert (denial and denial.code) == code


@pytest.mark.parametrize(
    "name", ["x_forwarded_for", "content_length", "x_csrf-token", "sec_fetch_site"]
)
async def test_underscore_twins_are_refused(exchange_of, name):
    """A limiter was seen to trust X_FORWARDED_FOR and ignore X-Forwarded-For."""
    denial = await STAGE(exchange_of(headers=[(name, "6.6.6.6")]))
    assert denial.code == "traffic.header_twin"


async def test_other_underscores_pass(exchange_of):
    assert await STAGE(exchange_of(headers=[("my_header", "1")])) is None


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "name", ["x-http-method-override", "x-http-method", "x-method-override"]
)
async def test_methods_cannot_be_overridden(exchange_of, method, name):
    """A GET that no CSRF check stops would become a DELETE behind the guard."""
    denial = await STAGE(exchange_of(method=method, headers=[(name, "DELETE")]))
    assert denial.code == "traffic.method_override"


@pytest.mark.parametrize("value", ["a\r\nset-cookie: x", "a\nb", "a\rb"])
@pytest.mark.parametrize("name", ["user-agent", "x-odd"])
async def test_line_breaks_in_headers_are_refused(exchange_of, name, value):
    """CVE-2020-7694: a log line forged by a header."""
    denial = await STAGE(exchange_of(headers=[(name, value)]))
    assert denial.code == "traffic.bad_header"


@given(st.text(min_size=0, max_size=20))
def test_every_name_can_be_served_when_it_is_encoded_once(name):
    """Honest names, in any script, pass unless they are sly by themselves."""
    raw = b"/files/" + quote(name, safe="").encode()
    denial = judge_path(raw, "/files/" + name, "", limit=LIMIT)
    sly = any(sign in name for sign in "/\\%\u2028\u2029") or any(
        ord(sign) < 32 or 127 <= ord(sign) < 160 for sign in name
    )
    assert denial is None or sly or name in {".", ".."} or name[:2] in {".;", ".."}


@given(st.binary(max_size=24))
async def test_what_passes_is_canonical(raw):
    """Whatever passes decodes to one path, without dots, and encodes back to it."""
    try:
        path = unquote(raw.decode("ascii"), errors="surrogateescape")
    except UnicodeDecodeError:
        path = "/x"
    scope = {
        "type": "http",
        "path": path,
        "raw_path": raw,
        "query_string": b"",
        "headers": [],
        "method": "GET",
    }
    exchange = Exchange(scope, None)
    denial = await STAGE(exchange)
    assert denial == judge_path(raw, path, "", limit=LIMIT)
    if denial is None:
        segments = path.split("/")
        assert path.startswith("/")
        assert not {"", ".", ".."} & set(segments[1:-1])
        assert segments[-1] not in {".", ".."}
        assert "\\" not in path
        assert unquote(quote(path)) == path


async def test_cookies_full_of_back_slashes_are_refused(exchange_of):
    """Python's own parser takes quadratic time for them (CVE-2024-7592)."""
    hostile = 'a="' + "\\" * 30_000 + '"'
    denial = await STAGE(exchange_of(headers=[("cookie", hostile)]))
    assert denial.code == "traffic.bad_cookie"


async def test_a_cookie_or_agent_with_a_back_slash_is_honest(exchange_of):
    headers = [("cookie", 'name="a\\054b"'), ("user-agent", "app (DOMAIN\\user)")]
    assert await STAGE(exchange_of(headers=headers)) is None


@pytest.mark.parametrize(
    ("version", "code"), [("1.0", "traffic.coding_too_early"), ("1.1", None)]
)
async def test_an_old_client_has_no_transfer_coding(exchange_of, version, code):
    """What one server takes for a body, the next may take for a request (CWE-444)."""
    exchange = exchange_of(headers=[("transfer-encoding", "chunked")])
    exchange.scope["http_version"] = version
    denial = await STAGE(exchange)
    assert (denial and denial.code) == code
