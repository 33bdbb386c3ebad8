"""Connections to SQLite that have been opened past the guard, as their audit event
tells: what runs on them would not be seen."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from ringfence.errors import SettingsError
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


def refuse_unguarded() -> None:
    """Stop the start-up where a connection to SQLite is open that takes no guard.

    Raises:
        SettingsError: one was opened before ``ringfence`` was imported.
    """
    library = sys.modules.get("sqlite3")
    if library is None:
        return
    kind = library.Connection
    # Instances refer to their class. To ask each object of the process for its own
    # would take the longer part of a start-up.
    if any(
        issubclass(type(found), kind)
        and not hasattr(found, "ringfence_asks")
        and _is_open(found)
        for found in gc.get_referrers(*_with_subclasses(kind))
    ):
        message = (
            "a connection to SQLite was opened before ringfence was imported, so that "
            "nothing could judge its statements; import ringfence first, or open the "
            "connection later, in the lifespan say"
        )
        raise SettingsError(message)


def _with_subclasses(kind: type) -> Iterator[type]:
    yield kind
    subclasses: list[type] = type.__subclasses__(kind)
    for each in subclasses:
        yield from _with_subclasses(each)


def _is_open(connection: Any) -> bool:
    """Return whether a connection can still run something."""
    try:
        connection.total_changes  # noqa: B018 - raises where it is closed
    except Exception:  # noqa: BLE001 - of whatever class its library has
        return False
    return True


JUDGES: Mapping[str, Judge] = {"sqlite3.connect/handle": _judge_connection}
