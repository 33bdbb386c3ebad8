"""Targets of the range as routes of a small application: no gate, no accounts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from examples.range.target import Handler, Target
from examples.range.world import World
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


def routes_of(targets: Sequence[Target], folder: Path) -> Callable[[], list[Route]]:
    """Return what makes the routes of targets, whose world lies in ``folder``."""
    folder.mkdir(exist_ok=True)
    world = World(folder / "range.db")

    def endpoint(handler: Handler) -> Handler:
        async def answer(request: Request) -> Response:
            request.app.state.world = world
            return await handler(request)

        return answer

    def make() -> list[Route]:
        return [
            Route(target.path, endpoint(target.handler), methods=[target.method])
            for target in targets
        ]

    return make
