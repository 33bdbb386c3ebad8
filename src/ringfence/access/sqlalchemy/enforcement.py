"""What a database enforces, prepared for all of its sessions."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Table
from sqlalchemy.orm import Mapper, registry

from ringfence.access.ownership.acting import principal_of
from ringfence.access.ownership.conditions import (
    ALWAYS,
    All,
    Condition,
    Is,
    Linked,
    Subject,
    TableRule,
    parts_of,
)
from ringfence.access.ownership.conditions import Any as AnyOne
from ringfence.access.ownership.escape import Unscoped
from ringfence.access.ownership.rules import Rows
from ringfence.access.ownership.views import View, Views, value_of
from ringfence.access.policy import Hierarchy
from ringfence.access.sqlalchemy.criteria import Criterion, Expressions, Filter
from ringfence.access.sqlalchemy.resolve import joined_to, resolved
from ringfence.access.sqlalchemy.values import numerals, spellings
from ringfence.access.statements.verdicts import Demand, Key
from ringfence.audit.events import Event, OwnershipLifted
from ringfence.exchange import active
from ringfence.principal import Principal

Record = Callable[[Event], None]
AnyMapper = Mapper[Any]

_MOST_KEPT = 256  # kinds of principals, and principals


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """What one kind of principal may do with the rows of one table, for writing.

    Args:
        rule: of the table.
        before: true of a row that may be changed and removed.
        after: true of a row that may be left behind.
        is_plain: whatever may be read may be written.
        columns: on which ``after`` depends.
    """

    rule: TableRule
    before: Condition
    after: Condition
    is_plain: bool
    columns: frozenset[str]


class Demanded:
    """What is demanded of the values of a statement, as it is fast to ask.

    Args:
        statement: its text.
        objection: why it is refused; empty for a statement that may be carried out.
        ids: parameters that have to be the principal's id, nearly always all there is;
            each with whether it is for a column of numbers.
        rest: further demands.
    """

    __slots__ = ("ids", "is_simple", "objection", "reads", "rest")

    def __init__(
        self,
        statement: str,
        objection: str,
        ids: tuple[tuple[Key, bool], ...],
        rest: tuple[Demand, ...],
    ) -> None:
        # An id that a column of numbers cannot hold is bound as null, which equals
        # nothing: such a SELECT finds no row. An INSERT would make one.
        self.reads = statement.lstrip()[:7].upper() == "SELECT "
        self.objection = objection
        self.ids = ids
        self.rest = rest
        self.is_simple = not objection and not rest


class Prepared:
    """All that one kind of principal needs, made once.

    Args:
        view: of the kind.
        enforcement: of the database.
    """

    __slots__ = (
        "_changing",
        "_enforcement",
        "_expressions",
        "_owners",
        "_told",
        "_written",
        "demanded",
        "loading",
        "narrowed",
        "view",
    )

    def __init__(self, view: View, enforcement: Enforcement) -> None:
        self.view = view
        self._enforcement = enforcement
        self.loading = Filter(enforcement.criteria(view))
        self._changing: dict[AnyMapper, Filter] = {}
        self._written: dict[str, Written] = {}
        self._owners: dict[AnyMapper, tuple[tuple[str, Subject], ...]] = {}
        self._expressions: dict[tuple[str, Condition], ColumnElement[bool]] = {}
        self._told: dict[Condition, bool] = {}
        self.narrowed: dict[Any, Any] = {}
        """By statement of the ORM's, the same one with the owner in its WHERE."""
        self.demanded: dict[str, Demanded] = {}
        """By text, what has been said of a statement."""

    def owners(self, mapper: AnyMapper) -> tuple[tuple[str, Subject], ...]:
        """Return the attributes that say by themselves whose an object is."""
        found = self._owners.get(mapper)
        if found is None:
            table = table_of(root_of(mapper))
            made = tuple(
                (mapper.get_property_by_column(table.c[column]).key, subject)
                for column, subject in _all_of(self.view.read[table.fullname])
            )
            found = self._owners.setdefault(mapper, made)
        return found

    def expression(self, table: Table, condition: Condition) -> ColumnElement[bool]:
        """Return a condition of these principals' as an expression, made once."""
        key = table.fullname, condition
        found = self._expressions.get(key)
        if found is None:
            made = self._enforcement.expressions.of(condition, table)
            found = self._expressions.setdefault(key, made)
        return found

    def is_told(self, condition: Condition) -> bool:
        """Return whether a statement with this condition tells of every other table in
        it that its rows may be seen: a rule for writing may lead over rows that may
        not."""
        found = self._told.get(condition)
        if found is None:
            found = self._told[condition] = self._tells(condition)
        return found

    def _tells(self, condition: Condition) -> bool:
        match condition:
            case All(parts):
                said = self._enforcement.expressions.at_once(parts)
                return all(self._tells(part) for part in said)
            case AnyOne(parts):
                return all(self._tells(part) for part in parts)
            case Linked(table, _, further):
                seen = within(self.view.read[table], further)
                return seen and self._tells(further)
            case _:
                return True

    def changing(self, mapper: AnyMapper) -> Filter:
        """Return the filter of an UPDATE or DELETE of one class."""
        found = self._changing.get(mapper)
        if found is None:
            made = Filter(self._enforcement.criteria(self.view, mapper))
            found = self._changing.setdefault(mapper, made)
        return found

    def written(self, table: str) -> Written:
        """Return what may be written."""
        found = self._written.get(table)
        if found is None:
            view = self.view
            after = view.leave[table]
            made = Written(
                self._enforcement.by_table[table],
                view.write[table],
                after,
                view.write[table] == view.read[table],
                frozenset(_columns(after)),
            )
            found = self._written.setdefault(table, made)
        return found


class Standing:
    """What one principal needs.

    Args:
        principal: ``None`` for nobody.
        prepared: for their kind.
    """

    __slots__ = (
        "ids",
        "prepared",
        "principal",
        "reading",
        "tenants",
        "view",
        "writing",
    )

    def __init__(self, principal: Principal | None, prepared: Prepared) -> None:
        self.principal = principal
        self.prepared = prepared
        self.view = prepared.view
        self.ids = _spelled(principal, Subject.ID)
        self.tenants = _spelled(principal, Subject.TENANT)
        # Each by whether it is for a column of numbers.
        self.writing = self.ids, self.spelled(Subject.ID, number=True)
        self.reading = tuple(one | {None} for one in self.writing)

    def spelled(self, subject: Subject, *, number: bool) -> frozenset[object]:
        """Return what a parameter may hold that has to be the principal's.

        Args:
            subject: of the principal.
            number: whether it is for a column of numbers.
        """
        found = self.ids if subject is Subject.ID else self.tenants
        if not number or self.principal is None:
            return found
        return found & numerals(value_of(self.principal, subject))


class Enforcement:
    """Rules, views and filters of one database.

    Args:
        models: the mapped classes.
        tables: what is said of tables that no class maps.

    Raises:
        DeclarationError: what is declared cannot be enforced.
    """

    def __init__(self, models: registry, tables: Mapping[str, Rows]) -> None:
        self.rules: Sequence[TableRule] = resolved(models, tables)
        self.by_table = {rule.table: rule for rule in self.rules}
        self.mappers: tuple[AnyMapper, ...] = tuple(models.mappers)
        self.tables = _tables_of(self.mappers)
        self.by_key = {
            table_of(one).fullname: one for one in self.mappers if one.inherits is None
        }
        self.links = {
            one.secondary.fullname: one.secondary
            for mapper in self.mappers
            for one in mapper.relationships
            if isinstance(one.secondary, Table)
        }
        self.leant_on = _leant_on(self.rules)
        bases = {mapper.base_mapper for mapper in self.mappers}
        # By these are the statements known that the ORM writes objects with.
        self.caches = frozenset(id(one._compiled_cache) for one in bases)  # noqa: SLF001 - there is no public way
        self.versions = frozenset(
            one.version_id_col for one in self.mappers if one.version_id_col is not None
        )
        self.expressions = Expressions(self.tables)
        self.record: Record = forget
        self.hierarchy: Hierarchy = {}
        self._views = Views(self.rules, self.hierarchy)
        self._prepared: OrderedDict[View, Prepared] = OrderedDict()
        self._standings: OrderedDict[Principal | None, Standing] = OrderedDict()
        self._last: Standing | None = None

    def bind(self, hierarchy: Hierarchy, record: Record) -> None:
        """Take from the guard what roles include and where events go."""
        self.hierarchy, self.record = hierarchy, record
        self._views = Views(self.rules, hierarchy)
        self._prepared, self._standings = OrderedDict(), OrderedDict()
        self._last = None

    def standing(self, principal: Principal | None) -> Standing:
        """Return what a principal needs."""
        last = self._last
        if last is not None and last.principal is principal:
            return last
        found = self._standings.get(principal)
        if found is None:
            view = self._views.of(principal)
            prepared = self._prepared.get(view)
            if prepared is None:
                prepared = self._prepared.setdefault(view, Prepared(view, self))
                _trim(self._prepared)
            found = self._standings[principal] = Standing(principal, prepared)
            _trim(self._standings)
        self._last = found
        return found

    def criteria(
        self, view: View, changed: AnyMapper | None = None
    ) -> Iterator[Criterion]:
        """Yield what filters each class.

        Args:
            view: of who asks.
            changed: the class whose rows an UPDATE or DELETE changes.
        """
        for mapper in self.mappers:
            if changed is not None and changed.local_table is mapper.local_table:
                yield Criterion(mapper, self._writer(mapper, view.write, mapper))
                continue
            root = root_of(mapper)
            if view.read[table_of(root).fullname] != ALWAYS:
                yield Criterion(mapper, self._writer(root, view.read, mapper))

    def filters(self, mapper: AnyMapper, view: View) -> ColumnElement[bool] | None:
        """Return what filters one class; ``None`` for nothing."""
        table = table_of(root_of(mapper))
        condition = view.read[table.fullname]
        return None if condition == ALWAYS else self.expressions.of(condition, table)

    def part_filter(self, mapper: AnyMapper, view: View) -> ColumnElement[bool]:
        """Return what filters the table of one class by itself."""
        table = table_of(mapper)
        return self.expressions.of(view.read[table.fullname], table)

    def _writer(
        self, mapper: AnyMapper, conditions: Mapping[str, Condition], entity: AnyMapper
    ) -> Callable[[], ColumnElement[bool]]:
        table = table_of(mapper)

        def column(name: str) -> ColumnElement[Any]:
            # As an attribute of the class: only so does SQLAlchemy put the alias in
            # its place, where the class stands in a join a second time.
            of_class = {"parententity": entity, "parentmapper": entity}
            return table.c[name]._annotate(of_class)  # noqa: SLF001 - there is no public way

        return lambda: self.expressions.of(conditions[table.fullname], table, column)

    def tell(self, escape: Unscoped, table: str = "") -> None:
        """Write an escape into the ledger, once."""
        if escape.told:
            return
        escape.told = True
        exchange = active.get()
        principal = principal_of(escape)
        self.record(
            OwnershipLifted(
                request_id="" if exchange is None else exchange.request_id,
                client="" if exchange is None else exchange.client,
                account="" if principal is None else principal.id,
                reason=escape.reason,
                table=table,
            )
        )


def _spelled(principal: Principal | None, subject: Subject) -> frozenset[object]:
    return frozenset() if principal is None else spellings(value_of(principal, subject))


def _trim(kept: OrderedDict[Any, Any]) -> None:
    while len(kept) > _MOST_KEPT:
        kept.popitem(last=False)


def root_of(mapper: AnyMapper) -> AnyMapper:
    """Return the class whose table says whose the rows are (joined inheritance)."""
    above = joined_to(mapper)
    return mapper if above is None else root_of(above)


def table_of(mapper: AnyMapper) -> Table:
    """Return the table of a class, which ``resolve`` has seen to be one."""
    table = mapper.local_table
    if not isinstance(table, Table):
        message = f"{mapper.class_.__name__} has no table"
        raise TypeError(message)
    return table


def _tables_of(mappers: Sequence[AnyMapper]) -> dict[str, Table]:
    found: dict[str, Table] = {}
    for mapper in mappers:
        found.update(table_of(mapper).metadata.tables)
    return found


def _leant_on(rules: Sequence[TableRule]) -> dict[str, frozenset[str]]:
    """Return, by table, the columns that say whose the rows of other tables are."""
    found: dict[str, set[str]] = {}
    for rule in rules:
        for condition in (rule.read, rule.write):
            for part in parts_of(condition):
                if isinstance(part, Linked):
                    names = found.setdefault(part.table, set())
                    names.update(there for _, there in part.pairs)
                    names.update(_columns(part.condition))
    return {table: frozenset(names) for table, names in found.items()}


def within(condition: Condition, other: Condition) -> bool:
    """Return whether one condition says nothing that another does not say, too."""
    parts = other.parts if isinstance(other, All) else (other,)
    asked = condition.parts if isinstance(condition, All) else (condition,)
    return condition == ALWAYS or set(asked) <= set(parts)


def _all_of(condition: Condition) -> Iterator[tuple[str, Subject]]:
    """Yield the columns that have to hold something of the principal's."""
    if isinstance(condition, Is):
        yield condition.column, condition.subject
    if isinstance(condition, All):
        for part in condition.parts:
            yield from _all_of(part)


def _columns(condition: Condition) -> Iterator[str]:
    """Yield the columns of a table on which a condition depends."""
    column = getattr(condition, "column", None)
    if column is not None:
        yield column
    for here, _ in getattr(condition, "pairs", ()):
        yield here
    for part in getattr(condition, "parts", ()):
        yield from _columns(part)


def stamped_columns(condition: Condition) -> Iterator[tuple[str, Subject]]:
    """Yield the columns that say whose a new row is, each with what they hold."""
    if isinstance(condition, Is):
        yield condition.column, condition.subject
    for part in getattr(condition, "parts", ()):
        yield from stamped_columns(part)


def forget(event: Event) -> None:
    """Where events go before a guard has said."""
