"""Connections to SQLite that have been opened past the guard, as their audit event
tells: what runs on them would not be seen."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from ringfence.errors import SettingsError
from ringfence.interpreters.hook import Judge, Witness
from ringfence.interpreters.sink import Here, Sink

_SINK = Sink("sql", "sqlite3")
_WHY = (
    "a connection whose statements could not be judged: open it with"
    " sqlite3.connect(), and let a factory or cursor of your own be a class"
)


class Foreign:
    """Connections that take no guard; there is one of this, ``FOREIGN``."""

    def __init__(self) -> None:
        # One may have been opened before anybody could notice.
        self._suspected = True

    def judge(self, event: str, args: tuple[object, ...], whom: Here) -> None:
        """Refuse to open one for a request."""
        self.notice(event, args)
        if _is_foreign(args):
            whom.refuse(_SINK, _WHY)

    def notice(self, event: str, args: tuple[object, ...]) -> None:
        """Remember that one was opened while nobody was being answered."""
        _ = event
        self._suspected = self._suspected or _is_foreign(args)

    def refuse_open(self) -> None:
        """Stop the start-up where one is open.

        Raises:
            SettingsError: it was opened before ``ringfence`` was imported.
        """
        library = sys.modules.get("sqlite3")
        if library is None or not self._suspected:
            return
        if any(map(_is_open, _foreign_of(library.Connection))):
            message = (
                "a connection to SQLite was opened before ringfence was imported, so "
                "that nothing could judge its statements; import ringfence first, or "
                "open the connection later, in the lifespan say"
            )
            raise SettingsError(message)
        self._suspected = False


def _is_foreign(args: tuple[object, ...]) -> bool:
    return bool(args) and not hasattr(args[0], "ringfence_asks")


def _foreign_of(kind: type) -> Iterator[object]:
    """Yield the instances that take no guard: they refer to their class. To ask each
    object of the process for its own would take the longer part of a start-up."""
    for found in gc.get_referrers(*_with_subclasses(kind)):
        if issubclass(type(found), kind) and _is_foreign((found,)):
            yield found


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


FOREIGN = Foreign()
_OPENED = "sqlite3.connect/handle"
JUDGES: Mapping[str, Judge] = {_OPENED: FOREIGN.judge}
WITNESSES: Mapping[str, Witness] = {_OPENED: FOREIGN.notice}
