"""Read a whole request body before the application does, and give it back."""

from __future__ import annotations

from ringfence.exchange import Exchange, Message


async def read_body(exchange: Exchange) -> bytes | None:
    """Return the body, ``None`` where the client hung up before it had sent all of it.

    Whoever reads next gets it in one piece; ``exchange.received`` has it too. How
    large it may be, and how slow, is watched over by what stands in ``receive``.

    Args:
        exchange: its ``receive`` is replaced by one that replays.

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
