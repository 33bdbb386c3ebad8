"""psycopg 3: every cursor, synchronous or not, asks before it sends a statement.

Identifiers and literals that are composed with ``psycopg.sql``, or stand in a t-string,
are quoted by psycopg; only what is said to be SQL (``sql.SQL``, the fixed text of a
t-string) is judged. ``sql.SQL`` wants a constant, but checks that by a type hint alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import sql
from psycopg.client_cursor import ClientCursorMixin

from ringfence.interpreters.sink import Sink
from ringfence.interpreters.sql.drivers.escapes import check_escapes
from ringfence.interpreters.sql.drivers.merging import check_merging
from ringfence.interpreters.sql.drivers.methods import ask_before
from ringfence.interpreters.sql.judge import check

SINK = Sink("sql", "psycopg")

_SENDING = {"execute": "query", "executemany": "query", "stream": "query"}
_COPYING = {"copy": "statement"}  # psycopg writes the parameters into the text here
_DECLARING = {"execute": "query"}
# What psycopg quotes, by its type or by its format in a t-string, and what stands for
# it in the text that is judged.
_IDENTIFIER, _LITERAL, _BOUND = '"identifier"', "'literal'", "%s"
_QUOTED = {sql.Identifier: _IDENTIFIER, sql.Literal: _LITERAL}
_FORMATTED = {"i": _IDENTIFIER, "l": _LITERAL}


def arm() -> None:
    """Ask before cursors send. Connections and pools send through cursors; client-side
    binding, raw and an application's own cursors inherit from these.

    Not covered: ``connection.pgconn``, which is libpq itself.
    """
    clients: tuple[type, ...] = (psycopg.Cursor, psycopg.AsyncCursor)
    servers: tuple[type, ...] = (psycopg.ServerCursor, psycopg.AsyncServerCursor)
    for cursor in clients:
        ask_before(cursor, _SENDING, _ask)
        ask_before(cursor, _COPYING, _ask_merging)
    for cursor in servers:
        ask_before(cursor, _DECLARING, _ask)


def _ask(cursor: Any, query: Any, parameters: object) -> None:
    text, bound = _text(cursor, query, parameters)
    _check(cursor, text, bound)
    if isinstance(cursor, ClientCursorMixin):
        check_merging(text, bound, dialect="postgres", sink=SINK)


def _ask_merging(cursor: Any, query: Any, parameters: object) -> None:
    text, bound = _text(cursor, query, parameters)
    _check(cursor, text, bound)
    check_merging(text, bound, dialect="postgres", sink=SINK)


def _check(cursor: Any, text: str, bound: object) -> None:
    check(text, dialect="postgres", sink=SINK, parameters=bound)
    if "\\" in text:
        status = cursor.connection.pgconn.parameter_status
        is_standard = status(b"standard_conforming_strings") != b"off"
        check_escapes(text, is_standard=is_standard, sink=SINK)


def _text(cursor: Any, query: Any, parameters: object) -> tuple[str, object]:
    """Return what is written as SQL, and what is bound to it."""
    if isinstance(query, str):
        return query, parameters
    if isinstance(query, sql.Composable):
        return "".join(_parts(query, cursor)), parameters
    if hasattr(query, "interpolations"):
        values = tuple(item.value for item in query.interpolations)
        return "".join(_parts_of_template(query, cursor)), values
    encoding = cursor.connection.info.encoding
    return bytes(query).decode(encoding, "surrogateescape"), parameters


def _parts(query: sql.Composable, cursor: Any) -> Iterator[str]:
    """Yield what is written as SQL in a composed statement, and a neutral word for
    each thing that psycopg quotes."""
    if type(query) is sql.Composed:
        for part in query:
            yield from _parts(part, cursor)
    else:
        # What an application derives from these may quote or not: as it comes out.
        yield _QUOTED.get(type(query)) or query.as_string(cursor)


def _parts_of_template(template: Any, cursor: Any) -> Iterator[str]:
    """Yield the same of a t-string (PEP 750)."""
    for item in template:
        if isinstance(item, str):
            yield item
        elif isinstance(item.value, sql.Composable):
            yield from _parts(item.value, cursor)
        elif hasattr(item.value, "interpolations"):
            yield from _parts_of_template(item.value, cursor)
        else:
            yield _FORMATTED.get(item.format_spec, _BOUND)
