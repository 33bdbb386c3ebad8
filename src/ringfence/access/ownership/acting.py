"""For whom the running code works: whose rows it may see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from ringfence.access.ownership.escape import Unscoped, lifted
from ringfence.exchange import active
from ringfence.principal import Principal

Actor = Principal | Unscoped | None
"""A principal, an escape, or nobody, who sees nothing that is anybody's."""

_appointed: ContextVar[Principal | None] = ContextVar(
    "ringfence_appointed", default=None
)


def acting() -> Actor:
    """Return for whom the running code works: the innermost escape, whoever was named
    by ``acting_as``, the principal of the running request; else nobody."""
    escape = lifted.get()
    if escape is not None and escape.is_open:
        return escape
    exchange = active.get()
    return _appointed.get() if exchange is None else exchange.principal


def principal_of(actor: Actor) -> Principal | None:
    """Return who is behind an actor: of an escape, whoever works without it."""
    if not isinstance(actor, Unscoped):
        return actor
    exchange = active.get()
    return _appointed.get() if exchange is None else exchange.principal


@contextmanager
def acting_as(principal: Principal) -> Iterator[None]:
    """Work for somebody outside a request: in a job of a queue, a script, a test.

    Args:
        principal: whose rows the code in the block may see.

    Raises:
        TypeError: no ``Principal``.
        RuntimeError: a request is running; what works for it works for its principal,
            and ``unscoped`` is the way round.
    """
    if not isinstance(principal, Principal):
        raise TypeError(
            "acting_as takes a Principal, as in acting_as(Principal(account_id)); not "
            f"{principal!r}"
        )
    if active.get() is not None:
        raise RuntimeError(
            "acting_as is for code outside requests; this one works for its principal"
        )
    token = _appointed.set(principal)
    try:
        yield
    finally:
        _appointed.reset(token)
