"""Stop request bodies that are larger than the route expects."""

from __future__ import annotations

from ringfence.denial import Denial
from ringfence.errors import BodyTooLargeError
from ringfence.exchange import Exchange, Message, Receive, Stage, at_once

_TOO_LARGE = Denial(413, "traffic.body_too_large", "The request body is too large.")


def limit_body(limit: int) -> Stage:
    """Return the stage that caps the request body, before anything reads it.

    A body that announces its length is refused at once. One that does not is counted
    as it is read; past the cap ``exchange.denial`` is set and ``BodyTooLargeError``
    raised, and whatever the application makes of that, the guard answers with 413.

    Args:
        limit: bytes, 0 for no body at all.

    Not covered: what a body becomes when it is decompressed or parsed.

    Source: RFC 9110, 15.5.14; CWE-770; ASVS 5.0 V5.2.1.
    """

    def body_limit(exchange: Exchange) -> Denial | None:
        headers = exchange.headers
        length = headers.get(b"content-length")
        if length is not None:
            if int(length) > limit:
                return _TOO_LARGE
        elif b"transfer-encoding" not in headers and _one(exchange):
            return None  # HTTP/1 without either has no body (RFC 9112, 6.3)
        if length is None or not _one(exchange):
            exchange.receive = _counted(exchange, limit)
        return None

    return at_once(body_limit)


def _one(exchange: Exchange) -> bool:
    """HTTP/1, where the server itself holds the body to its announced length."""
    version: str = exchange.scope.get("http_version", "1.1")
    return version.startswith("1")


def _counted(exchange: Exchange, limit: int) -> Receive:
    receive = exchange.receive
    left = limit

    async def counted() -> Message:
        nonlocal left
        message = await receive()
        if message["type"] == "http.request":
            left -= len(message.get("body", b""))
            if left < 0:
                exchange.denial = _TOO_LARGE
                raise BodyTooLargeError(limit)
        return message

    return counted
