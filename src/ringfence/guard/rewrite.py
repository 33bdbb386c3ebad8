"""What the application's own answers lose and gain on their way out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from ringfence.access.policy import Public
from ringfence.browser.cors import ANSWERED_HERE, tell_unheard
from ringfence.denial import Denial
from ringfence.exchange import Exchange, Headers, Message
from ringfence.guard.field_errors import read_errors
from ringfence.guard.plan import Ending, RoutePlan
from ringfence.guard.reflected import is_page, is_suspect
from ringfence.interpreters.urls.redirects import judge_location

# Only the guard says these: two values would be two opinions, of which browsers take
# either the first, the last or none. A policy of the application's is the exception:
# browsers enforce both, so that it can only make things stricter.
_GUARDED = frozenset(
    {
        b"cross-origin-embedder-policy",
        b"cross-origin-opener-policy",
        b"cross-origin-resource-policy",
        b"permissions-policy",
        b"referrer-policy",
        b"strict-transport-security",
        b"x-content-type-options",
        b"x-frame-options",
        b"x-request-id",
        b"x-xss-protection",
    }
)
# Names and versions of what runs here help only who looks for a known hole.
_TALKATIVE = frozenset(
    {
        b"server",
        b"x-aspnet-version",
        b"x-generator",
        b"x-powered-by",
        b"x-runtime",
        b"x-version",
    }
)
_DROPPED = _GUARDED | _TALKATIVE | ANSWERED_HERE
# Names that need no look, as applications that keep to the rule write them.
_EVERYDAY = frozenset(
    {
        b"accept-ranges",
        b"content-disposition",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"etag",
        b"last-modified",
        b"location",
        b"vary",
    }
)

# What a browser shows as a page, or runs: a script may become a worker, which lives
# under the policy that came with it.
_DOCUMENTS = (
    b"text/html",
    b"application/xhtml",
    b"image/svg",
    b"text/xml",
    b"application/xml",
    b"multipart/x-mixed-replace",
    b"text/javascript",
    b"application/javascript",
)

_ENDINGS = 64  # remembered of a route; an application may take types from visitors

_NO_CONTENT = 204
_REDIRECTS = 3  # hundred
_NOT_MODIFIED = 304
_SENT_ON = frozenset({300, 301, 302, 303, 307, 308})
_FAILURES = 400
_UNPROCESSABLE = 422
_SERVER_ERRORS = 500

_NO_STORE = (b"cache-control", b"no-store")
_PRIVATE = (b"cache-control", b"private, no-cache")


def finish_start(
    message: Message,
    exchange: Exchange,
    plan: RoutePlan,
    *,
    harden: Callable[[bytes], bytes],
    origins: Sequence[str] = (),
) -> Message:
    """Return the start of the application's answer as it may leave.

    Adds the plan's security headers (in place of the application's), hardens cookies,
    takes out what tells versions, and keeps answers for one reader (signed in, or given
    a cookie) out of caches unless the application has said something about that itself.

    Args:
        message: ``http.response.start``, or ``websocket.accept``.
        exchange: the request that is answered.
        plan: of its route.
        harden: completes a ``Set-Cookie`` value.
        origins: of this service.

    Raises:
        ValueError: a line break in a header (response splitting, CVE-2020-7695).
        InjectionRefusedError: it sends the browser where an input has named.

    Source: ASVS 5.0 V3.4, V14.3.2, V13.4.6; CWE-113, CWE-525.
    """
    lines = list(message.get("headers", ()))
    _refuse_line_breaks(part for line in lines for part in line)
    kept = list(_settled(lines, harden))
    headers = dict(kept)
    cached = b"cache-control" in headers
    private = exchange.principal is not None or b"set-cookie" in headers
    own = exchange.response_headers
    status = message.get("status")
    if status is None:  # websocket.accept shows nothing
        return {**message, "headers": kept + own}
    if status in _SENT_ON and b"location" in headers:
        judge_location(headers[b"location"].decode("latin-1"), exchange, origins)
    kept += _protection(exchange, plan, headers.get(b"content-type", b""), status)
    if plan.caching is not None and status < _FAILURES:
        # A nonce that a shared cache hands out is known to everybody.
        kept = _cached_as(plan.caching[private or bool(exchange.nonce)], kept)
    elif private and not cached:
        kept.append(_PRIVATE if isinstance(plan.policy, Public) else _NO_STORE)
    if not own and _is_everyday(lines) and not exchange.nonce:
        _remember(tuple(kept[len(lines) :]), _ending(status, headers, exchange), plan)
    # Another message: an application may send the same one to everybody.
    return {**message, "headers": _with_own(kept, own) if own else kept}


def everyday_start(
    message: Message, exchange: Exchange, plan: RoutePlan
) -> Message | None:
    """Return what ``finish_start`` returns, if that is plain: an answer with headers
    that need no look gains the same as the one of its kind before it.

    Args:
        message: ``http.response.start``.
        exchange: the request that is answered.
        plan: of its route.

    Returns:
        ``None`` to have it finished, or rewritten.
    """
    lines = message.get("headers")
    if type(lines) is not list:
        return None
    headers: dict[bytes, bytes] = dict(lines)
    # As in ``_ending``: calling it would take as long.
    kind = message["status"], headers.get(b"content-type"), exchange.principal is None
    known = plan.endings.get(kind)
    if (
        known is None
        or exchange.response_headers
        or exchange.nonce
        or not _EVERYDAY.issuperset(headers)
        or len(headers) != len(lines)
    ):
        return None
    values = b"".join(headers.values())
    if b"\n" in values or b"\r" in values:
        return None
    added, page = known
    if page and is_suspect(exchange):
        return None  # to be looked at
    return {**message, "headers": [*lines, *added]}


def _is_everyday(lines: Sequence[tuple[bytes, bytes]]) -> bool:
    headers = dict(lines)
    return len(headers) == len(lines) and _EVERYDAY.issuperset(headers)


def _ending(status: int, headers: Mapping[bytes, bytes], exchange: Exchange) -> Ending:
    return status, headers.get(b"content-type"), exchange.principal is None


def _remember(added: Headers, ending: Ending, plan: RoutePlan) -> None:
    """Keep what was added to an answer that may leave as it is."""
    if ending[0] in _SENT_ON:
        return  # where to is looked at each time
    if len(plan.endings) < _ENDINGS and (plan.is_own or ending[0] in UNTOUCHED):
        plan.endings[ending] = added, is_page(ending[1] or b"")


def _refuse_line_breaks(parts: Iterable[bytes]) -> None:
    joined = b"".join(parts)
    if b"\n" in joined or b"\r" in joined:
        raise ValueError("a response header contains a line break")


def _settled(
    lines: Iterable[tuple[bytes, bytes]], harden: Callable[[bytes], bytes]
) -> Iterator[tuple[bytes, bytes]]:
    """Yield the application's headers as they may leave, without those that may not."""
    for name, value in lines:
        lower = name.lower()
        if lower == b"set-cookie":
            yield lower, harden(value)
        elif lower not in _DROPPED:
            yield lower, value
        elif lower in ANSWERED_HERE:
            tell_unheard()


def _with_own(
    kept: list[tuple[bytes, bytes]], own: list[tuple[bytes, bytes]]
) -> list[tuple[bytes, bytes]]:
    """Add what stages have left. A cookie among it (one that ends a stale session, say)
    is for one browser: a shared cache that kept it with a public answer would sign out
    everybody, whatever the application has said about caching."""
    if any(name == b"set-cookie" for name, _ in own):
        kept = _cached_as(_NO_STORE, kept)
    return kept + own


def _cached_as(
    rule: tuple[bytes, bytes], kept: list[tuple[bytes, bytes]]
) -> list[tuple[bytes, bytes]]:
    """Put one rule for caches in the place of what the application has said."""
    return [*(line for line in kept if not _is_about_caches(line[0])), rule]


def _is_about_caches(name: bytes) -> bool:
    """Cache-Control, and what caches of content networks prefer to it (RFC 9213)."""
    return name.endswith(b"cache-control") or name in {b"surrogate-control", b"expires"}


def _protection(
    exchange: Exchange,
    plan: RoutePlan,
    content_type: bytes,
    status: int,
) -> Headers:
    """Return the security headers that belong to an answer of this kind."""
    if status == _NOT_MODIFIED:
        # Its headers replace those of the stored answer, among them the policy of a
        # page by one without its nonce, or by that of data: so it says nothing.
        return ()
    if not _is_document(content_type, status):
        return plan.data_headers
    if not exchange.nonce:
        return plan.document_headers
    return plan.nonced_headers(exchange.nonce)


@lru_cache(maxsize=256)
def _is_document(content_type: bytes, status: int) -> bool:
    if content_type:
        media_type = content_type.lower()
        return media_type.startswith(_DOCUMENTS) or b"+xml" in media_type
    # A body without a type could be taken for a page; these have no body.
    return status != _NO_CONTENT and status // 100 != _REDIRECTS


APPLICATION_ERROR = Denial(
    500, "guard.application_error", "Something went wrong on our side."
)
NOT_ACCEPTED = Denial(
    422, "guard.unprocessable", "The request was understood, but not accepted."
)
INVALID_INPUT = Denial(
    422, "guard.invalid_input", "Some of what was sent is missing or not valid."
)

_LARGEST_REPORT = 65_536  # bytes of a 422 that are read


def must_rewrite(status: int) -> bool:
    """Tell whether the body of an answer with this status must not leave as it is."""
    return status == _UNPROCESSABLE or status >= _SERVER_ERRORS


UNTOUCHED = frozenset(status for status in range(100, 600) if not must_rewrite(status))
"""What there is of ``must_rewrite`` to look up."""


class Rewriter:
    """Holds an answer back whose body must not leave, and makes the one that does.

    FastAPI's 422 repeats what was sent, a password among it; a server error may carry
    a trace, a query or a version. Feed it the application's messages, beginning with
    the start; when ``take`` returns true, send ``denial`` with ``errors`` instead and
    swallow the rest.

    Not covered: what an application says with another status (400, say). Streams that
    fail after their start.

    Source: CWE-209; ASVS 5.0 V16.5.1, V14.2.1.
    """

    __slots__ = ("_body", "_decided", "_status", "denial", "errors")

    def __init__(self, start: Message) -> None:
        self._status: int = start["status"]
        self._body = bytearray()
        self._decided = False
        self.errors: list[dict[str, str]] = []
        self.denial = APPLICATION_ERROR
        retry_after = tuple(
            (b"retry-after", value)
            for name, value in start.get("headers", ())
            if name.lower() == b"retry-after" and value.isdigit()
        )
        if self._status != APPLICATION_ERROR.status or retry_after:
            self.denial = replace(
                APPLICATION_ERROR, status=self._status, headers=retry_after
            )
        if self._status == _UNPROCESSABLE:
            self.denial = NOT_ACCEPTED

    def take(self, message: Message) -> bool:
        """Swallow one message; return whether it is the moment to answer instead.

        That moment comes once: a server error needs no body to be known, a 422 is
        read up to its end or to its cap.
        """
        if self._decided:
            return False
        if self._status != _UNPROCESSABLE:
            self._decided = True
            return True
        if "body" not in message and message["type"].endswith(".start"):
            return False
        self._body += message.get("body", b"")
        too_large = len(self._body) > _LARGEST_REPORT
        if message.get("more_body", False) and not too_large:
            return False
        self._decided = True
        if not too_large:
            self.errors = read_errors(bytes(self._body))
        if self.errors:
            self.denial = INVALID_INPUT
        self._body.clear()
        return True
