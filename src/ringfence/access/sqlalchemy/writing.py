"""The owner in the WHERE of what a session updates and deletes.

SQLAlchemy writes objects by their primary key alone, in a flush and in its bulk forms.
Between the load of a row and its write another transaction may give it away. So the
statement that writes asks itself whose the row is by then: what looks before it, or
after it, would look at another moment. That costs no statement, and the text is the
same each time and compiled once.

A parent that leads to the owner stands there as an EXISTS. Of a new row there is no
WHERE: what its parent was taken to be from memory is asked once, after the flush.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    CursorResult,
    Select,
    Table,
    and_,
    event,
    literal_column,
    or_,
    select,
)
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import BinaryExpression, BindParameter

from ringfence.access.ownership.acting import acting
from ringfence.access.ownership.conditions import (
    ALWAYS,
    All,
    Condition,
    Has,
    Linked,
    all_of,
    any_of,
)
from ringfence.access.ownership.conditions import Any as AnyOne
from ringfence.access.ownership.escape import Unscoped
from ringfence.access.ownership.refusals import NOT_FOUND, refuse
from ringfence.access.sqlalchemy.enforcement import within
from ringfence.access.sqlalchemy.flush import OWN, UNKNOWN, Moved
from ringfence.access.sqlalchemy.session import SESSION, OwnedSession

Row = Mapping[str, Any]
Run = Callable[[Any, Any, Any], CursorResult[Any]]

_CHANGES = frozenset({"update", "delete"})
_MOST_KEPT = 1024  # statements, for each kind of principal
_AT_ONCE = 400  # keys in one question


class WritingConnection(Connection):
    """A connection on which sessions write what is the principal's by then.

    Stops the write of a row that was given away after it was loaded. Source: CWE-367,
    CWE-639; ASVS 5.0 V15.4.2.
    """

    def _execute_clauseelement(
        self, elem: Any, distilled_parameters: Any, execution_options: Any
    ) -> CursorResult[Any]:
        run: Run = super()._execute_clauseelement
        if elem.__visit_name__ in _CHANGES:
            session = self._execution_options.get(SESSION)
            if session is not None:
                write = _planned(session, elem, distilled_parameters, execution_options)
                if write is not None:
                    return write.carried_out(self, run)
        return run(elem, distilled_parameters, execution_options)


def _planned(
    session: OwnedSession, statement: Any, rows: Sequence[Row], options: Any
) -> _Write | None:
    """Return what is to be written; ``None`` for what the ORM does not write by key."""
    enforcement = session.enforcement
    there = statement._annotations.get("_emit_update_table")  # noqa: SLF001 - of bulk forms
    name = (statement.table if there is None else there).fullname
    is_mapped = id(options.get("compiled_cache")) in enforcement.caches
    if not is_mapped and not _is_link(session, name, rows):
        return None
    prepared = session.prepared
    condition = prepared.view.write.get(name, ALWAYS)
    if condition == ALWAYS or isinstance(acting(), Unscoped):
        return None
    if session.flushing is None and not prepared.is_told(condition):
        return None  # nobody has looked at what is written: that is left to the wall
    table = enforcement.tables[name]
    return _Write(session, statement, rows, options, table, condition)


def _is_link(session: OwnedSession, name: str, rows: Sequence[Row]) -> bool:
    """Return whether a statement is of the flush, and writes links of two objects."""
    table = session.enforcement.links.get(name)
    if table is None or session.flushing is None or not rows:
        return False
    return all(key.removeprefix("old_") in table.c for key in rows[0])


@dataclass(slots=True)
class _Write:
    """One UPDATE or DELETE by primary key, of one row or of many.

    Args:
        session: that writes.
        statement: as SQLAlchemy has made it.
        rows: its parameters.
        options: of the execution.
        table: whose rows they are.
        condition: true of rows that may be written.
    """

    session: OwnedSession
    statement: Any
    rows: Sequence[Row]
    options: Any
    table: Table
    condition: Condition

    def carried_out(self, connection: Connection, run: Run) -> CursorResult[Any]:
        """Write, and refuse where not all of the rows were there."""
        result = run(self._narrowed(), self.rows, self.options)
        expected = len(self.rows) or 1
        dialect = connection.dialect
        if not (expected == 1 or dialect.supports_sane_multi_rowcount):
            if not self._is_all_written(connection):
                self._refuse()
        elif result.rowcount != expected and not self._is_explained(
            connection, expected - result.rowcount
        ):
            self._refuse()
        self.session.has_moved(self.table.fullname)
        return result

    def _narrowed(self) -> Any:
        """Return the statement with the owner in its WHERE."""
        prepared, moved = self.session.prepared, self.session.moved
        if moved:
            beside = _beside(self.condition, moved)
            if beside != self.condition:
                self._vouch()
                return self.statement.where(self._expression(beside))
        kept = prepared.narrowed
        found = kept.get(self.statement)
        if not prepared.is_told(self.condition):
            self._vouch()
        if found is None:
            condition = prepared.expression(self.table, self.condition)
            found = self.statement.where(condition)
            if self._is_kept_by_mapper():
                if len(kept) >= _MOST_KEPT:
                    kept.clear()
                kept[self.statement] = found
        return found

    def _vouch(self) -> None:
        """Have the wall let pass what it cannot read: each object has been looked at,
        and the text is not the application's."""
        self.options = {**self.options, OWN: OWN}

    def _is_kept_by_mapper(self) -> bool:
        """Return whether the same object comes again: mappers keep those that set
        nothing but parameters, and return nothing."""
        statement = self.statement
        return not (
            statement._annotations  # noqa: SLF001 - there is no public way
            or statement._return_defaults  # noqa: SLF001 - nor for this
            or getattr(statement, "_values", None)
            or "compiled_cache" not in self.options
        )

    def _expression(self, condition: Condition) -> ColumnElement[bool]:
        return self.session.enforcement.expressions.of(condition, self.table)

    # Where fewer rows were written than were to be

    def _is_explained(self, connection: Connection, missed: int) -> bool:
        """Return whether rows are the principal's all the same: another of their own
        transactions has changed a version, or a mapper says that rows may be gone."""
        if len(self._criteria) > 1:  # a bulk form with a filter of the application's
            return True
        mine = self._expression(self.condition)
        if self.statement.is_update:
            missed = len(self.rows) or 1
        elif not self._is_confirmed():
            return self._count(connection) == 0
        versions = self.session.enforcement.versions
        if versions.isdisjoint(column for column, _ in self._compared()):
            return False
        return self._count(connection, mine) == missed

    def _is_confirmed(self) -> bool:
        mapper = self.session.enforcement.by_key.get(self.table.fullname)
        return mapper is None or mapper.base_mapper.confirm_deleted_rows

    def _is_all_written(self, connection: Connection) -> bool:
        """Look for the rows, where the driver does not tell how many were written."""
        if len(self._criteria) > 1:
            return True
        if self.statement.is_delete:
            return self._count(connection) == 0
        after = self.session.prepared.view.leave[self.table.fullname]
        return self._count(connection, self._expression(after)) == len(self.rows)

    def _count(
        self, connection: Connection, condition: ColumnElement[bool] | None = None
    ) -> int:
        """Return how many of the rows are there."""
        versions = self.session.enforcement.versions
        pairs = [one for one in self._compared() if one[0] not in versions]
        keys = [
            tuple(row.get(column.key, row[name]) for column, name in pairs)
            if self.statement.is_update
            else tuple(row[name] for _, name in pairs)
            for row in self.rows
        ]
        columns = [column for column, _ in pairs]
        return count(connection, self.table, columns, keys, condition)

    @property
    def _criteria(self) -> tuple[Any, ...]:
        found: tuple[Any, ...] = self.statement._where_criteria  # noqa: SLF001 - ``whereclause`` makes one of several
        return found

    def _compared(self) -> list[tuple[Any, str]]:
        """Return the columns that the statement is by, each with its parameter."""
        return [
            (element.left, element.right.key)
            for criterion in self._criteria
            for element in visitors.iterate(criterion)
            if isinstance(element, BinaryExpression)
            and isinstance(element.right, BindParameter)
        ]

    def _refuse(self) -> None:
        rule = self.session.enforcement.by_table[self.table.fullname]
        refuse(
            NOT_FOUND,
            f"a row of {rule.model} was given away or removed after it was loaded; the "
            f"rule for writing says {rule.says[1]}",
        )


def count(
    connection: Connection,
    table: Table,
    columns: Sequence[Any],
    keys: Sequence[tuple[object, ...]],
    condition: ColumnElement[bool] | None = None,
) -> int:
    """Return how many rows are there, as the database has them now.

    Args:
        connection: of the running transaction.
        table: theirs.
        columns: of the key.
        keys: of the rows.
        condition: that they satisfy.
    """
    found = 0
    for begin in range(0, len(keys), _AT_ONCE):
        asked: Select[Any] = select(literal_column("1")).select_from(table)
        asked = asked.where(_any_key(columns, keys[begin : begin + _AT_ONCE]))
        if condition is not None:
            asked = asked.where(condition)
        if connection.dialect.name in {"mysql", "mariadb"}:
            # Else it would be told of the rows as they were when it began.
            asked = asked.with_for_update(read=True)
        answer = connection.execute(asked, execution_options={OWN: OWN})
        found += len(answer.all())
    return found


def _any_key(
    columns: Sequence[Any], keys: Sequence[tuple[object, ...]]
) -> ColumnElement[bool]:
    if len(columns) == 1:
        found: ColumnElement[bool] = columns[0].in_([key[0] for key in keys])
        return found
    return or_(
        *(
            and_(*(column == value for column, value in zip(columns, key, strict=True)))
            for key in keys
        )
    )


def _beside(condition: Condition, moved: Moved) -> Condition:
    """Return a condition that is true, too, of rows under a parent that this flush has
    already written: after that the parent may be seen by others, or have another key,
    and its children are still written by whoever has moved it."""
    match condition:
        case Linked(table, pairs, further):
            ways: list[Condition] = [Linked(table, pairs, _beside(further, moved))]
            there = [there for _, there in pairs]
            for row in moved.get(table, ()):
                if all(row[name] is not UNKNOWN for name in there):
                    values = [Has(here, row[name]) for here, name in pairs]  # type: ignore[arg-type]  # a key, of any type
                    ways.append(all_of(values))
            return any_of(ways)
        case All(parts):
            return all_of(_beside(part, moved) for part in parts)
        case AnyOne(parts):
            return any_of(_beside(part, moved) for part in parts)
        case _:
            return condition


@event.listens_for(OwnedSession, "after_flush")
def _settle(session: OwnedSession, context: Any) -> None:
    """Ask once for the parents that new rows were put under as they had been loaded.

    Stops a row from being put under a parent that was given away meanwhile (CWE-367).
    What gives the parent away after this question comes after what was written.
    """
    leant = {} if session.flushing is None else session.flushing.leant
    enforcement = session.enforcement
    for (name, condition), keys in leant.items():
        table, mapper = enforcement.tables[name], enforcement.by_key[name]
        stronger = [
            others
            for (other, more), others in leant.items()
            if other == name and more != condition and within(condition, more)
        ]
        asked = [
            key
            for key in keys.difference(*stronger)
            if not session.has_asked(name, condition, key)
        ]
        if not asked or condition == ALWAYS:
            continue
        connection = context.transaction.connection(mapper.base_mapper)
        mine = session.prepared.expression(table, condition)
        if count(connection, table, mapper.primary_key, asked, mine) < len(asked):
            rule = enforcement.by_table[name]
            refuse(
                NOT_FOUND,
                f"what was written belongs to a row of {rule.model} that was given "
                "away or removed after it was loaded",
            )
