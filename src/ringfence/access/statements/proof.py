"""Shows that a condition follows from what a statement says of a table's rows.

What cannot be shown is not so. Only comparisons that have to be true for a row to be in
the result count: on paths of AND alone, or in every branch of an OR.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

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
from ringfence.access.ownership.rules import Constant
from ringfence.access.ownership.views import View
from ringfence.access.statements.catalogue import Catalogue
from ringfence.access.statements.objection import WAY_ROUND, ObjectionError
from ringfence.access.statements.scopes import Expression, Reader, Scope, Source
from ringfence.access.statements.tight import comparison, unwrapped
from ringfence.access.statements.verdicts import Bound, Demand, Either, Key, Known

Demands = tuple[Demand, ...]

_MOST_BRANCHES = 16  # of one OR that is followed
_MOST_SPLITS = 2  # of ORs, one within the other
_MOST_STEPS = 4000  # of one statement: some 20 ms
_MOST_DEPTH = 12  # of tables that lead to tables


@dataclass(frozen=True, slots=True)
class Parameter:
    """A bound parameter, by its number in the statement."""

    number: int


@dataclass(frozen=True, slots=True)
class Value:
    """A literal."""

    value: Constant


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """A column of a source."""

    source: Source
    column: str


Operand = Parameter | Value | Cell | None


@dataclass(frozen=True, slots=True)
class Fact:
    """A condition that rows fulfil, and where its names are looked up.

    Args:
        said: the condition.
        scope: of its names.
        through: subqueries whose columns stand for those that they are copies of.
    """

    said: Expression
    scope: Scope
    through: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True)
class Material:
    """What a statement is made of.

    Args:
        reader: resolves names.
        keys: of parameters, by number.
        strings: that stand in it, by number.
        tight: comparisons that stand alone.
    """

    reader: Reader
    keys: Sequence[tuple[Key, ...]]
    strings: Sequence[str]
    tight: frozenset[str]


class Prover:
    """Proves for one statement and one view.

    Args:
        material: the statement.
        catalogue: of tables.
        view: of who sends it.
    """

    def __init__(self, material: Material, catalogue: Catalogue, view: View) -> None:
        self._material = material
        self._catalogue = catalogue
        self._view = view
        self._steps = 0
        self._sides: dict[
            tuple[int, tuple[Source, ...]], tuple[Operand, Operand] | None
        ] = {}

    # What stands in the statement

    def operand(self, node: Expression, scope: Scope) -> Operand:
        """Return what one side of a comparison is; ``None`` for what is computed."""
        node = unwrapped(node, self._catalogue.dialect)
        match node:
            case exp.Placeholder() if isinstance(node.this, str):
                return Parameter(int(node.this[1:]))
            case exp.Column():
                found = self._material.reader.resolve(node, scope)
                return None if found is None else Cell(*found)
            case _:
                return self._literal(node)

    def _literal(self, node: Expression) -> Operand:
        if isinstance(node, (exp.Boolean, exp.Null)):
            return Value(bool(node.this) if isinstance(node, exp.Boolean) else None)
        if not isinstance(node, exp.Literal):
            return None
        text: str = node.this
        if not node.is_string:
            return Value(int(text)) if text.isdigit() else None
        number = text.removeprefix("s")
        if not number.isdigit():
            return None
        said = self._material.strings[int(number)]
        return None if said == "\0" else Value(said)

    def keys(self, parameter: Parameter) -> tuple[Key, ...]:
        """Return the keys of a parameter: several if rows were folded into one."""
        return self._material.keys[parameter.number]

    def facts(self, source: Source, scope: Scope) -> list[Fact]:
        """Return what the rows of a source fulfil, one by one: by what is said beside
        it, and of the subquery that it stands in, around that."""
        found = [Fact(said, scope) for said in scope.of(source)]
        for outer, through in _around(scope):
            said = outer.of(through[-1])
            found += [Fact(one, outer, through) for one in said]
        return list(_flat(found))

    def certain(self, scope: Scope) -> list[Fact]:
        """Return what every row of a result fulfils, whatever an outer join has not
        found: for values that are taken from there."""
        found = [Fact(said, scope) for said in scope.certain]
        for outer, through in _around(scope):
            found += [Fact(said, outer, through) for said in outer.certain]
        return list(_flat(found))

    def _said(self, node: Expression, fact: Fact) -> Operand:
        """Return what one side of a comparison is, for the rows that a fact is of."""
        operand = self.operand(node, fact.scope)
        for inner in reversed(fact.through):
            if isinstance(operand, Cell) and operand.source is inner:
                columns = inner.relation.columns if inner.relation else None
                origin = (columns or {}).get(operand.column)
                operand = None if origin is None else Cell(*origin)
        return operand

    # Proof

    def implied(
        self,
        condition: Condition,
        source: Source,
        facts: Sequence[Fact],
        *,
        known: bool = True,
    ) -> Demands | None:
        """Return what has to be bound for a condition to be true of a source's rows;
        ``None`` where nothing would do.

        Args:
            condition: of the table.
            source: the table, in its scope.
            facts: that its rows fulfil.
            known: whether a key of a row that is known proves something.
        """
        limits = _Limits(known, _MOST_SPLITS, _MOST_DEPTH)
        return self._within(condition, source, facts, limits)

    def _within(
        self,
        condition: Condition,
        source: Source,
        facts: Sequence[Fact],
        limits: _Limits,
    ) -> Demands | None:
        self._step()
        if condition == ALWAYS or any(map(self._is_false, facts)):
            return ()
        if not limits.depth:
            return None
        ways = list(self._ways(condition, source, facts, limits))
        for splits in range(limits.splits):
            # One of several ways may be what the caller has asked for, and its values
            # not the principal's: then the filter's own OR is the other.
            if () in ways or (ways and (splits or not isinstance(condition, Any))):
                break
            shallow = replace(limits, splits=splits)
            ways.extend(self._by_branches(condition, source, facts, shallow))
        return either(ways)

    def _step(self) -> None:
        """Count: a statement of many ORs could be followed for ever."""
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise ObjectionError(
                f"The statement has too many ORs to be followed: split it, {WAY_ROUND}."
            )

    def _ways(
        self,
        condition: Condition,
        source: Source,
        facts: Sequence[Fact],
        limits: _Limits,
    ) -> Iterator[Demands]:
        match condition:
            case Is(column, subject):
                number = self._catalogue.is_number(source.rule, column)
                for keys in self._parameters(source, column, facts):
                    yield tuple(Bound(key, subject, number) for key in keys)
            case Has(column, value):
                yield from self._valued(source, column, value, facts)
            case Linked():
                yield from self._linked(condition, source, facts, limits)
            case All(parts):
                found = [self._again(part, source, facts, limits) for part in parts]
                if None not in found:
                    yield merged(one for one in found if one is not None)
            case Any(parts):
                for part in parts:
                    one = self._again(part, source, facts, limits)
                    if one is not None:
                        yield one
            case _:
                return

    def _again(
        self,
        condition: Condition,
        source: Source,
        facts: Sequence[Fact],
        limits: _Limits,
    ) -> Demands | None:
        deeper = replace(limits, depth=limits.depth - 1)
        return self._within(condition, source, facts, deeper)

    def _by_branches(
        self,
        condition: Condition,
        source: Source,
        facts: Sequence[Fact],
        limits: _Limits,
    ) -> Iterator[Demands]:
        """Yield what has to be bound where each branch of an OR implies it."""
        for fact in facts:
            if not isinstance(fact.said, exp.Or):
                continue
            branches = list(_branches(fact.said))
            if len(branches) > _MOST_BRANCHES:
                continue
            rest = [one for one in facts if one is not fact]
            found = [
                self._within(
                    condition,
                    source,
                    [*rest, *_flat([replace(fact, said=branch)])],
                    limits,
                )
                for branch in branches
            ]
            if None not in found:
                yield merged(one for one in found if one is not None)

    def _is_false(self, fact: Fact) -> bool:
        said = fact.said
        if isinstance(said, exp.Boolean):
            return not said.this
        if not isinstance(said, exp.EQ):
            return False
        one, other = said.this, said.expression
        return (
            isinstance(one, exp.Literal)
            and isinstance(other, exp.Literal)
            and {one.this, other.this} == {"0", "1"}
            and not (one.is_string or other.is_string)
            and comparison(one, other) in self._material.tight
        )

    def equalities(self, facts: Sequence[Fact]) -> Iterator[tuple[Operand, Operand]]:
        """Yield both sides of each comparison with ``=``, in both orders."""
        for fact in facts:
            name = id(fact.said), fact.through
            if name not in self._sides:
                self._sides[name] = self._compared(fact)
            sides = self._sides[name]
            if sides is not None:
                yield sides
                yield sides[1], sides[0]

    def _compared(self, fact: Fact) -> tuple[Operand, Operand] | None:
        said = fact.said
        if isinstance(said, exp.EQ):
            left, right = said.this, said.expression
        elif isinstance(said, exp.In) and len(said.expressions) == 1:
            left, right = said.this, said.expressions[0]
        else:
            return None
        if comparison(left, right) not in self._material.tight:
            return None
        one, other = self._said(left, fact), self._said(right, fact)
        return None if one is None or other is None else (one, other)

    def _parameters(
        self, source: Source, column: str, facts: Sequence[Fact]
    ) -> Iterator[tuple[Key, ...]]:
        """Yield the parameters that a column has to equal."""
        name = self._catalogue.fold(column)
        for one, other in self.equalities(facts):
            if not isinstance(one, Cell) or not isinstance(other, Parameter):
                continue
            if one.source is source and one.column == name:
                yield self.keys(other)

    def _valued(
        self, source: Source, column: str, value: Constant, facts: Sequence[Fact]
    ) -> Iterator[Demands]:
        name = self._catalogue.fold(column)
        for one, other in self.equalities(facts):
            if not (
                isinstance(one, Cell) and one.source is source and one.column == name
            ):
                continue
            if isinstance(other, Parameter) and value is not None:
                yield tuple(Bound(key, value) for key in self.keys(other))
            elif isinstance(other, Value) and self.equals(other.value, value):
                yield ()
        if any(self._states(fact, source, name, value) for fact in facts):
            yield ()

    def equals(self, said: Constant, value: Constant) -> bool:
        """Return whether a literal is a constant: 1 is true where there is no other."""
        if said is None or value is None:
            return False
        if isinstance(value, bool) or isinstance(said, bool):
            numbers = self._catalogue.dialect != "postgres"
            return (type(said) is type(value) and said == value) or (
                numbers and isinstance(said, int) and said == value
            )
        return type(said) is type(value) and said == value

    def _states(self, fact: Fact, source: Source, name: str, value: Constant) -> bool:
        """Return whether ``x IS NULL``, ``x IS TRUE``, ``x`` or ``NOT x`` says that a
        column has a value."""
        said = fact.said
        match said:
            case exp.Is() if not said.args.get("negate"):
                column, told = said.this, said.expression
            case exp.NullSafeEQ() if self._catalogue.dialect == "sqlite":
                column, told = said.this, said.expression
            case exp.Not(this=exp.Column()):
                column, told = said.this, exp.Boolean(this=False)
            case exp.Column() if self._catalogue.dialect == "postgres":
                column, told = said, exp.Boolean(this=True)
            case _:
                return False
        cell, other = self._said(column, fact), self._said(told, fact)
        if not isinstance(cell, Cell) or not isinstance(other, Value):
            return False
        if cell.source is not source or cell.column != name:
            return False
        if other.value is None or value is None:
            return other.value is value
        return self.equals(other.value, value)

    # Other tables

    def _linked(
        self,
        condition: Linked,
        source: Source,
        facts: Sequence[Fact],
        limits: _Limits,
    ) -> Iterator[Demands]:
        mine = {
            self._catalogue.fold(here): self._catalogue.fold(there)
            for here, there in condition.pairs
        }
        yield from self._beside(condition, mine, source, facts, limits)
        for fact in facts:
            match fact.said:
                case exp.Exists():
                    yield from self._inside(condition, mine, source, fact, limits)
                case exp.In() if fact.said.args.get("query") is not None:
                    yield from self._inside(condition, mine, source, fact, limits)
                case _:
                    pass
        if limits.known:
            yield from self._by_key(condition, source, facts)

    def _beside(
        self,
        condition: Linked,
        mine: Mapping[str, str],
        source: Source,
        facts: Sequence[Fact],
        limits: _Limits,
    ) -> Iterator[Demands]:
        """Yield proofs by a table that is joined: or by one in a subquery whose columns
        these are copies of."""
        linked: dict[Source, set[str]] = {}
        behind: dict[Source, Scope | None] = {}
        for one, other in self.equalities(facts):
            if not (isinstance(one, Cell) and isinstance(other, Cell)):
                continue
            if one.source is not source or one.column not in mine:
                continue
            for cell, scope in self._origins(other):
                if cell.column == mine[one.column]:
                    linked.setdefault(cell.source, set()).add(one.column)
                    behind[cell.source] = scope
        for target, columns in linked.items():
            if columns != set(mine) or not self._is_table(target, condition.table):
                continue
            if target is source:
                continue
            scope = behind[target] or self._scope_of(target, facts)
            more = self.facts(target, scope) if scope is not None else []
            within = more if behind[target] else [*facts, *more]
            found = self._again(condition.condition, target, within, limits)
            if found is not None:
                yield found

    def _origins(self, cell: Cell) -> Iterator[tuple[Cell, Scope | None]]:
        """Yield a column, and those that it is a copy of."""
        scope: Scope | None = None
        for _ in range(_MOST_DEPTH):
            yield cell, scope
            relation = cell.source.relation
            origin = ((relation and relation.columns) or {}).get(cell.column)
            if relation is None or origin is None:
                return
            cell, scope = Cell(*origin), relation.scope

    def _scope_of(self, source: Source, facts: Sequence[Fact]) -> Scope | None:
        for fact in facts:
            scope: Scope | None = fact.scope
            while scope is not None:
                if source in scope.sources.values():
                    return scope
                scope = scope.parent
        return None

    def _is_table(self, source: Source, table: str) -> bool:
        return source.rule is not None and source.rule is self._catalogue.rule(table)

    def _inside(
        self,
        condition: Linked,
        mine: Mapping[str, str],
        source: Source,
        fact: Fact,
        limits: _Limits,
    ) -> Iterator[Demands]:
        """Yield proofs by EXISTS (SELECT ...) and IN (SELECT ...)."""
        said = fact.said
        node = said.this if isinstance(said, exp.Exists) else said.args["query"]
        while isinstance(node, exp.Subquery):
            node = node.this
        inner = self._material.reader.scope_of(node)
        if inner is None or not inner.plain:
            return
        equal: list[tuple[Operand, Operand]] = []
        if isinstance(said, exp.In):
            equal = self._listed(said, node, fact, inner)
        certain = list(_flat(Fact(one, inner, fact.through) for one in inner.certain))
        equal.extend(self.equalities(certain))
        for target in inner.sources.values():
            if not self._is_table(target, condition.table):
                continue
            met = {
                one.column
                for one, other in equal
                if isinstance(one, Cell)
                and isinstance(other, Cell)
                and one.source is source
                and other.source is target
                and mine.get(one.column) == other.column
            }
            if met != set(mine):
                continue
            within = [*certain, *self.facts(target, inner)]
            found = self._again(condition.condition, target, within, limits)
            if found is not None:
                yield found

    def _listed(
        self, said: exp.In, node: Expression, outer: Fact, inner: Scope
    ) -> list[tuple[Operand, Operand]]:
        left = said.this.unnest()
        ours = left.expressions if isinstance(left, exp.Tuple) else [left]
        theirs = [
            item.this if isinstance(item, exp.Alias) else item
            for item in node.expressions
        ]
        if len(ours) != len(theirs):
            return []
        return [
            (self._said(one, outer), self.operand(other, inner))
            for one, other in zip(ours, theirs, strict=True)
        ]

    def _by_key(
        self, condition: Linked, source: Source, facts: Sequence[Fact]
    ) -> Iterator[Demands]:
        """Yield a proof by the key of a row that is known to be the principal's."""
        values = {}
        for here, _ in condition.pairs:
            values[here] = next(iter(self._parameters(source, here, facts)), None)
        found = self.by_key(condition, values, written=False)
        if found is not None:
            yield found

    def by_key(
        self,
        condition: Linked,
        values: Mapping[str, tuple[Key, ...] | None],
        *,
        written: bool,
    ) -> Demands | None:
        """Return the demand that the row which a condition leads to is known.

        Args:
            condition: that leads to another table.
            values: by column of this table, the parameters that it equals.
            written: whether these are rows that are written, and not lists.
        """
        rule = self._catalogue.rule(condition.table)
        keys = {there: values.get(here) for here, there in condition.pairs}
        if rule is None or not rule.key or set(rule.key) != set(keys):
            return None
        columns = [keys[column] for column in rule.key]
        write = self._how_known(condition)
        if write is None:
            return None
        rows = row_keys(columns, written=written)
        if rows is None:
            return None
        return tuple(Known(row, rule.table, write) for row in rows)

    def _how_known(self, condition: Linked) -> bool | None:
        """Return whether a row of which the condition is true is one that may be
        written, or read; ``None`` for neither."""
        asked = _parts(condition.condition)
        if asked <= _parts(self._view.read.get(condition.table, NEVER)):
            return False
        if asked <= _parts(self._view.write.get(condition.table, NEVER)):
            return True
        return None

    def own_key(
        self, source: Source, facts: Sequence[Fact], *, write: bool
    ) -> Demands | None:
        """Return the demand that the row with this primary key is known: so rows are
        changed by a flush, and read again when their attributes have expired."""
        rule = source.rule
        if rule is None or not rule.key:
            return None
        columns = [
            next(iter(self._parameters(source, column, facts)), None)
            for column in rule.key
        ]
        rows = row_keys(columns, written=False)
        if rows is None:
            return None
        return tuple(Known(row, rule.table, write) for row in rows)


@dataclass(frozen=True, slots=True)
class _Limits:
    known: bool
    splits: int
    depth: int


def _around(scope: Scope) -> Iterator[tuple[Scope, tuple[Source, ...]]]:
    """Yield the scopes around a subquery that count inside it, each with the
    subqueries that lie between."""
    through: tuple[Source, ...] = ()
    while scope.around is not None:
        scope, inner = scope.around
        through = (*through, inner)
        yield scope, through


def either(ways: Sequence[Demands]) -> Demands | None:
    """Return what is demanded where one of these would do; ``None`` for no way."""
    if not ways:
        return None
    if () in ways:
        return ()
    different = tuple(dict.fromkeys(ways))
    return different[0] if len(different) == 1 else (Either(different),)


def merged(groups: Iterable[Demands]) -> Demands:
    """Return what is demanded where all of these are."""
    return tuple(dict.fromkeys(demand for group in groups for demand in group))


def row_keys(
    columns: Sequence[tuple[Key, ...] | None], *, written: bool
) -> list[tuple[Key, ...]] | None:
    """Return, row by row, the parameters that make up a key; ``None`` where a column
    has none.

    Args:
        columns: of the key, the parameters of each.
        written: whether they are rows side by side; else they are lists, and each value
            of one may meet each of the other.
    """
    found = [column for column in columns if column]
    if not found or len(found) != len(columns):
        return None
    if not written and sum(len(column) > 1 for column in found) > 1:
        return None
    most = max(map(len, found))
    if any(len(column) not in (1, most) for column in found):
        return None
    wide = [column * most if len(column) == 1 else column for column in found]
    return list(zip(*wide, strict=True))


def _parts(condition: Condition) -> frozenset[Condition]:
    return frozenset(condition.parts if isinstance(condition, All) else (condition,))


def _flat(facts: Iterable[Fact]) -> Iterator[Fact]:
    """Yield what is joined by AND apart."""
    pending = list(facts)[::-1]
    while pending:
        fact = pending.pop()
        said = fact.said.unnest()
        if isinstance(said, exp.And):
            pending.append(replace(fact, said=said.expression))
            pending.append(replace(fact, said=said.this))
        else:
            yield replace(fact, said=said)


def _branches(said: Expression) -> Iterator[Expression]:
    pending = [said]
    while pending:
        node = pending.pop().unnest()
        if isinstance(node, exp.Or):
            pending.extend((node.expression, node.this))
        else:
            yield node
