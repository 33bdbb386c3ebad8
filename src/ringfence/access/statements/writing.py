"""Shows that rows, as a statement leaves them behind, fulfil a condition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ringfence.access.ownership.conditions import (
    ALWAYS,
    NEVER,
    All,
    Any,
    Condition,
    Has,
    Is,
    Linked,
)
from ringfence.access.statements.catalogue import Catalogue
from ringfence.access.statements.proof import (
    Cell,
    Demands,
    Operand,
    Parameter,
    Prover,
    Value,
    either,
    merged,
)
from ringfence.access.statements.scopes import Change, Conflict, Expression, Scope
from ringfence.access.statements.verdicts import Bound, Key

Meant = tuple[Operand, Scope]
"""What a value is, and where its names are looked up."""


def columns_of(condition: Condition) -> Iterator[str]:
    """Yield the columns of its own table that a condition depends on."""
    match condition:
        case Is(column, _) | Has(column, _):
            yield column
        case Linked(_, pairs, _):
            yield from (here for here, _ in pairs)
        case All(parts) | Any(parts):
            for part in parts:
                yield from columns_of(part)
        case _:
            return


class Writer:
    """Proves for one change, and one view.

    Args:
        prover: for the statement.
        catalogue: of tables.
        change: rows that are added, or changed.
    """

    def __init__(self, prover: Prover, catalogue: Catalogue, change: Change) -> None:
        self._prover = prover
        self._catalogue = catalogue
        self._change = change

    def left(self, condition: Condition) -> Demands | None:
        """Return what has to be bound for the rows to fulfil a condition afterwards;
        ``None`` where nothing would do."""
        change = self._change
        return self._left(condition, change.rows, change.scope, added=change.added)

    def replaced(self, condition: Condition, leave: Condition) -> Demands | None:
        """Return what has to be bound for a row in the way to be one that may be
        changed, and to stay one; likewise.

        Args:
            condition: on rows that may be changed.
            leave: on rows as they are left behind.
        """
        conflict = self._change.conflict
        if conflict is None or condition == ALWAYS:
            return ()
        before = self._in_the_way(conflict, condition)
        after = self._left(leave, conflict.rows, conflict.scope, added=False)
        if before is None or after is None:
            return None
        return merged((before, after))

    def _in_the_way(self, conflict: Conflict, condition: Condition) -> Demands | None:
        keys = {self._catalogue.fold(column) for column in columns_of(condition)}
        ways = []
        if keys <= conflict.keys:
            # The other row has the same values, so that the same is true of it.
            ways.append(self.left(condition))
        facts = self._prover.facts(self._change.target, conflict.scope)
        ways.append(self._prover.implied(condition, self._change.target, facts))
        if isinstance(condition, Is) and self._equals_excluded(conflict, condition):
            ways.append(self.left(condition))
        return either([way for way in ways if way is not None])

    def _equals_excluded(self, conflict: Conflict, condition: Is) -> bool:
        name = self._catalogue.fold(condition.column)
        excluded = conflict.scope.sources["excluded"]
        facts = self._prover.facts(self._change.target, conflict.scope)
        return any(
            isinstance(one, Cell)
            and isinstance(other, Cell)
            and one.source is self._change.target
            and other.source is excluded
            and one.column == other.column == name
            for one, other in self._prover.equalities(facts)
        )

    def _left(
        self,
        condition: Condition,
        rows: Mapping[str, Sequence[Expression]],
        scope: Scope,
        *,
        added: bool,
    ) -> Demands | None:
        touched = added or any(
            self._catalogue.fold(column) in rows for column in columns_of(condition)
        )
        # True before, and nothing of it is changed.
        if condition == ALWAYS or (not touched and condition != NEVER):
            return ()
        match condition:
            case All(parts):
                return _all(
                    [self._left(one, rows, scope, added=added) for one in parts]
                )
            case Any(parts):
                ways = [self._part(part, rows, scope, added=added) for part in parts]
                return either([way for way in ways if way is not None])
            case Is() | Has() | Linked():
                return self._leaf(condition, rows, scope)
            case _:
                return None

    def _part(
        self,
        part: Condition,
        rows: Mapping[str, Sequence[Expression]],
        scope: Scope,
        *,
        added: bool,
    ) -> Demands | None:
        """Return what one part of an OR demands. That the whole was true before says
        nothing of it."""
        untouched = not any(
            self._catalogue.fold(column) in rows for column in columns_of(part)
        )
        if untouched and not added:
            target = self._change.target
            facts = self._prover.facts(target, scope)
            return self._prover.implied(part, target, facts)
        if isinstance(part, All):
            return _all(
                [self._part(one, rows, scope, added=added) for one in part.parts]
            )
        return self._left(part, rows, scope, added=added)

    def _leaf(
        self,
        condition: Is | Has | Linked,
        rows: Mapping[str, Sequence[Expression]],
        scope: Scope,
    ) -> Demands | None:
        match condition:
            case Is(column):
                found = [
                    self._is(one, condition)
                    for one in self._operands(rows, column, scope)
                ]
            case Has(column, value):
                found = [
                    self._has(one, condition, value)
                    for one, _ in self._operands(rows, column, scope)
                ]
            case _:
                return self._linked(condition, rows, scope)
        return _all(found) if found else None

    def _operands(
        self, rows: Mapping[str, Sequence[Expression]], column: str, scope: Scope
    ) -> list[Meant]:
        return [
            meant
            for value in rows.get(self._catalogue.fold(column), ())
            for meant in self._meant(value, scope)
        ]

    def _meant(self, value: Expression, scope: Scope) -> list[Meant]:
        """Return what a value is, and in which scope: what a subquery computes, where
        it is a column of one; several where it is a column of VALUES."""
        operand = self._prover.operand(value, scope)
        while isinstance(operand, Cell) and operand.source.relation is not None:
            relation = operand.source.relation
            if scope.lone or operand.source in scope.missing:
                return [(None, scope)]
            if relation.rows and relation.columns is not None:
                place = list(relation.columns).index(operand.column)
                found = [row[place] for row in relation.rows]
                return [(self._prover.operand(one, scope), scope) for one in found]
            computed = relation.values.get(operand.column)
            if computed is None or relation.scope is None:
                break
            scope = relation.scope
            operand = self._prover.operand(computed, scope)
        # The one row of an aggregate over nothing has no columns to speak of.
        known = None if isinstance(operand, Cell) and scope.lone else operand
        return [(known, scope)]

    def _is(self, meant: Meant, condition: Is) -> Demands | None:
        operand, scope = meant
        match operand:
            case Parameter():
                keys = self._prover.keys(operand)
                number = self._catalogue.is_number(
                    self._change.target.rule, condition.column
                )
                return tuple(Bound(key, condition.subject, number) for key in keys)
            case Cell(source, column) if source.name == "excluded":
                return self._inserted(Is(column, condition.subject))
            case Cell(source, column):
                facts = self._prover.certain(scope)
                same = Is(column, condition.subject)
                return self._prover.implied(same, source, facts)
            case _:
                return None

    def _inserted(self, condition: Condition) -> Demands | None:
        return self.left(condition) if self._change.added else None

    def _has(self, operand: Operand, condition: Has, value: object) -> Demands | None:
        match operand:
            case Parameter():
                keys = self._prover.keys(operand)
                return tuple(Bound(key, condition.value) for key in keys)
            case Value(said):
                fits = said is None and value is None
                return (
                    () if fits or self._prover.equals(said, condition.value) else None
                )
            case Cell(source, column) if source.name == "excluded":
                return self._inserted(Has(column, condition.value))
            case _:
                return None

    def _linked(
        self,
        condition: Linked,
        rows: Mapping[str, Sequence[Expression]],
        scope: Scope,
    ) -> Demands | None:
        values = {
            here: self._operands(rows, here, scope) for here, _ in condition.pairs
        }
        if not all(values.values()):
            return None
        if condition.condition == ALWAYS:
            # Any row will do, and that there is one is the foreign key's affair.
            return ()
        keys: dict[str, tuple[Key, ...] | None] = {}
        for here, operands in values.items():
            if all(isinstance(one, Parameter) for one, _ in operands):
                keys[here] = tuple(
                    key
                    for one, _ in operands
                    if isinstance(one, Parameter)
                    for key in self._prover.keys(one)
                )
        if len(keys) == len(values):
            return self._prover.by_key(condition, keys, written=True)
        return self._copied(condition, values)

    def _copied(
        self,
        condition: Linked,
        values: Mapping[str, list[Meant]],
    ) -> Demands | None:
        """Return what is demanded where the key is copied from a row of the table that
        it leads to."""
        cells = {here: one[0] for here, one in values.items() if len(one) == 1}
        if len(cells) != len(values):
            return None
        rule = self._catalogue.rule(condition.table)
        source, facts = None, []
        for here, there in condition.pairs:
            cell, scope = cells[here]
            if not isinstance(cell, Cell) or cell.source.rule is not rule:
                return None
            if cell.column != self._catalogue.fold(there):
                return None
            if source is not None and cell.source is not source:
                return None
            source, facts = cell.source, self._prover.certain(scope)
        if source is None or rule is None:
            return None
        return self._prover.implied(condition.condition, source, facts)


def _all(found: Sequence[Demands | None]) -> Demands | None:
    """Return what all of these demand; ``None`` if one of them is not to be met."""
    if None in found:
        return None
    return merged(one for one in found if one is not None)
