"""SQLAlchemy: what its expression language has compiled is vouched for.

It binds values and quotes names. What an application writes into it as text
(``text()``, ``literal_column()``, operators, hints, names of functions) is static only
where it is a constant of the application; else the whole statement is judged.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import DDL, Engine, TextClause, event
from sqlalchemy.engine import Connection, ExecutionContext
from sqlalchemy.sql import dml, elements, functions, operators, selectable, visitors

from ringfence.interpreters.sink import Sink, here
from ringfence.interpreters.sql.constants import KNOWN
from ringfence.interpreters.sql.judge import check, is_static, tell_bound, vouch
from ringfence.interpreters.sql.shapes import shape_of

SINK = Sink("sql", "sqlalchemy")
_DIALECTS = {
    "sqlite": "sqlite",
    "postgresql": "postgres",
    "mysql": "mysql",
    "mariadb": "mysql",
}
_RENDERED_BY_HAND = "_compiler_dispatcher"  # set by sqlalchemy.ext.compiler
_LIBRARY = "sqlalchemy."
_RUNNING_TEXT = "exec_driver_sql"
_MOST_FRAMES = 12


def arm() -> None:
    """Ask before any engine, synchronous or not, sends a statement."""
    if not event.contains(Engine, "before_cursor_execute", before_cursor_execute):
        event.listen(Engine, "before_cursor_execute", before_cursor_execute)


def before_cursor_execute(  # noqa: PLR0913, PLR0917 - SQLAlchemy's signature
    connection: Connection,
    cursor: Any,
    statement: str,
    parameters: Any,
    context: ExecutionContext | None,
    executemany: bool,  # noqa: FBT001 - SQLAlchemy's signature
) -> None:
    """Judge a statement, and let the driver under it know that this was done."""
    _ = cursor, executemany
    compiled = getattr(context, "compiled", None)
    vouch(None)
    if here() is None:
        return
    dialect = _DIALECTS.get(connection.dialect.name, "postgres")
    if compiled is None:
        passes = _is_of_library()
    else:
        passes = _is_compiled_statically(compiled) and _is_as_compiled(
            statement, context, dialect
        )
    if passes:
        tell_bound(SINK, parameters)
    else:
        check(statement, dialect=dialect, sink=SINK, parameters=parameters)
    vouch(statement)


_static: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


def _is_compiled_statically(compiled: Any) -> bool:
    """Return whether all text in a compiled statement is the application's own.

    SQLAlchemy keeps what it has compiled, and texts are part of what it knows it by,
    so that the answer is kept beside it.
    """
    known = _static.get(compiled)
    if known is None:
        known = all(is_known(text) for text in _texts_in(compiled.statement))
        _static[compiled] = known
    return known


def _is_as_compiled(statement: str, context: Any, dialect: str) -> bool:
    """Return whether no other listener has changed the text. Rows that SQLAlchemy puts
    into one INSERT differ in their number."""
    made: str = context.statement
    return statement is made or shape_of(statement, dialect) == shape_of(made, dialect)


def is_known(text: str | None) -> bool:
    """Return whether a fragment is a constant of the code; ``None`` is none."""
    return text is not None and (
        text in KNOWN.texts
        or is_static(text)
        or KNOWN.says(text, inspect.currentframe())
    )


def _texts_in(statement: Any) -> Iterator[str | None]:
    """Yield the fragments that are rendered as they are."""
    if isinstance(statement, DDL):
        yield str(statement.statement)
    elif isinstance(statement, elements.ClauseElement):
        for element in visitors.iterate(statement):
            yield from _texts_of(element)


def _texts_of(element: Any) -> Iterator[str | None]:
    if hasattr(type(element), _RENDERED_BY_HAND):
        yield None
    elif isinstance(element, TextClause):
        yield element.text
    elif _is_written_as_it_is(element):
        yield str(element.name)
    for name in ("operator", "modifier"):
        operator = getattr(element, name, None)
        if isinstance(operator, operators.custom_op):
            yield str(operator.opstring)
    if isinstance(element, (selectable.HasHints, dml.DMLWhereBase, dml.Insert)):
        yield from _hints_of(element)


def _is_written_as_it_is(element: Any) -> bool:
    """Return whether the name of an element gets no quotes."""
    if isinstance(element, functions.Function):
        return element.name not in KNOWN.names  # ``func.lower`` is a name in the code
    return isinstance(element, elements.ColumnClause) and element.is_literal


def _hints_of(element: Any) -> Iterator[str]:
    """Yield hints and prefixes, which no traversal shows."""
    for place in ("_hints", "_statement_hints", "_prefixes", "_suffixes"):
        held = getattr(element, place, ())
        for part in held.values() if isinstance(held, Mapping) else held:
            last = part if isinstance(part, str) else part[place == "_statement_hints"]
            yield str(getattr(last, "text", last))


def _is_of_library() -> bool:
    """Return whether text that is run as it is comes from SQLAlchemy itself, as when it
    reads the names of tables: it quotes them."""
    frame = inspect.currentframe()
    for _ in range(_MOST_FRAMES):
        if frame is None:
            return False
        caller = frame.f_back
        if frame.f_code.co_name == _RUNNING_TEXT and caller is not None:
            name = str(caller.f_globals.get("__name__", ""))
            return name.startswith((_LIBRARY + "dialects.", _LIBRARY + "engine."))
        frame = caller
    return False
