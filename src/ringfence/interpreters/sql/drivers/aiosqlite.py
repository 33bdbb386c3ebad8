"""aiosqlite: asks where a coroutine calls, since its worker knows of no request."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import aiosqlite

from ringfence.interpreters.sink import Sink
from ringfence.interpreters.sql.drivers.methods import ask_before, replace, unknown
from ringfence.interpreters.sql.drivers.sqlite import asks_elsewhere
from ringfence.interpreters.sql.judge import check

SINK = Sink("sql", "aiosqlite")
_ONE = {"execute": "sql", "executemany": "sql"}
_READING = {"execute_insert": "sql", "execute_fetchall": "sql"}
_SCRIPT = {"executescript": "sql_script"}


def arm() -> None:
    """Ask in every method that takes a statement.

    Raises:
        SettingsError: aiosqlite is not shaped as expected.
    """
    ask_before(aiosqlite.Connection, _ONE | _READING, _ask)
    ask_before(aiosqlite.Cursor, _ONE, _ask)
    for kind in (aiosqlite.Connection, aiosqlite.Cursor):
        ask_before(kind, _SCRIPT, _ask_script)
    _make_connections_silent()


def _ask(_: Any, statement: Any, parameters: object) -> None:
    check(statement, dialect="sqlite", sink=SINK, parameters=parameters)


def _ask_script(_: Any, script: Any, __: object) -> None:
    check(script, dialect="sqlite", sink=SINK, script=True)


def _make_connections_silent() -> None:
    """Let connections that aiosqlite opens for itself not ask again, in a thread that
    knows less."""
    original = vars(aiosqlite.Connection).get("__init__")
    if original is None:
        raise unknown(aiosqlite.Connection, "__init__")
    if hasattr(original, "ringfence_original"):
        return

    @functools.wraps(original)
    def made(
        self: Any, connector: Callable[[], Any], *args: Any, **kwargs: Any
    ) -> None:
        def connect() -> Any:
            token = asks_elsewhere.set(True)
            try:
                return connector()
            finally:
                asks_elsewhere.reset(token)

        original(self, connect, *args, **kwargs)

    replace(aiosqlite.Connection, "__init__", made)
