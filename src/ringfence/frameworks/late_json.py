"""JSON that a handler reads from a body that was called something else.

What is called JSON has been checked before the handler; ``text/plain`` has not, and a
handler that asks for ``request.json()`` does not look at the type either. So a sender
would only have to leave the type out to get duplicate keys past the guard (CWE-436).
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable
from typing import Any

from ringfence.denial import Denial
from ringfence.errors import BodyRefusedError
from ringfence.exchange import Exchange, active
from ringfence.interpreters.json.strict import read
from ringfence.interpreters.validation.intake import ANYTHING

_DONE = "__ringfence_strict__"


def read_strictly(kind: Any) -> None:
    """Make a framework's class of requests read JSON strictly in guarded requests. For
    good, and once.

    Args:
        kind: has coroutine functions ``json`` and ``body``.
    """
    lax = kind.json
    if hasattr(lax, _DONE):
        return

    @functools.wraps(lax)
    def json(self: Any) -> Awaitable[Any]:
        exchange = active.get()
        if exchange is None or exchange.has_body or not _is_unchecked(exchange):
            found: Awaitable[Any] = lax(self)
            return found
        return checked(self, exchange)

    async def checked(self: Any, exchange: Exchange) -> Any:
        body = await self.body()
        deepest: int = exchange.sinks.settings.json_depth
        said = read(body, deepest=deepest) if body else None
        if isinstance(said, Denial):
            exchange.denial = said
            raise BodyRefusedError(said.detail)
        return await lax(self)

    setattr(json, _DONE, True)
    kind.json = json


def _is_unchecked(exchange: Exchange) -> bool:
    """Return whether no stage has read the body of this request."""
    if exchange.kind != "http" or exchange.sinks is None:
        return False
    said: str = getattr(exchange.plan, "input", "")
    return not said.startswith(ANYTHING)
