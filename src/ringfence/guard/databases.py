"""The databases that a guard is given, whose rows have owners."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial

from ringfence.access.ownership.data import OwnedData, SignedData
from ringfence.access.policy import Hierarchy
from ringfence.access.row_security.context import PURPOSE
from ringfence.audit.events import Event
from ringfence.exchange import Exchange
from ringfence.secrets.keyring import Keyring


def bound(
    data: OwnedData | Sequence[OwnedData],
    hierarchy: Hierarchy,
    record: Callable[[Event], None],
    keyring: Keyring,
) -> tuple[OwnedData, ...]:
    """Return the databases, each told what roles include and where events go.

    Raises:
        TypeError: something else than a database whose rows have owners.
        DeclarationError: what is declared in one cannot be enforced.
    """
    found = tuple(data) if isinstance(data, Sequence) else (data,)
    for each in found:
        if not isinstance(each, OwnedData):
            raise TypeError(
                "Guard(app, data=...) takes a Database of ringfence.access.sqlalchemy "
                "or an OwnedDatabase of ringfence.access.mongo, or several; not "
                f"{type(each).__name__}. Write data=Database(engine, Base)"
            )
        each.bind(hierarchy, record)
        if isinstance(each, SignedData):
            each.sign_with(partial(keyring.derive, PURPOSE))
    return found


async def close(exchange: Exchange) -> None:
    """Close what a request has opened; what it has not committed is taken back."""
    opened, exchange.opened = exchange.opened, None
    closing = opened.close()
    if inspect.isawaitable(closing):
        await closing
