"""How a safe way refuses what it is given: whoever calls it, and in a dry run too."""

from __future__ import annotations

from typing import NoReturn

from ringfence.denial import Denial
from ringfence.errors import InjectionRefusedError
from ringfence.interpreters.sink import Sink, here

_PUBLIC = "Part of what was sent cannot be used here."


def object_to(sink: Sink, why: str, *, status: int = 400) -> NoReturn:
    """Refuse an argument of a safe way. The guard answers with it where a request is
    in progress; elsewhere it is an exception like any other.

    Args:
        sink: what the safe way leads to.
        why: one sentence for the ledger, without what was sent.
        status: of the answer.

    Raises:
        InjectionRefusedError: always. A dry run watches guards; a safe way has nothing
            unsafe that it could do instead.
    """
    whom = here()
    if whom is not None:
        whom.refuse(sink, why, status=status, public=_PUBLIC)
    denial = Denial(
        status,
        f"interpreters.{sink.interpreter}",
        _PUBLIC,
        private=f"{sink.driver}: {why}",
    )
    exchange = None if whom is None else whom.exchange
    if exchange is not None and exchange.denial is None:
        exchange.denial = denial
    raise InjectionRefusedError(denial)
