"""Turn a refusal into an answer: problem+json, a page, or a closed WebSocket."""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

import msgspec.json

from ringfence.access.policy import CONFIRM, FACTOR
from ringfence.denial import Denial
from ringfence.exchange import Exchange, Headers, Message, Send

PROBLEM = b"application/problem+json"
PAGE = b"text/html; charset=utf-8"
POLICY_VIOLATION = 1008  # RFC 6455, 7.4.1
_LONGEST_NEXT = 2_048  # bytes of an address that sign-in leads back to
_LONGEST_ACCEPT = 1_024  # bytes of Accept that are read

# What the answer depends on, should a cache keep it against no-store.
_VARY = b"accept, cookie, origin, sec-fetch-site"

_PAGES = Path(__file__).with_name("pages")
_PAGE = (_PAGES / "refusal.html").read_text("utf-8")
_STYLE = (_PAGES / "refusal.css").read_text("utf-8")

# The page has one style and nothing else, so its policy allows that one by its hash.
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_PAGE_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; "
    f"form-action 'none'; frame-ancestors 'none'"
).encode()

_CONFIRM = "/auth/confirm"
_ASKS_FOR = "?factor="
_SIGNS_IN, _CONFIRMS = "Sign in", "Confirm that it is you"

Member = str | int | Sequence[str] | Sequence[Mapping[str, str]]


async def respond(  # noqa: PLR0913 - most are bound at start-up
    denial: Denial,
    exchange: Exchange,
    send: Send,
    *,
    document_headers: Headers = (),
    data_headers: Headers = (),
    sign_in: str = "",
    errors: Sequence[Mapping[str, str]] = (),
) -> None:
    """Answer a request with a refusal.

    A browser gets a page, or the way to the page that would help (to sign in, or to
    confirm who it is);
    a program gets a problem document; a WebSocket is refused before it opens. All say
    the same: the status, a stable code, one sentence, and the request's id, under
    which the ledger knows the rest.

    Args:
        denial: what is refused, and what the public may know.
        exchange: the request; headers that stages left in ``response_headers`` (CORS)
            go along, so that a script of an allowed origin can read the refusal.
        send: the server's.
        document_headers: security headers of pages.
        data_headers: security headers of problem documents.
        sign_in: path of the sign-in page, ``""`` for none.
        errors: members of a problem about single fields.

    Source: RFC 9457; RFC 9110, 12.5.1 and 15; ASGI, Websocket Denial Response;
    CWE-209; ASVS 5.0 V16.5.1.
    """
    kind = "http.response"
    if exchange.kind == "websocket":
        extensions = exchange.scope.get("extensions") or {}
        if "websocket.http.response" not in extensions:
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            return
        kind = "websocket.http.response"
    page = wants_page(exchange.headers.get(b"accept", b""))
    # A program with a token does not find help on a page: it signs in anew.
    cure = "" if exchange.credential == "bearer" else _cure(denial, sign_in)
    location = _way_to(cure, exchange) if page else b""
    if location:
        status, body = 303, b""
        headers = [(b"location", location), *data_headers]
    elif page:
        status, body = denial.status, _page(denial, exchange, errors, cure=cure)
        headers = [(b"content-type", PAGE), *_own_policy(document_headers)]
    else:
        status, body = denial.status, problem(denial, exchange, errors, cure=cure)
        headers = [(b"content-type", PROBLEM), *data_headers]
    headers += denial.headers
    headers += exchange.response_headers
    headers += (
        (b"cache-control", b"no-store"),
        (b"vary", _VARY),
        (b"x-request-id", exchange.request_id.encode("latin-1")),
        (b"content-length", b"%d" % len(body)),
    )
    await send({"type": f"{kind}.start", "status": status, "headers": headers})
    if exchange.method == "HEAD":
        body = b""
    await send({"type": f"{kind}.body", "body": body})


def brief(denial: Denial) -> tuple[Message, Message]:
    """Return the shortest answer to a request that is turned away, the same for all
    whom this denial concerns: without the id of a request, since nobody wrote it down,
    and with no header that only says the same again. No cache keeps it: 429 is none of
    the statuses that may be kept unasked (RFC 9110, 15.1).
    """
    body = msgspec.json.encode(_members(denial))
    headers = [
        (b"content-type", PROBLEM),
        (b"content-length", b"%d" % len(body)),
        *(line for line in denial.headers if line[0] == b"retry-after"),
    ]
    start = {"type": "http.response.start", "status": denial.status, "headers": headers}
    return start, {"type": "http.response.body", "body": body}


def problem(
    denial: Denial,
    exchange: Exchange,
    errors: Sequence[Mapping[str, str]] = (),
    *,
    cure: str = "",
) -> bytes:
    """Return a refusal as a problem document (RFC 9457).

    Args:
        denial: what is refused.
        exchange: the request.
        errors: members about single fields.
        cure: the address under ``/auth`` that would help.
    """
    members = {**_members(denial), "request_id": exchange.request_id}
    if cure.startswith(_CONFIRM):
        members["confirm"] = exchange.scope.get("root_path", "") + cure
        factors = cure.partition(_ASKS_FOR)[2]
        if factors:
            members["factors"] = factors.split(",")
    if errors:
        members["errors"] = errors
    return msgspec.json.encode(members)


def _members(denial: Denial) -> dict[str, Member]:
    return {
        "type": "about:blank",
        "title": _title(denial.status),
        "status": denial.status,
        "detail": denial.detail,
        "code": denial.code,
    }


def wants_page(accept: bytes) -> bool:
    """Tell whether a client would rather see a page than a problem document.

    Browsers name ``text/html``; programs name JSON, or everything (``*/*``).
    """
    if b"text/html" not in accept:
        return False
    weights = {b"text/html": 0.0, b"application/json": 0.0, PROBLEM: 0.0}
    for part in accept[:_LONGEST_ACCEPT].split(b","):
        media_type, *parameters = (piece.strip() for piece in part.lower().split(b";"))
        if media_type in weights:
            weights[media_type] = _weight(parameters)
    return weights[b"text/html"] > max(weights[b"application/json"], weights[PROBLEM])


def _weight(parameters: Sequence[bytes]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition(b"=")
        if name.strip() == b"q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0


def _cure(denial: Denial, sign_in: str) -> str:
    """Return the page that would help, ``""`` if none would."""
    if denial.status != HTTPStatus.UNAUTHORIZED or not sign_in:
        return ""
    if denial.remedy.startswith(FACTOR):
        return _CONFIRM + _ASKS_FOR + denial.remedy.removeprefix(FACTOR)
    return _CONFIRM if denial.remedy == CONFIRM else sign_in


def _way_to(cure: str, exchange: Exchange) -> bytes:
    """Return where a page helps and how to come back, ``b""`` if that would not do.

    Only pages are worth coming back to: a request that changes something must be made
    again on purpose. The way back is a path of this service, never an origin.
    """
    if not cure:
        return b""
    if exchange.method not in {"GET", "HEAD"} or exchange.kind != "http":
        return b""
    page, _, query = cure.partition("?")
    if exchange.path == page:
        return b""
    scope = exchange.scope
    here: bytes = scope.get("raw_path") or quote(exchange.path).encode()
    if scope.get("query_string"):
        here += b"?" + scope["query_string"]
    root: str = scope.get("root_path", "")
    target = _address(root + page, query)
    if len(here) > _LONGEST_NEXT or not here.startswith(b"/") or here[1:2] in b"/\\":
        return target.encode()
    return _address(root + page, query, f"next={quote(here, safe='')}").encode()


def _address(path: str, *queries: str) -> str:
    """Return a path of this service with what it is asked, parts of it or none."""
    return "?".join(filter(None, (quote(path), "&".join(filter(None, queries)))))


def _page(
    denial: Denial,
    exchange: Exchange,
    errors: Sequence[Mapping[str, str]],
    *,
    cure: str,
) -> bytes:
    faults = "".join(
        f"<li><code>{html.escape(error['field'])}</code> "
        f"{html.escape(error['message'])}</li>\n"
        for error in errors
    )
    page, _, query = (cure or "/").partition("?")
    back = _back(exchange) if cure else ""
    way = _address(exchange.scope.get("root_path", "") + page, query, back)
    label = _CONFIRMS if page == _CONFIRM else _SIGNS_IN
    return _PAGE.format(
        style=_STYLE,
        status=denial.status,
        title=html.escape(_title(denial.status)),
        detail=html.escape(denial.detail),
        faults=f"<ul>\n{faults}</ul>\n" if faults else "",
        way=html.escape(way),
        label=label if cure else "Go to the start page",
        code=html.escape(denial.code),
        request_id=html.escape(exchange.request_id),
    ).encode()


def _back(exchange: Exchange) -> str:
    """Return the part of a query that leads back to the page on which a form was
    filled in, if that is known and ours."""
    referer = exchange.headers.get(b"referer", b"").partition(b"#")[0]
    here = b"://" + exchange.headers.get(b"host", b"")
    scheme, _, path = referer.partition(here)
    is_ours = scheme in {b"http", b"https"} and path[:1] == b"/"
    if not is_ours or path[1:2] in b"/\\" or len(path) > _LONGEST_NEXT:
        return ""
    return "next=" + quote(path, safe="")


def _own_policy(headers: Headers) -> Headers:
    """The page's own policy in place of the application's."""
    others = tuple(line for line in headers if line[0] != b"content-security-policy")
    return ((b"content-security-policy", _PAGE_POLICY), *others)


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Refused"
