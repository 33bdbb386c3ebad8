"""The wall before the driver: each statement, of whatever origin, is judged.

The filter stands in what the ORM loads. Core statements, text, ``exec_driver_sql``,
connections and other sessions on the same engine pass it by, and all of them pass here.
A text that was seen before costs a look into a dictionary; then the values that are
bound are compared with the principal's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    Engine,
    Select,
    bindparam,
    event,
    literal_column,
    select,
)
from sqlalchemy.engine.interfaces import ExecutionContext
from sqlalchemy.types import NullType

from ringfence.access.ownership.acting import acting
from ringfence.access.ownership.conditions import Subject
from ringfence.access.ownership.escape import Unscoped
from ringfence.access.ownership.refusals import NOT_FOUND, UNFILTERED, refuse
from ringfence.access.sqlalchemy.enforcement import Demanded, Enforcement, Standing
from ringfence.access.sqlalchemy.flush import OWN
from ringfence.access.sqlalchemy.session import SESSION, OwnedSession
from ringfence.access.sqlalchemy.values import kind_of, typed
from ringfence.access.statements.check import StatementCheck
from ringfence.access.statements.verdicts import Bound, Demand, Either, Known
from ringfence.errors import DeclarationError

_DIALECTS = {
    "sqlite": "sqlite",
    "postgresql": "postgres",
    "mysql": "mysql",
    "mariadb": "mysql",
}

_MOST_KEPT = 4096  # texts, for each kind of principal
_LONGEST_KEPT = 16384  # characters


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
        self._stand_before(engine.dialect)

    def _stand_before(self, dialect: Any) -> None:
        """Judge right before the driver, after whatever else has changed the text.

        Listeners stand first among listeners, as one of the application's may carry a
        statement out itself. While there is no other they need not be asked: looking
        for them takes longer than the judgement.
        """
        is_listened_to = dialect._has_events  # noqa: SLF001 - there is no public way
        for name, judge in (
            ("do_execute", self.judge),
            ("do_executemany", self._many),
            ("do_execute_no_params", self._bare),
        ):
            event.listen(dialect, name, judge, insert=True)
            setattr(dialect, name, _judged_first(judge, getattr(dialect, name)))
        dialect._has_events = is_listened_to  # noqa: SLF001 - as above

    def judge(self, cursor: Any, statement: str, parameters: Any, context: Any) -> None:
        """Judge one statement: what SQLAlchemy calls right before the driver.

        Args:
            cursor: not used.
            statement: as it is sent.
            parameters: likewise.
            context: of the execution.

        Raises:
            OwnershipRefusedError: it asks for what is not the principal's.
        """
        actor = acting()
        session = context.root_connection._execution_options.get(SESSION)  # noqa: SLF001 - the public way copies them
        if session is not None and session.principal is actor:
            standing = session.standing
        elif isinstance(actor, Unscoped):
            self._enforcement.tell(actor)
            return
        else:
            session, standing = None, self._enforcement.standing(actor)
        known = standing.prepared.demanded.get(statement)
        if known is None:
            known = self._judged(statement, standing)
        mine = standing.reading if known.reads else standing.writing
        for key, number in known.ids:
            if not _within(parameters, key, mine[number]):
                self._refuse(statement, context, standing)
        if known.is_simple:
            return
        self._rest(known, session, standing, (statement, parameters, context))

    def _judged(self, statement: str, standing: Standing) -> Demanded:
        verdict = self._check.verdict(statement, standing.view)
        ids = tuple(
            (demand.key, demand.number)
            for demand in verdict.demands
            if isinstance(demand, Bound) and demand.value is Subject.ID
        )
        rest = tuple(
            demand
            for demand in verdict.demands
            if not (isinstance(demand, Bound) and demand.value is Subject.ID)
        )
        found = Demanded(statement, verdict.objection, ids, rest)
        kept = standing.prepared.demanded
        if len(kept) >= _MOST_KEPT:
            kept.clear()
        if len(statement) < _LONGEST_KEPT:
            kept[statement] = found
        return found

    def _rest(
        self,
        known: Demanded,
        session: OwnedSession | None,
        standing: Standing,
        asked: tuple[str, Any, Any],
    ) -> None:
        statement, parameters, context = asked
        if context.execution_options.get(OWN) is OWN:
            return
        if known.objection:
            refuse(UNFILTERED, f"{known.objection.removesuffix('.')}: {statement}")
        asking = _Asking(self._enforcement, context, session, standing)
        if not all(asking.is_met(demand, parameters) for demand in known.rest):
            self._refuse(statement, context, standing)

    def _many(self, cursor: Any, statement: str, parameters: Any, context: Any) -> None:
        for row in parameters:
            self.judge(cursor, statement, row, context)

    def _bare(self, cursor: Any, statement: str, context: Any) -> None:
        self.judge(cursor, statement, (), context)

    def _refuse(self, statement: str, context: Any, standing: Standing) -> None:
        if context.execution_options.get(OWN) is not OWN:
            mine = standing.principal
            whose = "anybody's" if mine is None else f"those of {mine.id}"
            refuse(NOT_FOUND, f"what is bound is not {whose}: {statement}")


def _judged_first(judge: Callable[..., None], execute: Callable[..., None]) -> Any:
    def judged(cursor: Any, statement: str, *rest: Any) -> None:
        if rest and isinstance(rest[-1], ExecutionContext):
            judge(cursor, statement, *rest)
        elif not isinstance(acting(), Unscoped):
            refuse(UNFILTERED, f"nobody can tell for whom this is: {statement}")
        execute(cursor, statement, *rest)

    return judged


class _Asking:
    """Compares the values of one execution with what is the principal's."""

    __slots__ = ("_context", "_enforcement", "_session", "_standing")

    def __init__(
        self,
        enforcement: Enforcement,
        context: Any,
        session: OwnedSession | None,
        standing: Standing,
    ) -> None:
        self._enforcement = enforcement
        self._context = context
        self._session = session
        self._standing = standing

    def is_met(self, demand: Demand, row: Any) -> bool:
        match demand:
            case Bound(key, Subject() as subject, number):
                mine = self._standing.spelled(subject, number=number)
                return _within(row, key, mine)
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
        view = self._standing.view
        condition = (view.write if write else view.read)[table]
        expression = self._enforcement.expressions.of(condition, there)
        asked: Select[Any] = select(literal_column("1")).select_from(there)
        for name, value in zip(rule.key, values, strict=True):
            # As the driver was given it: the column's type would prepare it again.
            bound = bindparam(f"key_{name}", value, type_=NullType())
            asked = asked.where(there.c[name] == bound)
        answer = self._context.root_connection.execute(
            asked.where(expression), execution_options={OWN: OWN}
        )
        return answer.first() is not None


def _within(parameters: Any, key: Any, mine: frozenset[object]) -> bool:
    try:
        return parameters[key] in mine
    except (TypeError, LookupError):  # what is not there, or cannot be hashed, is no id
        return False
