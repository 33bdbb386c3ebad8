"""Replies of a server, as many at a time as have come."""

from __future__ import annotations

import asyncio
import math
from typing import Any, Final, Protocol

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, ResponseError

try:
    import hiredis
except ImportError:
    hiredis = None  # type: ignore[assignment]  # it is not there

_AT_ONCE: Final = 1 << 16  # bytes
_NOT_ALL: Final = object()


class Replies(Protocol):
    """Reads what comes over one connection."""

    async def next(self) -> list[Any]:
        """Return what has come, one reply at least; errors are among them as they are.

        Raises:
            RedisError: what comes is no reply, or nothing comes any more.
            OSError: the connection is broken.
        """


def replies_of(wire: AbstractConnection) -> Replies:
    """Return what reads from a connection on which nothing is under way.

    With hiredis all that has come is read in one go. Through redis-py each reply takes
    three coroutines, a third of what a round trip costs us.
    """
    # redis-py makes the connection, TLS and sign-in included, and stands aside: it has
    # no public way to more than one reply at a time.
    stream: asyncio.StreamReader | None = getattr(wire, "_reader", None)
    if hiredis is None or stream is None:
        return OneByOne(wire)
    return Batches(stream)


class Batches:
    """Reads by hiredis. See ``replies_of``."""

    def __init__(self, stream: asyncio.StreamReader) -> None:
        self._stream = stream
        self._parser = hiredis.Reader(
            protocolError=InvalidResponse,
            replyError=ResponseError,
            notEnoughData=_NOT_ALL,
        )

    async def next(self) -> list[Any]:
        parser = self._parser
        found: list[Any] = []
        while not found:
            came = await self._stream.read(_AT_ONCE)
            if not came:
                raise RedisConnectionError("the server has closed the connection")
            parser.feed(came)
            while (reply := parser.gets()) is not _NOT_ALL:
                found.append(reply)
        return found


class OneByOne:
    """Reads as redis-py does. See ``replies_of``."""

    def __init__(self, wire: AbstractConnection) -> None:
        self._wire = wire

    async def next(self) -> list[Any]:
        try:
            reply = await self._wire.read_response(
                timeout=math.inf, disconnect_on_error=False
            )
        except (ResponseError, RedisConnectionError) as error:
            # LOADING and the like: redis-py takes them for a broken connection.
            if isinstance(error, ResponseError) or error.status_code:
                return [error]
            raise
        return [reply]
