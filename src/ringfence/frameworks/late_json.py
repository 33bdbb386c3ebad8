"""JSON that a handler reads from a body that was called something else.

What is called JSON has been checked before the handler; ``text/plain`` has not, and a
handler that asks for ``request.json()`` does not look at the type either. So a sender
would only have to leave the type out to get duplicate keys past the guard (CWE-436).
"""

from __future__ import annotations

import functools
from typing import Any

from ringfence.denial import Denial
from ringfence.errors import BodyRefusedError
from ringfence.exchange import Exchange, active
from ringfence.interpreters.json.media import is_json
from ringfence.interpreters.json.strict import read

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
    async def json(self: Any) -> Any:
        exchange = active.get()
        if exchange is not None and _is_unchecked(exchange):
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
    if exchange.kind != "http" or exchange.sinks is None:
        return False
    if getattr(exchange.plan, "input", "") == "anything":
        return False
    return not is_json(exchange.headers.get(b"content-type", b""))
