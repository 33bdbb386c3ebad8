"""Conditions as expressions, and the filter that brings them into each statement.

SQLAlchemy's own ``with_loader_criteria`` takes one option a model and statement. Here
one option, made once for each kind of principal, holds them all: what it adds to a
statement is the same object each time, so that the statement stays in the cache of
compiled ones, and 500 models cost what 10 do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Table,
    and_,
    false,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.orm import Mapper
from sqlalchemy.orm.interfaces import CriteriaOption

from ringfence.access.ownership.conditions import (
    ALWAYS,
    All,
    Always,
    Condition,
    Has,
    Is,
    Linked,
    Never,
    all_of,
)
from ringfence.access.ownership.conditions import Any as AnyOne
from ringfence.access.sqlalchemy.values import bound_to

Columns = Callable[[str], ColumnElement[Any]]


class Expressions:
    """Writes conditions as expressions.

    Args:
        tables: that conditions name.
    """

    def __init__(self, tables: Mapping[str, Table]) -> None:
        self._tables = tables

    def of(
        self, condition: Condition, table: Table, columns: Columns | None = None
    ) -> ColumnElement[bool]:
        """Return a condition on the rows of a table.

        Args:
            condition: without ``Holds``.
            table: its rows.
            columns: finds what stands for a column; the column itself if ``None``.
        """
        find: Columns = table.c.__getitem__ if columns is None else columns
        found: ColumnElement[bool]
        match condition:
            case Always():
                found = true()
            case Never():
                found = false()
            case Is(column, subject):
                found = find(column) == bound_to(subject, table.c[column])
            case Has(column, None):
                found = find(column).is_(None)
            case Has(column, value):
                found = find(column) == value
            case Linked(name, pairs, further):
                found = self._linked(find, self._tables[name], pairs, further)
            case All(parts):
                said = self.at_once(parts)
                found = and_(*(self.of(part, table, columns) for part in said))
            case AnyOne(parts):
                found = or_(*(self.of(part, table, columns) for part in parts))
            case _:
                message = f"{condition} cannot be written as an expression"
                raise TypeError(message)
        return found

    def at_once(self, parts: Iterable[Condition]) -> list[Condition]:
        """Say in one place what is said of one parent: that it is one's own to see and
        to write. Alone, what is said for writing may not tell that it may be seen."""
        rest: list[Condition] = []
        ends: dict[Linked, list[Condition]] = {}
        for part in parts:
            if isinstance(part, Linked) and self._is_to_one(part):
                end = replace(part, condition=ALWAYS)
                ends.setdefault(end, []).append(part.condition)
            else:
                rest.append(part)
        links = [replace(end, condition=all_of(said)) for end, said in ends.items()]
        return [*rest, *links]

    def _is_to_one(self, link: Linked) -> bool:
        key = {column.name for column in self._tables[link.table].primary_key}
        return bool(key) and key == {there for _, there in link.pairs}

    def _linked(
        self,
        find: Columns,
        table: Table,
        pairs: Iterable[tuple[str, str]],
        further: Condition,
    ) -> ColumnElement[bool]:
        # An alias of its own, and correlated with everything else: whatever tables the
        # statement around it has, these rows are looked for in all of the other table.
        other = table.alias()
        there: Columns = other.c.__getitem__
        on = [there(column) == find(here) for here, column in pairs]
        if not isinstance(further, Always):
            on.append(self.of(further, table, there))
        return select(literal_column("1")).where(*on).correlate_except(other).exists()


class Criterion:
    """What stands in the WHERE of a statement wherever one class does. SQLAlchemy asks
    these names of a ``LoaderCriteriaOption``.

    Args:
        mapper: of the class.
        write: makes the expression, once it is needed.
    """

    __slots__ = ("_expression", "_write", "entity")

    include_aliases = True
    propagate_to_loaders = True  # into joined eager loads

    def __init__(
        self, mapper: Mapper[Any], write: Callable[[], ColumnElement[bool]]
    ) -> None:
        self.entity = mapper
        self._write = write
        self._expression: ColumnElement[bool] | None = None

    def _should_include(self, compile_state: object) -> bool:
        return True

    def _resolve_where_criteria(self, ext_info: Any) -> ColumnElement[bool]:
        if self._expression is None:
            self._expression = self._write()
        if not ext_info.is_aliased_class:
            return self._expression
        # SQLAlchemy does so by itself, except in an ON that somebody has written out.
        adapted: ColumnElement[bool] = ext_info._adapter.traverse(self._expression)  # noqa: SLF001 - as SQLAlchemy does
        return adapted


class Filter(CriteriaOption):
    """The option that brings all criteria of one kind of principal into a statement.

    Args:
        criteria: of each class that does not show all of its rows.
    """

    __slots__ = ("_criteria",)

    propagate_to_loaders = False  # the session adds it to each statement anew

    def __init__(self, criteria: Iterable[Criterion]) -> None:
        self._criteria = tuple(
            (("additional_entity_criteria", one.entity), one) for one in criteria
        )

    def _gen_cache_key(self, anon_map: object, bindparams: object) -> tuple[Any, ...]:
        # One object a kind of principal, whose values come with each execution.
        return (Filter, self)

    def process_compile_state(self, compile_state: Any) -> None:
        self.get_global_criteria(compile_state.global_attributes)

    def process_compile_state_replaced_entities(
        self,
        compile_state: Any,
        mapper_entities: Iterable[object],
    ) -> None:
        self.process_compile_state(compile_state)

    def get_global_criteria(self, attributes: dict[Any, Any]) -> None:
        for key, criterion in self._criteria:
            there = attributes.get(key)
            if there is None:
                attributes[key] = [criterion]
            elif criterion not in there:
                there.append(criterion)
