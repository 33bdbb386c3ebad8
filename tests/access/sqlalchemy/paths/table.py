"""The table that every path stands in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session
from tests.access.sqlalchemy.paths.world import ANN, Actor, World

Run = Callable[[Session, World], Any]


@dataclass(frozen=True, slots=True)
class Path:
    """One way to rows.

    Args:
        name: as people would say it.
        group: of what kind the way is.
        kind: ``read`` or ``write``.
        run: goes it; returns what it has seen.
        actor: who goes it.
        honest: whether it does with the walker's own rows what plain SQLAlchemy does
            in a database that holds no others; else it may be refused for them too.
        whose: whose rows it reaches for.
        dialects: where it exists.
        plain: whether it only exists without an event loop.
    """

    name: str
    group: str
    kind: str
    run: Run
    actor: Actor = ANN
    honest: bool = True
    whose: str = "bea"
    dialects: tuple[str, ...] = ("sqlite", "postgresql")
    plain: bool = False


PATHS: dict[str, Path] = {}


def path(group: str, kind: str, name: str = "", **more: Any) -> Callable[[Run], Run]:
    """Put a function into the table, under its own name."""

    def add(run: Run) -> Run:
        called = name or run.__name__.strip("_").replace("_", " ")
        if called in PATHS:
            message = f"there is a path {called!r} already"
            raise ValueError(message)
        PATHS[called] = Path(called, group, kind, run, **more)
        return run

    return add


def reads(group: str, name: str = "", **more: Any) -> Callable[[Run], Run]:
    return path(group, "read", name, **more)


def writes(group: str, name: str = "", **more: Any) -> Callable[[Run], Run]:
    return path(group, "write", name, **more)
