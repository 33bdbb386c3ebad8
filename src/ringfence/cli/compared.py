"""An application that has been started, and listens only if it is like the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from ringfence.cli.leash import Failed, Leash, Ready
from ringfence.exchange import Message, Receive, Scope, Send
from ringfence.guard.asgi import Guard


class Compared:
    """Start a guard, show its fingerprint to the parent, and go on only if it agrees.

    Compared once the application has started, since it may add routes until then, and
    before anybody is let in: a worker that is refused has answered nobody.

    Args:
        guard: what to serve.
        leash: to the parent.
        words: what to say besides the address, once all workers listen.
    """

    def __init__(self, guard: Guard, leash: Leash, words: str) -> None:
        self._guard = guard
        self._leash = leash
        self._words = words

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Hand on to the guard; not a coroutine, which would cost each request one."""
        if scope["type"] == "lifespan":
            return self._lifespan(scope, receive, send)
        return self._guard(scope, receive, send)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_refused = False

        async def listen() -> Message:
            # The application is ended in good order, and the server hears of it as of
            # a start-up that has failed: it listens nowhere.
            return {"type": "lifespan.shutdown"} if is_refused else await receive()

        async def tell(message: Message) -> None:
            nonlocal is_refused
            if message["type"] == "lifespan.startup.failed":
                self._leash.say(Failed(message.get("message", "")))
            elif message["type"] == "lifespan.startup.complete":
                is_refused = not await self._is_agreed()
            if not is_refused:
                await send(message)

        await self._guard(scope, listen, tell)
        if is_refused:
            await send({"type": "lifespan.startup.failed", "message": ""})

    async def _is_agreed(self) -> bool:
        self._leash.say(Ready(self._guard.fingerprint(), self._words))
        return await asyncio.to_thread(self._leash.may_go)
