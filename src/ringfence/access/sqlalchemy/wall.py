"""The wall before the driver: each statement, of whatever origin, is judged.

The filter stands in what the ORM loads. Core statements, text, ``exec_driver_sql``,
connections and other sessions on the same engine pass it by, and all of them pass here.
A text that was seen before costs a look into a dictionary; then the values that are
bound are compared with the principal's.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    Select,
    bindparam,
    event,
    literal_column,
    select,
)
from sqlalchemy.types import NullType

from ringfence.access.ownership.acting import acting
from ringfence.access.ownership.conditions import Subject
from ringfence.access.ownership.escape import Unscoped
from ringfence.access.ownership.refusals import NOT_FOUND, UNFILTERED, refuse
from ringfence.access.sqlalchemy.enforcement import Enforcement, Prepared
from ringfence.access.sqlalchemy.flush import OWN
from ringfence.access.sqlalchemy.session import SESSION, OwnedSession
from ringfence.access.sqlalchemy.values import kind_of, typed
from ringfence.access.statements.check import StatementCheck
from ringfence.access.statements.verdicts import Bound, Demand, Either, Known
from ringfence.errors import DeclarationError
from ringfence.principal import Principal

_DIALECTS = {
    "sqlite": "sqlite",
    "postgresql": "postgres",
    "mysql": "mysql",
    "mariadb": "mysql",
}


class Wall:
    """Judges the statements of one engine.

    Args:
        engine: whose statements they are.
        enforcement: of the database.

    Raises:
        DeclarationError: nobody here reads the engine's SQL.
    """

    def __init__(self, engine: Engine, enforcement: Enforcement) -> None:
        dialect = _DIALECTS.get(engine.dialect.name)
        if dialect is None:
            message = (
                f"statements for {engine.dialect.name} cannot be read; there are "
                f"{', '.join(_DIALECTS)}"
            )
            raise DeclarationError(message)
        self._enforcement = enforcement
        self._check = StatementCheck(enforcement.rules, dialect)
        event.listen(engine, "before_cursor_execute", self._before, retval=True)

    def _before(  # noqa: PLR0913, PLR0917 - SQLAlchemy's signature
        self,
        connection: Connection,
        cursor: Any,
        statement: str,
        parameters: Any,
        context: Any,
        executemany: bool,  # noqa: FBT001 - SQLAlchemy's signature
    ) -> tuple[str, Any]:
        actor = acting()
        if isinstance(actor, Unscoped):
            self._enforcement.tell(actor)
            return statement, parameters
        session = connection._execution_options.get(SESSION)  # noqa: SLF001 - the public way copies nothing, but costs a call
        if session is not None and session.principal is actor:
            prepared = session.prepared
        else:
            session, prepared = None, self._enforcement.prepared(actor)
        verdict = self._check.verdict(statement, prepared.view)
        if not verdict.objection and not verdict.demands:
            return statement, parameters
        if context is not None and context.execution_options.get(OWN) is OWN:
            return statement, parameters
        if verdict.objection:
            refuse(UNFILTERED, f"{verdict.objection}: {statement}")
        ask = _Asking(self._enforcement, connection, session, prepared, actor)
        for row in parameters if executemany else (parameters,):
            if not all(ask.is_met(demand, row) for demand in verdict.demands):
                whose = _named(actor)
                refuse(NOT_FOUND, f"what is bound is not {whose}: {statement}")
        return statement, parameters


class _Asking:
    """Compares the values of one execution with what is the principal's."""

    __slots__ = ("_connection", "_enforcement", "_prepared", "_principal", "_session")

    def __init__(
        self,
        enforcement: Enforcement,
        connection: Connection,
        session: OwnedSession | None,
        prepared: Prepared,
        principal: Principal | None,
    ) -> None:
        self._enforcement = enforcement
        self._connection = connection
        self._session = session
        self._prepared = prepared
        self._principal = principal

    def is_met(self, demand: Demand, row: Any) -> bool:
        match demand:
            case Bound(key, Subject() as subject):
                mine = self._enforcement.spellings(self._principal, subject)
                return _within(row[key], mine)
            case Bound(key, value):
                return bool(row[key] == value)
            case Known(keys, table, write):
                values = tuple(row[key] for key in keys)
                return self._is_known(table, values, write=write)
            case Either(groups):
                return any(
                    all(self.is_met(one, row) for one in group) for group in groups
                )
        return False

    def _is_known(self, table: str, values: tuple[object, ...], *, write: bool) -> bool:
        rule, there = self._enforcement.by_table[table], self._enforcement.tables[table]
        session = self._session
        if session is not None:
            known = {
                name: typed(str(value), kind_of(there.c[name]))
                for name, value in zip(rule.key, values, strict=True)
            }
            if session.knows(table, known, write=write):
                return True
        view = self._prepared.view
        condition = (view.write if write else view.read)[table]
        expression = self._enforcement.expressions.of(condition, there)
        asked: Select[Any] = select(literal_column("1")).select_from(there)
        for name, value in zip(rule.key, values, strict=True):
            # As the driver was given it: the column's type would prepare it again.
            bound = bindparam(f"key_{name}", value, type_=NullType())
            asked = asked.where(there.c[name] == bound)
        answer = self._connection.execute(
            asked.where(expression), execution_options={OWN: OWN}
        )
        return answer.first() is not None


def _within(value: object, mine: frozenset[object]) -> bool:
    try:
        return value in mine
    except TypeError:  # what cannot be hashed is no id
        return False


def _named(principal: Principal | None) -> str:
    return "anybody's" if principal is None else f"those of {principal.id}"
