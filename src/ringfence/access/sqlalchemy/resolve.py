"""What models say of their rows, brought down to tables and columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from inspect import getsourcefile, getsourcelines
from typing import Any, NoReturn

from sqlalchemy import Column, ForeignKeyConstraint, Table
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import (
    ColumnProperty,
    Mapper,
    Relationship,
    RelationshipProperty,
    registry,
)
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.elements import BinaryExpression

from ringfence.access.ownership.conditions import (
    ALWAYS,
    NEVER,
    Condition,
    Has,
    Holds,
    Is,
    Linked,
    Subject,
    TableRule,
    all_of,
    any_of,
    parts_of,
)
from ringfence.access.ownership.rules import (
    Constant,
    Matching,
    Owner,
    RowRule,
    Rows,
    Tenant,
    Through,
    rows_of,
)
from ringfence.access.policy import AllOf, AnyOf, Closed, Policy, Public
from ringfence.access.sqlalchemy.comparable import check_holds_ids, constant
from ringfence.access.sqlalchemy.values import kind_of
from ringfence.errors import DeclarationError

AnyMapper = Mapper[Any]
AnyColumn = Column[Any]
AnyRelationship = Relationship[Any] | RelationshipProperty[Any]

Parent = tuple[TableRule, tuple[tuple[str, str], ...]]
"""Where a foreign key leads: the rule there, and the columns that are equal."""

_SUBJECTS: dict[type[Policy], Subject] = {Owner: Subject.ID, Tenant: Subject.TENANT}


def resolved(
    models: registry, tables: Mapping[str, Rows] | None = None
) -> tuple[TableRule, ...]:
    """Return what is enforced on each table of the mapped classes.

    Args:
        models: of which every class has to say whose its rows are.
        tables: what is said of tables that no class maps.

    Raises:
        DeclarationError: a class says nothing, or what cannot be enforced; the message
            names it and says how to mend it.
    """
    try:
        models.configure()
    except SQLAlchemyError as error:
        message = f"the models cannot be mapped: {error}"
        raise DeclarationError(message) from error
    mappers = sorted(models.mappers, key=lambda one: (depth(one), one.class_.__name__))
    return _Resolving(mappers, tables or {}).rules()


def depth(mapper: AnyMapper) -> int:
    """Return how many classes stand above one that is mapped."""
    return sum(1 for _ in mapper.iterate_to_root())


def joined_to(mapper: AnyMapper) -> AnyMapper | None:
    """Return the nearest class above whose table holds the other part of the rows."""
    for above in mapper.iterate_to_root():
        if above is not mapper and above.local_table is not mapper.local_table:
            return None if mapper.concrete else above
    return None


def column_of(mapper: AnyMapper, attribute: str) -> AnyColumn | None:
    """Return the column behind an attribute; ``None`` where there is none, or more."""
    prop = mapper.attrs.get(attribute)
    if not isinstance(prop, ColumnProperty):
        return None
    for column in prop.columns:
        if isinstance(column, Column) and column.table is mapper.local_table:
            return column
    first = prop.columns[0]
    return first if isinstance(first, Column) else None


class _Resolving:
    """One reading of all declarations; it keeps what is being read, to see circles."""

    def __init__(
        self, mappers: Sequence[AnyMapper], tables: Mapping[str, Rows]
    ) -> None:
        self._mappers = mappers
        self._tables = tables
        self._declared = {mapper: self._said(mapper) for mapper in mappers}
        self._open: list[tuple[AnyMapper, bool]] = []
        self._known: dict[tuple[AnyMapper, bool], Condition] = {}

    def rules(self) -> tuple[TableRule, ...]:
        found: dict[str, TableRule] = {}
        said: dict[str, Rows] = {}
        for mapper in self._mappers:
            table = self._table(mapper)
            declared = self._declared[mapper]
            earlier = said.setdefault(table.fullname, declared)
            if earlier != declared:
                first = found[table.fullname].model
                _refuse(
                    mapper,
                    f"says {declared.read} of the table {table.fullname}, of which "
                    f"{first} says {earlier.read}; one table has one rule: say the "
                    "same on both, or give this class a table of its own",
                )
            if table.fullname not in found:
                found[table.fullname] = self._rule(mapper, table, declared)
        links = {table.fullname: table for table in self._link_tables()}
        for table in links.values():
            if table.fullname not in found and table.fullname not in self._tables:
                found[table.fullname] = _link_rule(table, found)
        for name, declared in self._tables.items():
            if name in found:
                message = (
                    f"tables={{{name!r}: ...}}: {found[name].model} maps this table; "
                    "say it there, with @access.rows"
                )
                raise DeclarationError(message)
            unmapped = _Unmapped(self._metadata_table(name), declared, found)
            found[name] = unmapped.rule(is_link=name in links)
        return tuple(found.values())

    def _said(self, mapper: AnyMapper) -> Rows:
        self._table(mapper)  # what is no table is not mended by saying whose it is
        declared = rows_of(mapper.class_)
        if declared is None:
            _refuse(
                mapper,
                "does not say whose its rows are; put @access.rows(access.owner("
                '"...")) on it, or @access.rows(access.public, write=access.nobody) '
                "where they are nobody's",
            )
        above = joined_to(mapper)
        if above is not None and rows_of(above.class_) != declared:
            _refuse(
                mapper,
                f"continues rows of {above.class_.__name__}, which says another thing "
                "of them; say it on that class alone",
            )
        return declared

    def _table(self, mapper: AnyMapper) -> Table:
        table = mapper.local_table
        if not isinstance(table, Table):
            _refuse(
                mapper,
                "is mapped to a query or a join, into which no owner can be written; "
                "map the tables, or a view of the database, whose columns say whose a "
                "row is",
            )
        return table

    def _metadata_table(self, name: str) -> Table:
        known: dict[str, Table] = {}
        for mapper in self._mappers:
            known.update(self._table(mapper).metadata.tables)
        if name not in known:
            message = (
                f"tables={{{name!r}: ...}}: there is no such table in the models' "
                f"metadata{_guess(name, known)}"
            )
            raise DeclarationError(message)
        return known[name]

    def _rule(self, mapper: AnyMapper, table: Table, declared: Rows) -> TableRule:
        above = joined_to(mapper)
        return TableRule(
            table=table.fullname,
            model=mapper.class_.__name__,
            read=self._condition(mapper, write=False),
            write=self._condition(mapper, write=True),
            says=(str(declared.read), str(declared.write)),
            key=tuple(column.name for column in table.primary_key),
            columns=frozenset(column.name for column in table.columns),
            numbers=_numbers(table),
            parent="" if above is None else self._table(above).fullname,
        )

    def _condition(self, mapper: AnyMapper, *, write: bool) -> Condition:
        """Return the condition on a class's own table."""
        asked = (mapper, write)
        if asked in self._known:
            return self._known[asked]
        if asked in self._open:
            names = [one.class_.__name__ for one, _ in self._open]
            circle = " -> ".join((*names, mapper.class_.__name__))
            _refuse(
                mapper,
                f"leads back to itself ({circle}), so that nobody is the owner; say "
                "on one of them whose it is, with access.owner",
            )
        self._open.append(asked)
        above = joined_to(mapper)
        if above is not None:
            found = _continued(mapper, above, self._condition(above, write=write))
        else:
            declared = self._declared.get(mapper) or self._said(mapper)
            policy = declared.write if write else declared.read
            found = self._read(mapper, policy, write=write)
        self._open.pop()
        self._known[asked] = found
        return found

    def _read(self, mapper: AnyMapper, policy: Policy, *, write: bool) -> Condition:
        def rule(policy: RowRule) -> Condition:
            match policy:
                case Owner(path) | Tenant(path):
                    return self._path(mapper, policy, path, _SUBJECTS[type(policy)])
                case Through(path):
                    return self._through(mapper, policy, path.split("."), write=write)
                case Matching(values):
                    return all_of(
                        self._equal(mapper, policy, name, value)
                        for name, value in values
                    )
            return _refuse(mapper, f"says {policy}, which SQL cannot say")

        return _brought_down(policy, rule)

    def _path(
        self, mapper: AnyMapper, policy: Policy, path: str, subject: Subject
    ) -> Condition:
        *steps, last = path.split(".")
        return self._walk(
            mapper,
            policy,
            steps,
            lambda end: _at(
                end, self._holder(end, policy, last), lambda name: Is(name, subject)
            ),
        )

    def _holder(self, mapper: AnyMapper, policy: Policy, name: str) -> AnyColumn:
        column = self._column(mapper, policy, name)
        try:
            check_holds_ids(column)
        except ValueError as error:
            _refuse(mapper, f"says {policy}, but {name} {error}")
        return column

    def _equal(
        self, mapper: AnyMapper, policy: Policy, name: str, value: Constant
    ) -> Condition:
        column = self._own_column(mapper, policy, name)
        try:
            return Has(column.name, constant(column, value))
        except ValueError as error:
            return _refuse(mapper, f"says {policy}, but {name} {error}")

    def _through(
        self, mapper: AnyMapper, policy: Policy, steps: Sequence[str], *, write: bool
    ) -> Condition:
        return self._walk(
            mapper, policy, steps, lambda end: self._condition(end, write=write)
        )

    def _walk(
        self,
        mapper: AnyMapper,
        policy: Policy,
        steps: Sequence[str],
        end: Callable[[AnyMapper], Condition],
    ) -> Condition:
        if not steps:
            return end(mapper)
        step = self._relationship(mapper, policy, steps[0])
        target: AnyMapper = step.mapper
        self._table(target)
        further = self._walk(target, policy, steps[1:], end)
        return _linked(mapper, step, further)

    def _relationship(
        self, mapper: AnyMapper, policy: Policy, name: str
    ) -> AnyRelationship:
        found = mapper.attrs.get(name)
        if isinstance(found, (Relationship, RelationshipProperty)):
            if _is_plain(found):
                return found
            _refuse(
                mapper,
                f"says {policy}, but the relationship {name} is more than equal "
                "columns; use one whose primaryjoin compares columns with = alone",
            )
        if found is not None:
            _refuse(mapper, f"says {policy}, but {name} is no relationship")
        near = _guess(name, mapper.relationships.keys())
        return _refuse(mapper, f"says {policy}, but has no relationship {name}{near}")

    def _column(self, mapper: AnyMapper, policy: Policy, name: str) -> AnyColumn:
        column = column_of(mapper, name)
        if column is not None:
            return column
        if name in mapper.relationships:
            pairs = mapper.relationships[name].local_remote_pairs or ()
            columns = " or ".join(
                repr(mapper.get_property_by_column(here).key) for here, _ in pairs
            )
            _refuse(
                mapper,
                f"says {policy}, but {name} is a relationship; name the column"
                f"{f' {columns}' if columns else ''}, or one at its end",
            )
        if name in mapper.all_orm_descriptors:
            _refuse(
                mapper,
                f"says {policy}, but {name} is computed (a hybrid, a composite, a "
                "synonym or an expression); name the column that it comes from",
            )
        near = _guess(name, mapper.column_attrs.keys())
        return _refuse(mapper, f"says {policy}, but has no attribute {name}{near}")

    def _own_column(self, mapper: AnyMapper, policy: Policy, name: str) -> AnyColumn:
        column = self._column(mapper, policy, name)
        if column.table is not mapper.local_table:
            _refuse(mapper, f"says {policy}, but {name} is in another table")
        return column

    def _link_tables(self) -> Iterator[Table]:
        for mapper in self._mappers:
            for step in mapper.relationships:
                if isinstance(step.secondary, Table):
                    yield step.secondary


def _at(
    mapper: AnyMapper, column: AnyColumn, made: Callable[[str], Condition]
) -> Condition:
    """Return a condition on a column, which may be in the table of a class above."""
    if column.table is mapper.local_table:
        return made(column.name)
    above = joined_to(mapper)
    if above is None:
        _refuse(mapper, f"has the column {column.name} in a table that it does not map")
    return _continued(mapper, above, _at(above, column, made))


def _continued(mapper: AnyMapper, above: AnyMapper, condition: Condition) -> Condition:
    pairs = tuple(
        (here.name, there.name)
        for here, there in _equal_columns(mapper.inherit_condition)
        if here.table is mapper.local_table and there.table is above.local_table
    )
    if not pairs:
        _refuse(mapper, "is joined to the class above by something else than its key")
    return Linked(_fullname(above.local_table), pairs, condition)


def _linked(
    mapper: AnyMapper, step: AnyRelationship, condition: Condition
) -> Condition:
    """Return the condition on a row that leads, by a relationship, to another."""
    target: AnyMapper = step.mapper
    if step.secondary is None:
        pairs = tuple(step.local_remote_pairs or ())
        return _from(mapper, target, pairs, condition)
    if not isinstance(step.secondary, Table):
        _refuse(mapper, f"the relationship {step.key} leads over a query; map a table")
    outer = tuple((here, there) for here, there in step.synchronize_pairs)
    into = step.secondary_synchronize_pairs or ()
    inner = tuple((there, here) for here, there in into)
    link = Linked(
        target.local_table.fullname,  # type: ignore[attr-defined]  # seen to be a Table
        tuple((here.name, there.name) for here, there in inner),
        condition,
    )
    return Linked(
        step.secondary.fullname,
        tuple((here.name, there.name) for here, there in outer),
        link,
    )


def _from(
    mapper: AnyMapper,
    target: AnyMapper,
    pairs: Sequence[tuple[Any, Any]],
    condition: Condition,
) -> Condition:
    """Return the link between two classes, either of which may hold its columns of the
    relationship in the table of a class above."""
    here_table, there_table = pairs[0][0].table, pairs[0][1].table
    if there_table is not target.local_table:
        above = target
        while above.local_table is not there_table:
            higher = joined_to(above)
            if higher is None:
                _refuse(target, "has the end of a relationship in another table")
            back = _continued(above, higher, ALWAYS)
            if not isinstance(back, Linked):
                _refuse(target, "is not joined to the class above it")
            turned = tuple((there, here) for here, there in back.pairs)
            condition = Linked(_fullname(above.local_table), turned, condition)
            above = higher
    link = Linked(
        _fullname(there_table),
        tuple((here.name, there.name) for here, there in pairs),
        condition,
    )
    lower = mapper
    wraps: list[tuple[AnyMapper, AnyMapper]] = []
    while lower.local_table is not here_table:
        higher = joined_to(lower)
        if higher is None:
            _refuse(mapper, "has the begin of a relationship in another table")
        wraps.append((lower, higher))
        lower = higher
    found: Condition = link
    for one, higher in reversed(wraps):
        found = _continued(one, higher, found)
    return found


def _is_plain(step: AnyRelationship) -> bool:
    """Whether a relationship compares columns with ``=`` and does nothing else."""
    pairs = len(tuple(_equal_columns(step.primaryjoin)))
    expected = len(step.synchronize_pairs)
    plain = _is_equality(step.primaryjoin) and pairs == expected
    if step.secondary is None:
        return plain and pairs == len(step.local_remote_pairs or ())
    return (
        plain
        and step.secondaryjoin is not None
        and _is_equality(step.secondaryjoin)
        and len(tuple(_equal_columns(step.secondaryjoin)))
        == len(step.secondary_synchronize_pairs or ())
    )


def _is_equality(expression: Any) -> bool:
    for element in visitors.iterate(expression):
        operator = getattr(element, "operator", None)
        if operator is not None and operator not in (operators.eq, operators.and_):
            return False
        if element.__visit_name__ in {"bindparam", "function", "select", "textclause"}:
            return False
    return True


def _equal_columns(expression: Any) -> Iterator[tuple[AnyColumn, AnyColumn]]:
    """Yield the columns that an expression equates, each pair once and, where they are
    of an inheritance, the lower one first."""
    if expression is None:
        return
    for element in visitors.iterate(expression):
        if isinstance(element, BinaryExpression) and element.operator is operators.eq:
            left, right = _bare(element.left), _bare(element.right)
            if isinstance(left, Column) and isinstance(right, Column):
                leads = any(key.column is right for key in left.foreign_keys)
                yield (left, right) if leads else (right, left)


def _bare(element: Any) -> Any:
    return element._deannotate()  # noqa: SLF001 - relationships annotate their columns


def _link_rule(table: Table, rules: Mapping[str, TableRule]) -> TableRule:
    """Return the rule of a table that links others: its rows are there for whoever has
    those that they link."""
    parents = list(dict.fromkeys(_parents(table, rules).values()))
    if not parents:
        message = (
            f"{table.fullname} links tables by a relationship, but has no foreign keys "
            "to them, so that nobody can tell whose its rows are; declare them, or say "
            f"it with tables={{{table.fullname!r}: access.owner(...)}}"
        )
        raise DeclarationError(message)
    owned = [one for one in parents if _is_owned(one[0])] or parents
    read = all_of(
        Linked(rule.table, pairs, rule.read)
        for rule, pairs in owned
        if rule.read != ALWAYS
    )
    write = all_of(Linked(rule.table, pairs, rule.write) for rule, pairs in owned)
    says = " & ".join(f"through({rule.model})" for rule, _ in owned)
    return TableRule(
        table=table.fullname,
        model=table.fullname,
        read=read,
        write=write,
        says=(says, says),
        key=tuple(column.name for column in table.primary_key),
        columns=frozenset(column.name for column in table.columns),
        numbers=_numbers(table),
        is_link=True,
    )


def _parents(table: Table, rules: Mapping[str, TableRule]) -> dict[str, Parent]:
    """Return the tables that foreign keys lead to, by the columns of the key, and by
    their own name where one key leads there."""
    found: dict[str, Parent] = {}
    by_name: dict[str, list[Parent]] = {}
    # SQLAlchemy has them in a set, and every process an order of its own.
    for constraint in sorted(table.foreign_key_constraints, key=_columns_of):
        rule = rules.get(constraint.referred_table.fullname)
        if rule is not None:
            pairs = tuple(
                (key.parent.name, key.column.name) for key in constraint.elements
            )
            by_name.setdefault(rule.table, []).append((rule, pairs))
            found.update((here, (rule, pairs)) for here, _ in pairs)
    alone = ((name, keys[0]) for name, keys in by_name.items() if len(keys) == 1)
    return {**dict(alone), **found}


def _columns_of(constraint: ForeignKeyConstraint) -> list[str]:
    return [*constraint.column_keys]


def _is_owned(rule: TableRule) -> bool:
    return any(
        isinstance(part, (Is, Linked))
        for condition in (rule.read, rule.write)
        for part in parts_of(condition)
    )


class _Unmapped:
    """The rule of a table that no class maps, of whose columns it speaks.

    What a row of it leads to besides its owner has to be seen by whoever writes it, as
    a public tag is that is put on an order: else a row could be drawn to another's.

    Args:
        table: the table.
        declared: what is said of it.
        rules: of the tables that its foreign keys may lead to.
    """

    def __init__(
        self, table: Table, declared: Rows, rules: Mapping[str, TableRule]
    ) -> None:
        self._table = table
        self._declared = declared
        self._by_name = {column.name: column for column in table.columns}
        self._columns = frozenset(self._by_name)
        self._parents = _parents(table, rules)
        self._led: set[Parent] = set()

    def rule(self, *, is_link: bool) -> TableRule:
        read = _brought_down(self._declared.read, partial(self._said, write=False))
        write = _brought_down(self._declared.write, partial(self._said, write=True))
        says = str(self._declared.write)
        besides = dict(self._seen())
        if besides:
            says = f"({says})" if isinstance(self._declared.write, AnyOf) else says
        return TableRule(
            table=self._table.fullname,
            model=self._table.fullname,
            read=read,
            write=all_of((write, *besides.values())),
            says=(str(self._declared.read), " & ".join((says, *besides))),
            key=tuple(column.name for column in self._table.primary_key),
            columns=self._columns,
            numbers=_numbers(self._table),
            is_link=is_link,
        )

    def _said(self, policy: RowRule, *, write: bool) -> Condition:
        match policy:
            case Owner(path) | Tenant(path):
                holder = self._known(policy, path)
                with self._named_in(policy, path):
                    check_holds_ids(holder)
                return Is(holder.name, _SUBJECTS[type(policy)])
            case Matching(values):
                return all_of(
                    self._equal(policy, name, value) for name, value in values
                )
            case Through(path):
                return self._through(policy, path, write=write)
        message = f"{self._named(policy)}, which SQL cannot say"
        raise DeclarationError(message)

    def _through(self, policy: Policy, path: str, *, write: bool) -> Condition:
        parent = self._parents.get(path) or self._parents.get(f"{path}_id")
        if parent is None:
            message = (
                f"{self._named(policy)}, but the table has no class, and no foreign "
                f"key called so{_guess(path, self._parents)}; name the column of one, "
                "to a table with a rule"
            )
            raise DeclarationError(message)
        self._led.add(parent)
        rule, pairs = parent
        return Linked(rule.table, pairs, rule.write if write else rule.read)

    def _seen(self) -> Iterator[tuple[str, Condition]]:
        for parent in dict.fromkeys(self._parents.values()):
            rule, pairs = parent
            if self._led and parent not in self._led and rule.read != ALWAYS:
                yield f"sees({rule.model})", Linked(rule.table, pairs, rule.read)

    def _equal(self, policy: Policy, name: str, value: Constant) -> Condition:
        column = self._known(policy, name)
        with self._named_in(policy, name):
            return Has(column.name, constant(column, value))

    @contextmanager
    def _named_in(self, policy: Policy, name: str) -> Iterator[None]:
        """Name the column in what is said against its type."""
        try:
            yield
        except ValueError as error:
            message = f"{self._named(policy)}, but {name} {error}"
            raise DeclarationError(message) from error

    def _known(self, policy: Policy, name: str) -> AnyColumn:
        if name not in self._columns:
            message = (
                f"{self._named(policy)}, but the table has no column "
                f"{name}{_guess(name, self._columns)}"
            )
            raise DeclarationError(message)
        return self._by_name[name]

    def _named(self, policy: Policy) -> str:
        return f"tables={{{self._table.fullname!r}: ...}} says {policy}"


def _brought_down(policy: Policy, rule: Callable[[RowRule], Condition]) -> Condition:
    """Return the condition that a policy comes down to.

    Args:
        policy: as declared.
        rule: what each rule about rows in it comes down to.
    """
    found: Condition = Holds(policy)
    match policy:
        case AllOf(parts):
            found = all_of(_brought_down(part, rule) for part in parts)
        case AnyOf(parts):
            found = any_of(_brought_down(part, rule) for part in parts)
        case Public():
            found = ALWAYS
        case Closed():
            found = NEVER
        case RowRule():
            found = rule(policy)
    return found


def _fullname(table: Any) -> str:
    return str(table.fullname)


def _guess(name: str, names: Any) -> str:
    near = get_close_matches(name, list(names), 1, 0.5)
    return f"; is it {near[0]}?" if near else ""


def _refuse(mapper: AnyMapper, what: str) -> NoReturn:
    model = mapper.class_
    name = f"{model.__module__}.{model.__qualname__}"
    raise DeclarationError(f"{name} {what}{_place(model)}")


def _place(model: type) -> str:
    """Return where a class is written, for whoever has to mend it."""
    try:
        file, (_, line) = getsourcefile(model), getsourcelines(model)
    except (OSError, TypeError):  # made by a program
        return ""
    return f" ({file}:{line})"


def _numbers(table: Table) -> frozenset[str]:
    return frozenset(
        column.name for column in table.columns if issubclass(kind_of(column), int)
    )
