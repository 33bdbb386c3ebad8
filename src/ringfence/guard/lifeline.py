"""Ending what is still being answered when the session behind it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from ringfence.exchange import Exchange, Message, Receive, Send

POLICY_VIOLATION = 1008  # RFC 6455, section 7.4.1

Watch = Callable[[Exchange, Callable[[], None]], Callable[[], None]]
"""Has something called when the session of a request ends; returns what ends that."""


class SessionEnded(OSError):  # noqa: N818 - no failure: what a hang-up looks like to the application
    """The session of this connection has ended, so nothing more is sent."""


async def _next(receive: Receive) -> Message:
    """Receive within the task that waits: a receive may have begun before it does."""
    return await receive()


class Lifeline:
    """Ties a WebSocket or a streamed answer to its session.

    When the session ends, the client is told so at once, whatever the application is
    waiting for; the application hears of a client that has gone, from ``receive`` and
    from its next ``send``.

    Args:
        exchange: the request that opened the connection.
        send: the server's.
        watch: tells when the session ends.
        sized: the answer has a Content-Length: it is left short, which the client
            notices, rather than ended as if it were whole.

    Source: ASVS 5.0 V7.4.1; CWE-613.
    """

    def __init__(
        self, exchange: Exchange, send: Send, watch: Watch, *, sized: bool
    ) -> None:
        self._websocket = exchange.kind == "websocket"
        self._send = send
        self._sized = sized
        self._over = asyncio.get_running_loop().create_future()
        self._farewell: asyncio.Task[None] | None = None
        self._left: list[asyncio.Future[Message]] = []  # by who has stopped waiting
        self._forget = watch(exchange, self._end)

    @property
    def cut(self) -> bool:
        """Whether the session has ended."""
        return self._over.done()

    def release(self) -> None:
        """Forget the session: the connection has ended by itself."""
        self._forget()
        self._over.cancel()
        while self._left:
            self._left.pop().cancel()

    def _end(self) -> None:
        if self._over.done():
            return  # told just before it was released: there is nobody to tell
        self._over.set_result(None)
        if not self._sized:
            self._farewell = asyncio.create_task(self._say_farewell())

    async def _say_farewell(self) -> None:
        with suppress(OSError):  # the client has left at the very same moment
            await self._send(self._last_words())

    def _last_words(self) -> Message:
        if not self._websocket:
            return {"type": "http.response.body", "body": b""}
        return {
            "type": "websocket.close",
            "code": POLICY_VIOLATION,
            "reason": "The session has ended.",
        }

    async def receive(self, receive: Receive) -> Message:
        """Return the client's next message, or that it is gone.

        Who stops waiting, as a handler with a time-out does each time, leaves what
        they waited for to the next call: a message that has come at that very moment
        would else be lost.
        """
        if self.cut:
            return self._disconnect()
        coming = self._left.pop() if self._left else asyncio.create_task(_next(receive))
        try:
            await asyncio.wait(
                (coming, self._over), return_when=asyncio.FIRST_COMPLETED
            )
        except asyncio.CancelledError:
            self._left.append(coming)
            raise
        if self.cut:
            coming.cancel()
            return self._disconnect()
        return coming.result()

    def _disconnect(self) -> Message:
        if self._websocket:
            return {"type": "websocket.disconnect", "code": POLICY_VIOLATION}
        return {"type": "http.disconnect"}
