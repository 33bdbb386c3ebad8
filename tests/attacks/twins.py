"""The same handlers twice on real servers: bare, and behind the guard."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
from starlette.applications import Starlette
from starlette.routing import BaseRoute
from tests.attacks.serving import NO_TLS, RAISED, served

from ringfence import Guard, Settings, access
from ringfence.exchange import live

PATIENCE = 60.0  # seconds that a busy machine may take to answer
_TICK = 0.001


@dataclass(frozen=True, slots=True)
class Twins:
    """Clients of both sides.

    Args:
        off: speaks to the handlers as their developer wrote them.
        on: speaks to the same ones through a guard.
    """

    off: httpx2.Client
    on: httpx2.Client


def alone(_: object = None) -> None:
    """Wait until the guarded side is done with its last request, whose answer is here
    already: code of which nobody knows whom it works for is judged for it, and in one
    process that is what the bare side runs."""
    until = time.monotonic() + PATIENCE
    while live and time.monotonic() < until:
        time.sleep(_TICK)


@contextmanager
def twins(
    make_routes: Callable[[], Sequence[BaseRoute]], data: Path, *, loop: str = "auto"
) -> Iterator[Twins]:
    """Serve handlers that anybody may call, once without and once with a guard.

    Args:
        make_routes: returns public ones, for each side its own.
        data: a folder for what the guard writes.
        loop: ``asyncio`` or ``uvloop``.
    """

    def bare(port: int) -> Starlette:
        return Starlette(debug=True, routes=make_routes())

    def guarded(port: int) -> Guard:
        settings = Settings.load(environ=RAISED, env="development", data=data)
        marked = access.routes(make_routes(), access.public)
        return Guard(Starlette(routes=marked), settings)

    with (
        served(bare, loop=loop) as off,
        served(guarded, loop=loop) as on,
        httpx2.Client(
            base_url=off.url,
            timeout=PATIENCE,
            verify=NO_TLS,
            event_hooks={"request": [alone]},
        ) as bare_client,
        httpx2.Client(base_url=on.url, timeout=PATIENCE, verify=NO_TLS) as client,
    ):
        yield Twins(bare_client, client)
