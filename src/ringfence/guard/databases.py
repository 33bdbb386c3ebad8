"""The databases that a guard is given, whose rows have owners."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence

from ringfence.access.ownership.data import OwnedData
from ringfence.access.policy import Hierarchy
from ringfence.audit.events import Event
from ringfence.exchange import Exchange


def bound(
    data: OwnedData | Sequence[OwnedData],
    hierarchy: Hierarchy,
    record: Callable[[Event], None],
) -> tuple[OwnedData, ...]:
    """Return the databases, each told what roles include and where events go.

    Raises:
        DeclarationError: what is declared in one cannot be enforced.
    """
    found = tuple(data) if isinstance(data, Sequence) else (data,)
    for each in found:
        each.bind(hierarchy, record)
    return found


async def close(exchange: Exchange) -> None:
    """Close what a request has opened; what it has not committed is taken back."""
    opened, exchange.opened = exchange.opened, None
    closing = opened.close()
    if inspect.isawaitable(closing):
        await closing
