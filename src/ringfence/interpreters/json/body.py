"""Read a whole request body before the application does, and give it back."""

from __future__ import annotations

import types
from collections.abc import Awaitable, Coroutine, Generator
from typing import TypeVar, cast

from ringfence.exchange import Exchange, Message

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
    return _go_on(waiting, first)


@types.coroutine
def _go_on(
    waiting: Generator[object, object, Read], first: object
) -> Generator[object, object, Read]:
    """Wait on in the place of what has begun to wait, for ``first``."""
    try:
        yield first
    except BaseException as error:  # noqa: BLE001 - handed on to where it belongs
        try:
            first = waiting.throw(error)
        except StopIteration as there:
            return cast("Read", there.value)
        return (yield from _go_on(waiting, first))
    return (yield from waiting)


async def read_body(exchange: Exchange, *, remembered: int) -> bytes | None:
    """Return the body, ``None`` where the client hung up before it had sent all of it.

    Whoever reads next gets it in one piece; ``exchange.received`` has it too. How
    large it may be, and how slow, is watched over by what stands in ``receive``.

    Args:
        exchange: its ``receive`` is replaced by one that replays.
        remembered: bytes that sinks look for; of more they are told.

    Raises:
        BodyRefusedError: the body is too large, too slow or not well-formed.
    """
    receive = exchange.receive
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        body: bytes = message.get("body", b"")
        last: Message | None = message
    else:
        body, last = await _gather(exchange, message)
    replayed = False

    async def replay() -> Message:
        nonlocal replayed
        if replayed:
            return await receive()
        replayed = True
        return {"type": "http.request", "body": body, "more_body": last is None}

    async def hung_up() -> Message:
        return {"type": "http.disconnect"}

    if last is None:
        receive = hung_up
    exchange.receive = replay
    exchange.received = [body] if body else []
    exchange.has_body = True
    exchange.too_much = len(body) > remembered
    return None if last is None else body


async def _gather(exchange: Exchange, message: Message) -> tuple[bytes, Message | None]:
    """Put the pieces together; say which was the last, if it came."""
    read = bytearray()
    while message["type"] == "http.request":
        read += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(read), message
        message = await exchange.receive()
    return bytes(read), None
