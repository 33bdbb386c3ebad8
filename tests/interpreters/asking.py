"""A request in progress, without a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.interpreters.test_untrusted import exchange

from ringfence.exchange import Exchange, active, live
from ringfence.interpreters.settings import InterpretersSettings
from ringfence.interpreters.sink import Sinks


@contextmanager
def asking(
    body: bytes = b"", *, watched: bool = False, **more: object
) -> Iterator[Exchange]:
    """Make what runs inside belong to a request that has brought this."""
    made = exchange(body, **more)
    made.sinks = Sinks(InterpretersSettings(), lambda _: None, lambda: watched)
    token = active.set(made)
    live.add(made)
    try:
        yield made
    finally:
        live.discard(made)
        active.reset(token)
