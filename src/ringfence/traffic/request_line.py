"""Refuse requests that two readers could understand in two ways."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import AnyStr
from urllib.parse import unquote_to_bytes

from ringfence.denial import Denial
from ringfence.exchange import Exchange, Scope, Stage, at_once
from ringfence.traffic.settings import FORWARDING_HEADERS, TrafficSettings

SERVED_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

# Each proxy on the way may append, to the line or below it.
_LISTS = frozenset(
    {b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-scheme"}
)

# Two lines of one of these are two opinions, and the guard and the application could
# each take another (GHSA-8xvm-856x-7hwp: only the first line was judged).
SINGLE_VALUED = frozenset(
    {
        b"access-control-request-method",
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"dpop",
        b"expect",
        b"host",
        b"idempotency-key",
        b"if-modified-since",
        b"if-range",
        b"if-unmodified-since",
        b"last-event-id",
        b"origin",
        b"proxy-authorization",
        b"range",
        b"referer",
        b"sec-fetch-dest",
        b"sec-fetch-mode",
        b"sec-fetch-site",
        b"sec-fetch-user",
        b"sec-websocket-key",
        b"sec-websocket-version",
        b"transfer-encoding",
        b"user-agent",
        b"x-csrf-token",
        *(name.encode() for name in FORWARDING_HEADERS),
    }
).difference(_LISTS)

# HTTP/2 splits cookies; to a list each proxy may add a line (RFC 9110, 5.3).
_JOINED = {b"cookie": b"; ", **dict.fromkeys(_LISTS, b", ")}

_METHOD_OVERRIDES = frozenset(
    {b"x-http-method", b"x-http-method-override", b"x-method-override"}
)
_TRUSTED_NAMES = SINGLE_VALUED | frozenset(_JOINED) | _METHOD_OVERRIDES

# Names that need no look: few, short, without underscores, none of them trusted.
_EVERYDAY = frozenset(
    {
        b"accept",
        b"accept-encoding",
        b"accept-language",
        b"authorization",
        b"cache-control",
        b"connection",
        b"content-length",
        b"content-type",
        b"cookie",
        b"dnt",
        b"host",
        b"if-modified-since",
        b"if-none-match",
        b"origin",
        b"pragma",
        b"priority",
        b"range",
        b"referer",
        b"sec-ch-ua",
        b"sec-ch-ua-mobile",
        b"sec-ch-ua-platform",
        b"sec-fetch-dest",
        b"sec-fetch-mode",
        b"sec-fetch-site",
        b"sec-fetch-user",
        b"sec-gpc",
        b"te",
        b"traceparent",
        b"tracestate",
        b"upgrade-insecure-requests",
        b"user-agent",
        b"x-csrf-token",
        b"x-request-id",
        b"x-requested-with",
        *(f"x-forwarded-{name}".encode() for name in ("for", "host", "port", "proto")),
    }
)
_REMEMBERED = 1_024
_LONGEST_REMEMBERED = 256  # bytes of a path

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

# What nearly every honest path looks like: segments of plain characters, none of them
# made of dots. Possessive, so that no input makes it go back.
_PLAIN = re.compile(
    rb"(?:/(?!\.\.?(?:[/;]|\Z))[A-Za-z0-9_.~!$&'()*+,;=:@|^\[\]{}`-]++)*+/?+"
)

# Dots, slashes and back-slashes are written so only to be overlooked.
_SLY = rb"2[ef]|5c|[01][0-9a-f]|7f"
_BYTE_FAULTS = (
    (
        re.compile(rb"[^!$-;=@-\[\]-~]"),
        "path_grammar",
        "contains a character that must be percent-encoded",
    ),
    (
        re.compile(rb"%(?![0-9A-Fa-f]{2})"),
        "path_encoding",
        "contains a percent sign without two hex digits",
    ),
    (
        re.compile(rb"%(?:" + _SLY + rb")", re.IGNORECASE),
        "path_encoding",
        "contains an encoded dot, slash or control character",
    ),
    (  # The same behind %25, for a second decoder; c0 and c1 begin overlong UTF-8.
        re.compile(rb"%25(?:25|c[01]|" + _SLY + rb")", re.IGNORECASE),
        "path_encoding",
        "is encoded twice",
    ),
)
_TEXT_FAULTS = (
    (re.compile(r"\A(?!/)"), "path_grammar", "does not start with a slash"),
    (re.compile(r"//"), "path_slashes", "contains a doubled slash"),
    (re.compile(r"\\"), "path_slashes", "contains a back-slash"),
    # A segment "..;x" is ".." to servers that cut path parameters off.
    (re.compile(r"/\.\.?(?:[/;]|\Z)"), "path_dots", "contains a dot segment"),
    (
        re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]"),
        "path_control",
        "contains a control character",
    ),
    (
        re.compile(r"%(?:25|" + _SLY.decode() + r")", re.IGNORECASE),
        "path_encoding",
        "is encoded twice",
    ),
)


def _denial(status: int, reason: str, detail: str) -> Denial:
    return Denial(status, f"traffic.{reason}", detail)


_PATH_TOO_LONG = _denial(414, "path_too_long", "The address is too long.")
_QUERY_TOO_LONG = _denial(414, "query_too_long", "The query string is too long.")
_TOO_MANY_HEADERS = _denial(431, "too_many_headers", "Too many header lines.")
_HEADERS_TOO_LARGE = _denial(431, "headers_too_large", "The headers are too large.")
_BAD_METHOD = _denial(400, "bad_method", "The method is not a valid name.")
# 501, not 405: a 405 says "not here" and must list what is allowed here (RFC 9110,
# 15.5.6); these are allowed nowhere (15.6.2).
_UNKNOWN_METHOD = _denial(501, "unknown_method", "This method is not served.")
_METHOD_OVERRIDE = _denial(
    400,
    "method_override",
    "Send the method that is meant; it cannot be changed by a header.",
)
# Where two parsers see two ends of a body, what follows it may be a request that one
# of them has never judged: it is not read (RFC 9112, 6.1: close after responding).
_AND_CLOSE = ((b"connection", b"close"),)
_BAD_LENGTH = Denial(
    400,
    "traffic.bad_content_length",
    "Content-Length is not a number.",
    headers=_AND_CLOSE,
)
_TWO_LENGTHS = Denial(
    400,
    "traffic.ambiguous_length",
    "Content-Length and Transfer-Encoding must not come together.",
    headers=_AND_CLOSE,
)
_BAD_CODING = Denial(
    501,
    "traffic.unknown_transfer_coding",
    "Only the transfer coding 'chunked' is served.",
    headers=_AND_CLOSE,
)
# uvicorn's parser takes the body of such a request for the next one.
_UPGRADE_WITH_BODY = Denial(
    400,
    "traffic.upgrade_with_body",
    "A request that asks for another protocol must not have a body.",
    headers=_AND_CLOSE,
)
_CODING_TOO_EARLY = Denial(
    400,
    "traffic.coding_too_early",
    "HTTP/1.0 has no transfer coding.",
    headers=_AND_CLOSE,
)
_BAD_COOKIE = _denial(400, "bad_cookie", "The cookies are not as browsers write them.")
_BAD_HEADER = _denial(400, "bad_header", "A header contains a control character.")
_HEADER_TWIN = _denial(400, "header_twin", "A header is spelled with an underscore.")


def refuse_ambiguous(
    settings: TrafficSettings,
) -> Stage:
    """Return the stage that lets only requests through which have one meaning.

    A guard that judges ``/admin`` and a framework that serves ``/x/../admin`` is the
    oldest hole in this field: the path must be plain, its bytes and its decoded text
    must agree, and whatever may come once must not come twice. Also joins several
    ``cookie`` lines (HTTP/2 splits them) in ``exchange.headers``.

    Not covered: a server that decodes a path without giving ``raw_path``; encoded
    slashes cannot be seen then. Look-alike letters (U+2215 for a slash): they stay
    what they are, since nothing here folds them.

    Source: RFC 3986, 3.3 and 6.2.2; RFC 9110, 5.3, 9.1 and 15.5.15; RFC 9112, 6.3;
    RFC 9113, 8.2.3; CWE-22, CWE-444; ASVS 5.0 V4.2.
    """
    query_limit = settings.query_limit
    bytes_left = settings.header_bytes_limit - len(b"".join(_EVERYDAY))
    methods = SERVED_METHODS | frozenset(settings.extra_methods)
    # What was found plain before: paths by their bytes, header names in their order.
    paths: dict[bytes | None, str] = {}
    shapes: set[tuple[bytes, ...]] = set()
    judge_new_path = _path_judge(settings.path_limit, paths)
    judge_new_rest = _rest_judge(settings, methods, shapes)

    def request_line(exchange: Exchange) -> Denial | None:
        # First in each half what nearly every honest request looks like, in as few
        # steps as can be. Whatever is not so is judged, and may still be honest.
        scope, headers = exchange.scope, exchange.headers
        if paths.get(scope.get("raw_path")) != exchange.path or scope.get("root_path"):
            denial = judge_new_path(scope, exchange.path)
            if denial is not None:
                return denial
        values = b" ".join(headers.values())
        length = headers.get(b"content-length")
        if (
            exchange.method in methods
            and tuple(headers) in shapes
            and not exchange.repeated
            and len(values) < bytes_left
            and b"\n" not in values
            and b"\r" not in values
            and b"\\" not in values
            and len(scope["query_string"]) <= query_limit
            and (
                length is None or (length.isdigit() and len(length) <= _LONGEST_LENGTH)
            )
        ):
            return None
        return judge_new_rest(exchange)

    return at_once(request_line)


def _path_judge(
    limit: int, plain_ones: dict[bytes | None, str]
) -> Callable[[Scope, str], Denial | None]:
    """Return what judges paths and keeps those that are plain."""
    plain = _PLAIN.fullmatch

    def judge(scope: Scope, path: str) -> Denial | None:
        raw, root = scope.get("raw_path"), scope.get("root_path", "")
        if not (
            raw
            and len(raw) <= limit
            and plain(raw)
            and raw.decode("ascii") == path
            and not root
        ):
            return judge_path(raw, path, root, limit=limit)
        if len(raw) <= _LONGEST_REMEMBERED:
            if len(plain_ones) >= _REMEMBERED:
                plain_ones.clear()
            plain_ones[raw] = path
        return None

    return judge


def _rest_judge(
    settings: TrafficSettings,
    methods: AbstractSet[str],
    everyday_ones: set[tuple[bytes, ...]],
) -> Callable[[Exchange], Denial | None]:
    """Return what judges all but the path, and keeps names that need no look."""
    handshakes = frozenset({"WEBSOCKET"})  # no method of HTTP, so not served as one
    few_enough = settings.header_count_limit >= len(_EVERYDAY)

    def judge(exchange: Exchange) -> Denial | None:
        served = handshakes if exchange.kind == "websocket" else methods
        denial = judge_rest(exchange, settings, served)
        if denial is None and few_enough and _EVERYDAY.issuperset(exchange.headers):
            if len(everyday_ones) >= _REMEMBERED:
                everyday_ones.clear()
            everyday_ones.add(tuple(exchange.headers))
        return denial

    return judge


def judge_rest(
    exchange: Exchange, settings: TrafficSettings, methods: AbstractSet[str]
) -> Denial | None:
    """Return why what stands around the path could be understood in two ways."""
    return (
        judge_method(exchange.method, methods)
        or judge_size(exchange.scope, settings)
        or settle_repeated(exchange)
        or judge_headers(exchange.headers)
        or judge_cookie(exchange.headers.get(b"cookie", b""))
        or judge_length(exchange.headers)
        or judge_coding(exchange)
    )


def judge_method(method: str, served: AbstractSet[str]) -> Denial | None:
    """Return why a method is refused, or ``None`` if it is served."""
    if method in served:
        return None
    return _UNKNOWN_METHOD if _TOKEN.fullmatch(method) else _BAD_METHOD


def judge_path(raw: bytes | None, path: str, root: str, *, limit: int) -> Denial | None:
    """Return why a path could be understood in two ways, or ``None``.

    Args:
        raw: the path as it came over the wire, without the query; ``None`` if the
            server does not tell.
        path: the path as the server decoded it, which the framework will route.
        root: the prefix under which the application is served, ``""`` for none.
        limit: longest path in bytes.
    """
    if max(len(path), len(raw or b"")) > limit:
        return _PATH_TOO_LONG
    fault = (
        (None if raw is None else _fault_in_bytes(raw, path, root))
        or _first_fault(_TEXT_FAULTS, path)
        or _fault_of_root(path, root)
    )
    if fault is None:
        return None
    reason, words = fault
    return _denial(400, reason, f"The path {words}.")


Fault = tuple[str, str]  # the reason in the code, and the words for the public


def _first_fault(
    faults: Iterable[tuple[re.Pattern[AnyStr], str, str]], text: AnyStr
) -> Fault | None:
    for pattern, reason, words in faults:
        if pattern.search(text):
            return reason, words
    return None


def _fault_in_bytes(raw: bytes, path: str, root: str) -> Fault | None:
    fault = _first_fault(_BYTE_FAULTS, raw)
    if fault is not None:
        return fault
    try:
        text = unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        return "path_encoding", "is not valid UTF-8"
    # Servers differ in whether the raw path carries the prefix.
    if path not in {text, root + text}:
        return "path_mismatch", "was changed on its way"
    return None


def _fault_of_root(path: str, root: str) -> Fault | None:
    """A framework routes a path outside its prefix as if there were no prefix."""
    if root and path != root and not path.startswith(root + "/"):
        return "path_outside_root", "lies outside the application"
    return None


def judge_size(scope: Scope, settings: TrafficSettings) -> Denial | None:
    """Refuse what is longer than any honest request."""
    if len(scope.get("query_string", b"")) > settings.query_limit:
        return _QUERY_TOO_LONG
    lines = scope["headers"]
    if len(lines) > settings.header_count_limit:
        return _TOO_MANY_HEADERS
    if sum(len(name) + len(value) for name, value in lines) > (
        settings.header_bytes_limit
    ):
        return _HEADERS_TOO_LARGE
    return None


def settle_repeated(exchange: Exchange) -> Denial | None:
    """Refuse repeated headers that may come once; join cookies and address lists.

    One pass for any number of lines (CVE-2025-14550: joined in quadratic time).
    """
    if not exchange.repeated:
        return None
    joined: dict[bytes, list[bytes]] = {}
    for name, value in exchange.scope["headers"]:
        joined.setdefault(name, []).append(value)
    for name, values in joined.items():
        if len(values) > 1 and name in SINGLE_VALUED:
            return _denial(
                400, "repeated_header", f"The header {name.decode()} came twice."
            )
        if name in _JOINED:
            exchange.headers[name] = _JOINED[name].join(values)
    return None


def judge_headers(headers: Mapping[bytes, bytes]) -> Denial | None:
    """Refuse control characters, method overrides, and twins spelled with ``_``.

    A line break in a value is a forged line in somebody's log. An override header
    turns a judged POST, or a GET that no CSRF check stops, into a DELETE. CGI-like
    servers and their heirs read ``X_FORWARDED_FOR`` as ``X-Forwarded-For``; a widely
    used limiter trusted the one and ignored the other.
    """
    values = b" ".join(headers.values())
    if b"\n" in values or b"\r" in values:
        return _BAD_HEADER
    for name in headers.keys() - _EVERYDAY:
        if name in _METHOD_OVERRIDES:
            return _METHOD_OVERRIDE
        if b"_" in name and name.replace(b"_", b"-") in _TRUSTED_NAMES:
            return _HEADER_TWIN
    return None


def judge_cookie(cookie: bytes) -> Denial | None:
    """Refuse cookies full of back-slashes, which no browser writes (RFC 6265, 4.1.1).

    Python's own cookie parser takes quadratic time to undo them before 3.11.10 and
    3.12.6: 30 kB stop the event loop for more than a second (CVE-2024-7592).
    """
    return _BAD_COOKIE if cookie.count(b"\\") > _MOST_BACK_SLASHES else None


def judge_coding(exchange: Exchange) -> Denial | None:
    """Refuse a transfer coding from a client of HTTP/1.0, which has none: the next
    server may take the body for the next request (RFC 9112, 6.1; CWE-444)."""
    is_old = exchange.scope.get("http_version") == "1.0"
    return (
        _CODING_TOO_EARLY
        if is_old and b"transfer-encoding" in exchange.headers
        else None
    )


_MOST_BACK_SLASHES = 200
_LONGEST_LENGTH = 18  # digits; more than any body has bytes, less than int() minds


def judge_length(headers: Mapping[bytes, bytes]) -> Denial | None:
    """Refuse lengths that two parsers could read in two ways (request smuggling).

    Source: RFC 9112, 6.1 and 6.3; CWE-444.
    """
    length = headers.get(b"content-length")
    coding = headers.get(b"transfer-encoding")
    if length is not None:
        if coding is not None:
            return _TWO_LENGTHS
        if not length.isdigit() or len(length) > _LONGEST_LENGTH:
            return _BAD_LENGTH
    elif coding is not None and coding.strip().lower() != b"chunked":
        return _BAD_CODING
    if b"upgrade" in headers and (coding is not None or int(length or 0) > 0):
        return _UPGRADE_WITH_BODY
    return None
