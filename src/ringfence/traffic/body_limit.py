"""Stop request bodies that are larger, slower or more finely divided than any honest
one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Generator
from dataclasses import replace

from ringfence.denial import Denial
from ringfence.errors import BodyRefusedError, BodyTooLargeError
from ringfence.exchange import Exchange, Message, Ready, Stage, at_once, go_on
from ringfence.traffic.forms import Form, form_of
from ringfence.traffic.settings import TrafficSettings

_TOO_LARGE = Denial(413, "traffic.body_too_large", "The request body is too large.")
_TOO_SLOW = Denial(408, "traffic.body_too_slow", "The request body came too slowly.")
_TYPE_TOO_LONG = Denial(
    431, "traffic.content_type_too_long", "The Content-Type header is too long."
)
_LONGEST_TYPE = 512  # bytes; the longest registered type with a boundary has some 200
_ONE = frozenset({"1.1", "1.0", "1", None})  # servers need not say it: ASGI, HTTP scope
_OF_BODIES = frozenset({b"content-length", b"content-type", b"transfer-encoding"})
_CLOSE = ((b"connection", b"close"),)
_DEFAULTS = TrafficSettings()


def limit_body(limit: int, settings: TrafficSettings = _DEFAULTS) -> Stage:
    """Return the stage that watches over the request body, before anything reads it.

    A body that announces more than ``limit`` is refused at once, and so is a form that
    does not say where its parts end. Everything else is decided while the application
    reads, piece by piece and whether or not a length was announced: ``exchange.denial``
    is set and ``BodyRefusedError`` raised, and whatever the application makes of that,
    the guard answers with the denial. A body that nobody reads is not looked at.

    Slow bodies hold a connection, a task and perhaps a database session each
    (Slowloris, sent as a body): only the time that the *client* lets us wait counts,
    never the time that the application takes.

    Args:
        limit: bytes, 0 for no body at all.
        settings: how slow a body may be and of how much a form may consist.

    Not covered: what a body becomes when it is decompressed or parsed. A body that the
    application leaves unread: whether it may go on coming is the server's to decide.

    Source: RFC 9110, 15.5.9 and 15.5.14; RFC 6585, 5; CWE-400, CWE-770; ASVS 5.0
    V5.2.1.
    """

    def body_limit(exchange: Exchange) -> Denial | None:
        # HTTP/1 without a length has no body (RFC 9112, 6.3).
        if (
            _OF_BODIES.isdisjoint(exchange.headers)
            and exchange.scope.get("http_version") in _ONE
        ):
            return None
        return judge(exchange)

    def judge(exchange: Exchange) -> Denial | None:
        headers = exchange.headers
        # Without a body, too: a handler that asks for a form has it parsed, in
        # quadratic time (CVE-2024-24762 was of this kind).
        content_type = headers.get(b"content-type", b"")
        if len(content_type) > _LONGEST_TYPE:
            return _TYPE_TOO_LONG
        length = headers.get(b"content-length")
        if length is None:
            if b"transfer-encoding" not in headers and _one(exchange):
                return None
        else:
            announced = int(length)
            if announced > limit:
                return _TOO_LARGE
            if announced == 0 and _one(exchange):
                return None
        form = form_of(content_type, settings)
        if isinstance(form, Denial):
            return form
        exchange.receive = _Body(exchange, limit, settings, form).receive
        return None

    return at_once(body_limit)


def _one(exchange: Exchange) -> bool:
    """HTTP/1, where the server itself holds the body to its announced length."""
    return exchange.scope.get("http_version") in _ONE


class _Body:
    """One request body while it is read."""

    __slots__ = (
        "_complete",
        "_exchange",
        "_form",
        "_limit",
        "_read",
        "_receive",
        "_settings",
        "_waited",
    )

    def __init__(
        self,
        exchange: Exchange,
        limit: int,
        settings: TrafficSettings,
        form: Form | None,
    ) -> None:
        self._exchange = exchange
        self._receive = exchange.receive
        self._limit = limit
        self._settings = settings
        self._form = form
        self._read = 0  # bytes
        self._waited = 0.0  # seconds
        self._complete = False

    def receive(self) -> Awaitable[Message]:
        """Return the next message; after the last piece, whatever comes then.

        Most bodies have come with their head: for them no timer is set, and nothing is
        waited for.
        """
        if self._complete:
            return self._receive()
        waiting = self._receive().__await__()
        try:
            first = next(waiting)
        except StopIteration as there:
            message: Message = there.value
        else:
            return self._wait(waiting, first)
        return Ready(self._take(message))

    def _take(self, message: Message) -> Message:
        if message["type"] != "http.request":
            self._complete = True
            return message
        piece: bytes = message.get("body", b"")
        self._read += len(piece)
        if self._read > self._limit:
            self._exchange.denial = _TOO_LARGE
            raise BodyTooLargeError(self._limit)
        self._complete = not message.get("more_body", False)
        if self._form is not None:
            denial = self._form.feed(piece)
            if denial is None and self._complete:
                denial = self._form.end()
            if denial is not None:
                raise self._refused(denial)
        return message

    async def _wait(
        self, waiting: Generator[object, object, Message], first: object
    ) -> Message:
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout_at(began + self._patience()) as bound:
                message = await go_on(waiting, first)
        except TimeoutError:
            if not bound.expired():
                raise
            raise self._refused(_TOO_SLOW) from None
        self._waited += clock() - began
        return self._take(message)

    def _patience(self) -> float:
        """Return for how many seconds more the client may let us wait."""
        settings = self._settings
        earned = settings.body_grace + self._read / settings.body_rate
        return min(earned, settings.body_seconds) - self._waited

    def _refused(self, denial: Denial) -> BodyRefusedError:
        if denial is _TOO_SLOW and _one(self._exchange):
            denial = replace(denial, headers=_CLOSE)
        self._exchange.denial = denial
        return BodyRefusedError(denial.detail)


def limit_messages(limit: int) -> Stage:
    """Return the stage that caps the messages of a WebSocket.

    Servers take up to 16 MiB a message by default, and a handler that parses each one
    is an oversized body with another name. The connection ends with the message.

    Args:
        limit: bytes of a binary message, characters of a text; 1 or more.

    Not covered: how often messages come; the memory in which the server has put one
    together (``ringfence serve`` bounds that to 1 MiB).

    Source: RFC 6455, 10.4; CWE-770.
    """

    def message_limit(exchange: Exchange) -> None:
        receive = exchange.receive

        async def bounded() -> Message:
            message = await receive()
            if message["type"] == "websocket.receive" and limit < len(
                message.get("bytes") or message.get("text") or b""
            ):
                exchange.denial = _MESSAGE_TOO_LARGE
                raise BodyRefusedError(_MESSAGE_TOO_LARGE.detail)
            return message

        exchange.receive = bounded

    return at_once(message_limit)


_MESSAGE_TOO_LARGE = Denial(
    413, "traffic.message_too_large", "A message was too large."
)
