"""Connections to SQLite that have been opened past the guard, as their audit event
tells: what runs on them would not be seen."""

from __future__ import annotations

from collections.abc import Mapping

from ringfence.interpreters.hook import Judge
from ringfence.interpreters.sink import Here, Sink

_SINK = Sink("sql", "sqlite3")
_FOREIGN = (
    "a connection whose statements could not be judged: open it with"
    " sqlite3.connect(), and let a factory or cursor of your own be a class"
)


def _judge_connection(event: str, args: tuple[object, ...], whom: Here) -> None:
    _ = event
    if args and not hasattr(args[0], "ringfence_asks"):
        whom.refuse(_SINK, _FOREIGN)


JUDGES: Mapping[str, Judge] = {"sqlite3.connect/handle": _judge_connection}
