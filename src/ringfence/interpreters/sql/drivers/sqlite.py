"""sqlite3: connections are made of a class whose cursors ask first.

The C type itself takes no patch, and a trace callback cannot object. ``connect`` is
replaced where it is looked up; a connection that came another way shows itself by its
audit event, and is refused while a request is answered.
"""

from __future__ import annotations

import functools
import sqlite3
import sqlite3.dbapi2
import sys
from collections.abc import Iterable
from contextvars import ContextVar
from types import ModuleType
from typing import Any

from ringfence.interpreters.sink import Sink
from ringfence.interpreters.sql.judge import check

SINK = Sink("sql", "sqlite3")
asks_elsewhere: ContextVar[bool] = ContextVar("ringfence_asks_elsewhere", default=False)
"""Set while a connection is made whose statements are judged before they get here."""


class GuardedCursor(sqlite3.Cursor):
    """A cursor that asks before it runs anything."""

    def execute(self, sql: str, parameters: Any = (), /) -> GuardedCursor:
        """Run a statement, if it may run."""
        if _asks(self):
            check(sql, dialect="sqlite", sink=SINK, parameters=parameters)
        return super().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> GuardedCursor:
        """Run a statement for each of several values, if it may run."""
        if _asks(self):
            check(sql, dialect="sqlite", sink=SINK, parameters=parameters)
        return super().executemany(sql, parameters)

    def executescript(self, script: str, /) -> GuardedCursor:
        """Run several statements, if they are the application's own."""
        if _asks(self):
            check(script, dialect="sqlite", sink=SINK, script=True)
        super().executescript(script)
        return self


def _asks(cursor: GuardedCursor) -> bool:
    return getattr(cursor.connection, "ringfence_asks", True)


class GuardedConnection(sqlite3.Connection):
    """A connection whose cursors ask."""

    ringfence_asks = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if asks_elsewhere.get():
            self.ringfence_asks = False
        super().__init__(*args, **kwargs)

    def cursor(self, factory: Any = sqlite3.Cursor) -> Any:
        """Return a cursor of the kind that is wanted, guarded."""
        kind = guarded_cursor(factory) if isinstance(factory, type) else factory
        made = super().cursor(kind)
        if not isinstance(made, GuardedCursor):
            raise TypeError(
                f"{factory!r} makes cursors whose statements cannot be judged;"
                " let it be a class derived from sqlite3.Cursor"
            )
        return made

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Run a statement, if it may run, with a cursor of its own."""
        cursor: sqlite3.Cursor = self.cursor()
        return cursor.execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        """Run a statement for each of several values, if it may run."""
        cursor: sqlite3.Cursor = self.cursor()
        return cursor.executemany(sql, parameters)

    def executescript(self, script: str, /) -> sqlite3.Cursor:
        """Run several statements, if they are the application's own."""
        cursor: sqlite3.Cursor = self.cursor()
        return cursor.executescript(script)


@functools.lru_cache(maxsize=64)
def guarded_cursor(kind: type) -> type:
    """Return a class of cursors like ``kind`` that ask."""
    if issubclass(kind, GuardedCursor):
        return kind
    if kind is sqlite3.Cursor:
        return GuardedCursor
    # The application's own methods come first, and reach ours through super().
    return type(kind.__name__, (kind, GuardedCursor), {"__module__": kind.__module__})


@functools.lru_cache(maxsize=64)
def guarded_connection(kind: type) -> type:
    """Return a class of connections like ``kind`` whose cursors ask."""
    if issubclass(kind, GuardedConnection):
        return kind
    if kind is sqlite3.Connection:
        return GuardedConnection
    return type(
        kind.__name__, (kind, GuardedConnection), {"__module__": kind.__module__}
    )


_plain_connect = sqlite3.dbapi2.connect


@functools.wraps(_plain_connect)
def connect(*args: Any, **kwargs: Any) -> sqlite3.Connection:
    """Open a database; what runs on it is judged."""
    position = 5  # of ``factory``, where it is not named
    if len(args) > position:
        args, kwargs = _named(args, position, kwargs)
    factory = kwargs.get("factory", sqlite3.Connection)
    if isinstance(factory, type):
        kwargs["factory"] = guarded_connection(factory)
    opened: sqlite3.Connection = _plain_connect(*args, **kwargs)
    return opened


_POSITIONS = (
    "database",
    "timeout",
    "detect_types",
    "isolation_level",
    "check_same_thread",
    "factory",
    "cached_statements",
    "uri",
)


def _named(
    args: tuple[Any, ...], position: int, kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    late = zip(_POSITIONS[position:], args[position:], strict=False)
    return args[:position], {**kwargs, **dict(late)}


def arm() -> None:
    """Put the guarded ``connect`` in place of the plain one, wherever it is known by
    that name already.

    Not covered: connections opened before (a guard does not start with one),
    ``sqlite3.Cursor(connection)`` called by hand, other builds of SQLite
    (``pysqlite3``, ``apsw``).
    """
    for module in tuple(sys.modules.values()):
        if isinstance(module, ModuleType) and module.__name__ != __name__:
            for name, value in tuple(vars(module).items()):
                if value is _plain_connect:
                    setattr(module, name, connect)
