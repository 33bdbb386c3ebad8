"""Read a whole request body before the application does, and give it back."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Generator
from functools import partial
from typing import TypeVar, cast

from ringfence.exchange import Exchange, Message, Ready, Receive, go_on

Read = TypeVar("Read")


def promptly(reading: Coroutine[object, None, Read]) -> Read | Awaitable[Read]:
    """Run what reads a body as far as it goes without waiting.

    Most bodies have come with their head: for them nothing has to be awaited.

    Returns:
        What came of it, or an awaitable for the rest.
    """
    waiting = cast("Generator[object, object, Read]", reading.__await__())
    try:
        first = next(waiting)
    except StopIteration as there:
        return cast("Read", there.value)
    return go_on(waiting, first)


def read_body(
    exchange: Exchange, *, remembered: int
) -> bytes | Awaitable[bytes | None]:
    """Return the body; an awaitable for it where not all of it is there yet, which
    returns ``None`` where the client hangs up before it has sent all of it.

    Whoever reads next gets it in one piece; ``exchange.received`` has it too. How
    large it may be, and how slow, is watched over by what stands in ``receive``.

    Args:
        exchange: its ``receive`` is replaced by one that replays.
        remembered: bytes that sinks look for; of more they are told.

    Raises:
        BodyRefusedError: the body is too large, too slow or not well-formed.
    """
    receive = exchange.receive
    coming = receive()
    if type(coming) is Ready:
        message = coming.message
        if message["type"] == "http.request" and not message.get("more_body", False):
            body: bytes = message.get("body", b"")
            exchange.receive = partial(_again, exchange, coming, receive)
            _remember(exchange, body, remembered)
            return body
    return _read_on(exchange, coming, receive, remembered)


async def _read_on(
    exchange: Exchange, coming: Awaitable[Message], receive: Receive, remembered: int
) -> bytes | None:
    body, is_whole = await _gather(await coming, receive)
    message = {"type": "http.request", "body": body, "more_body": not is_whole}
    then = receive if is_whole else _hung_up
    exchange.receive = partial(_again, exchange, Ready(message), then)
    _remember(exchange, body, remembered)
    return body if is_whole else None


def _again(exchange: Exchange, message: Ready, then: Receive) -> Ready:
    """Receive what has been received once; after it, what comes ``then``."""
    exchange.receive = then
    return message


def _remember(exchange: Exchange, body: bytes, most: int) -> None:
    exchange.received = [body] if body else []
    exchange.has_body = True
    if len(body) > most:
        exchange.too_much = True


async def _hung_up() -> Message:
    return {"type": "http.disconnect"}


async def _gather(message: Message, receive: Receive) -> tuple[bytes, bool]:
    """Put the pieces together; say whether the last of them came."""
    read = bytearray()
    while message["type"] == "http.request":
        read += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(read), True
        message = await receive()
    return bytes(read), False
