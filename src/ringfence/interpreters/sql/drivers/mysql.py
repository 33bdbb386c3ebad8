"""PyMySQL, aiomysql and asyncmy: cursors ask before they send a statement.

They write parameters into the text themselves: the template is judged, before that.
Behind the cursors, connections judge whatever reaches them by another way.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from ringfence.interpreters.sink import Sink
from ringfence.interpreters.sql.drivers.merging import check_merging
from ringfence.interpreters.sql.drivers.methods import (
    Question,
    ask_before,
    is_vouched,
    vouch_for,
)
from ringfence.interpreters.sql.judge import check

_ON_CURSORS = {"execute": "query", "executemany": "query", "callproc": "procname"}


def arm() -> None:
    """Ask in those of the three libraries that are imported.

    Not covered: ``connection._execute_command``, which is the wire itself. None of
    this has been run against a real server: what is judged is known from the methods.
    """
    for library, open_library in _LIBRARIES.items():
        if library in sys.modules:
            open_library()


def open_pymysql() -> None:
    """Ask in PyMySQL, which has been imported."""
    connection = import_module("pymysql.connections").Connection
    _arm_cursor(import_module("pymysql.cursors").Cursor, "pymysql")
    _arm_connection(connection, "pymysql", {"query": "sql"}, "connect")


def open_aiomysql() -> None:
    """Ask in aiomysql, which has been imported."""
    connection = import_module("aiomysql.connection").Connection
    _arm_cursor(import_module("aiomysql.cursors").Cursor, "aiomysql")
    _arm_connection(connection, "aiomysql", {"query": "sql"}, "_connect")


def open_asyncmy() -> None:
    """Ask in asyncmy, which has been imported."""
    connection = import_module("asyncmy.connection").Connection
    statements = {"query": "sql", "prepare": "query"}
    _arm_connection(connection, "asyncmy", statements, "connect")
    if not hasattr(connection.cursor, "ringfence_asks"):
        connection.cursor = _with_asking_cursors(connection.cursor)


_LIBRARIES: Mapping[str, Callable[[], None]] = {
    "pymysql": open_pymysql,
    "aiomysql": open_aiomysql,
    "asyncmy": open_asyncmy,
}


def _arm_cursor(cursor: type, library: str) -> None:
    """What a cursor makes of a template, its connection need not judge again."""
    ask_before(
        cursor,
        _ON_CURSORS,
        _question(Sink("sql", library), _connection_of),
        connection_of=_connection_of,
    )


def _arm_connection(
    connection: type, library: str, statements: Mapping[str, str], connect: str
) -> None:
    ask_before(connection, statements, _question(Sink("sql", library), _itself))
    vouch_for(connection, (connect,), _itself)  # sends the settings of the session


def _connection_of(cursor: Any) -> object:
    return cursor.connection


def _itself(connection: Any) -> object:
    return connection


def _question(sink: Sink, connection_of: Callable[[Any], object]) -> Question:
    def ask(who: Any, statement: Any, parameters: object) -> None:
        if is_vouched(connection_of(who)):
            return
        if not isinstance(statement, str):
            statement = bytes(statement).decode("utf-8", "surrogateescape")
        check(statement, dialect="mysql", sink=sink, parameters=parameters)
        check_merging(statement, parameters, dialect="mysql", sink=sink)

    return ask


def _with_asking_cursors(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that makes cursors of a class which asks, of whatever class they
    are meant to be."""

    @functools.wraps(original)
    def cursor(self: Any, cursor: type | None = None) -> Any:
        kind = cursor or type(original(self))
        return original(self, _asking_kind(kind))

    cursor.ringfence_asks = original  # type: ignore[attr-defined]  # a mark
    return cursor


@functools.lru_cache(maxsize=64)
def _asking_kind(kind: type) -> type:
    """Return a cursor class that asks, once for each that an application uses."""

    async def execute(self: Any, query: Any, args: Any = None) -> Any:
        return await kind.execute(self, query, args)  # type: ignore[attr-defined]  # a class made late

    async def executemany(self: Any, query: Any, args: Any) -> Any:
        return await kind.executemany(self, query, args)  # type: ignore[attr-defined]  # a class made late

    async def callproc(self: Any, procname: Any, args: Any = ()) -> Any:
        return await kind.callproc(self, procname, args)  # type: ignore[attr-defined]  # a class made late

    methods = {"execute": execute, "executemany": executemany, "callproc": callproc}
    asking = type(kind.__name__, (kind,), {**methods, "__module__": kind.__module__})
    _arm_cursor(asking, "asyncmy")
    return asking
