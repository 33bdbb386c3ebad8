"""asyncpg: connections ask before they send or prepare a statement.

Pools and their proxies call the methods of the connection's class.
"""

from __future__ import annotations

from typing import Any

from asyncpg import (  # type: ignore[import-untyped]  # asyncpg ships no types
    connection,
    transaction,
)

from ringfence.interpreters.sink import Sink
from ringfence.interpreters.sql.drivers.escapes import check_escapes
from ringfence.interpreters.sql.drivers.merging import NUMBERED, check_merging
from ringfence.interpreters.sql.drivers.methods import (
    ask_before,
    is_vouched,
    vouch_for,
)
from ringfence.interpreters.sql.judge import check

SINK = Sink("sql", "asyncpg")

_SENDING = {
    "execute": "query",
    "executemany": "command",
    "fetch": "query",
    "fetchrow": "query",
    "fetchval": "query",
    "fetchmany": "query",
    "prepare": "query",
    "cursor": "query",
}
# Conditions that are written behind a statement of asyncpg's own.
_COPYING_IN = {"copy_to_table": "where", "copy_records_to_table": "where"}
# Here asyncpg writes the parameters into the text itself.
_COPYING_OUT = {"copy_from_query": "query"}
# What asyncpg writes: BEGIN, SAVEPOINT, LISTEN with a quoted name, the reset of a
# connection that goes back to its pool.
_OWN = ("reset", "add_listener", "remove_listener")
_OF_TRANSACTIONS = ("start", "commit", "rollback", "__aenter__", "__aexit__")


def arm() -> None:
    """Ask before connections send.

    Not covered: ``connection._protocol``, which is the wire itself. Names of tables and
    columns that are handed to ``copy_...`` are quoted by asyncpg and not judged.
    """
    of_connections = connection.Connection
    ask_before(of_connections, {**_SENDING, **_COPYING_IN}, _ask)
    ask_before(of_connections, _COPYING_OUT, _ask_merging, connection_of=_itself)
    vouch_for(of_connections, _OWN, _itself)
    vouch_for(transaction.Transaction, _OF_TRANSACTIONS, _connection_of)


def _ask(connection: Any, query: Any, parameters: object) -> None:
    if is_vouched(connection):
        return
    check(query, dialect="postgres", sink=SINK, parameters=parameters)
    if "\\" in query:
        settings = connection.get_settings()
        is_standard = settings.standard_conforming_strings != "off"
        check_escapes(query, is_standard=is_standard, sink=SINK)


def _ask_merging(connection: Any, query: Any, parameters: object) -> None:
    _ask(connection, query, parameters)
    check_merging(
        query, parameters, dialect="postgres", sink=SINK, placeholder=NUMBERED
    )


def _itself(connection: Any) -> object:
    return connection


def _connection_of(transaction: Any) -> object:
    return transaction._connection  # noqa: SLF001 - it has no other name
