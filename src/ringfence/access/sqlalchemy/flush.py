"""What a session verifies before it writes: whose a row is, before and after.

A filter stands in what is loaded, not in what is added or moved to somebody else; and a
row that was loaded once can be given another owner. Each object is therefore looked at
when its values are final, right before its statement.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    event,
    inspect,
    literal,
    literal_column,
    select,
)
from sqlalchemy.orm import Mapper, object_session
from sqlalchemy.orm.state import InstanceState

from ringfence.access.ownership.conditions import (
    ALWAYS,
    NEVER,
    All,
    Condition,
    Has,
    Is,
    Linked,
    all_of,
    any_of,
)
from ringfence.access.ownership.conditions import Any as AnyOne
from ringfence.access.ownership.refusals import NOT_FOUND, UNFILTERED, refuse
from ringfence.access.ownership.views import value_of
from ringfence.access.sqlalchemy.comparable import is_constant
from ringfence.access.sqlalchemy.enforcement import (
    Enforcement,
    Prepared,
    Written,
    root_of,
    stamped_columns,
    table_of,
)
from ringfence.access.sqlalchemy.values import kind_of, same, typed
from ringfence.principal import Principal

AnyMapper = Mapper[Any]
State = InstanceState[Any]
Row = Mapping[str, object]

OWN = "ringfence_own"
"""The execution option of statements that the session asks for itself."""

UNKNOWN = object()
"""What a column holds that only the database can tell."""


Moved = Mapping[str, list[Row]]
"""By table, what rows had, and have, in the columns that others lean on."""


@dataclass(slots=True)
class Flushing:
    """What one flush takes from memory, and what it has changed for what follows.

    Args:
        leant: keys of parents, by table and condition, that were found among what the
            session has loaded: what it says may have been true when it was loaded.
        moving: see ``Moved``: of what is about to be written.
        moved: likewise, of what has been.
    """

    leant: dict[tuple[str, Condition], set[tuple[object, ...]]] = field(
        default_factory=dict
    )
    moving: dict[str, list[Row]] = field(default_factory=dict)
    moved: dict[str, list[Row]] = field(default_factory=dict)

    def lean(self, table: str, condition: Condition, key: tuple[object, ...]) -> None:
        """Take a parent from memory."""
        self.leant.setdefault((table, condition), set()).add(key)


class Verifying(Protocol):
    """What is asked of a session whose objects are verified: ``OwnedSession``."""

    @property
    def enforcement(self) -> Enforcement: ...

    @property
    def principal(self) -> Principal | None: ...

    @property
    def prepared(self) -> Prepared: ...

    @property
    def is_lifted(self) -> bool: ...

    @property
    def flushing(self) -> Flushing | None: ...

    def is_proven(self, state: State) -> bool: ...

    def remember(self, state: State) -> None: ...

    def hold(self, state: State, root: AnyMapper) -> None: ...

    def remember_key(self, table: str, values: Row) -> None: ...

    def look_at(self, state: State) -> None: ...

    def loaded(
        self, table: str, values: Mapping[str, object]
    ) -> tuple[State, AnyMapper] | None: ...


def listen(mapper: AnyMapper) -> None:
    """Have the objects of a class verified, in sessions that verify; once a class."""
    for name, verify in (
        ("before_insert", _before_insert),
        ("after_insert", _after_insert),
        ("before_update", _before_update),
        ("before_delete", _before_delete),
    ):
        if not event.contains(mapper, name, verify):
            event.listen(mapper, name, verify)
    if not event.contains(mapper, "refresh", _refreshed):
        event.listen(mapper, "refresh", _refreshed, raw=True)


def _session_of(target: object) -> Verifying | None:
    session = object_session(target)
    return session if getattr(session, "verifies", False) else None  # type: ignore[return-value]  # only ours has it


def _before_insert(mapper: AnyMapper, connection: Connection, target: object) -> None:
    session = _session_of(target)
    if session is None or session.is_lifted:
        return
    state: State = inspect(target)
    root = root_of(mapper)
    written = session.prepared.written(table_of(root).fullname)
    for key, value in stamps(mapper, written, session.principal, state.dict).items():
        setattr(target, key, value)
    verifier = Verifier(session, connection)
    verifier.verify_after(root, written, _current(state, mapper, root), target)
    if mapper is not root:  # the other half of a row follows before it is inserted
        session.remember(state)


def _after_insert(mapper: AnyMapper, connection: Connection, target: object) -> None:  # noqa: ARG001 - SQLAlchemy's signature
    session = _session_of(target)
    if session is not None:
        state: State = inspect(target)
        session.remember(state)
        if not session.is_lifted:
            root = root_of(mapper)
            if table_of(root).fullname in session.enforcement.leant_on:
                session.hold(state, root)


def _before_update(mapper: AnyMapper, connection: Connection, target: object) -> None:
    session = _session_of(target)
    if session is None:
        return
    state: State = inspect(target)
    if session.is_lifted:
        session.remember(state)
        return
    changed = _changed(state, mapper)
    if not changed:
        return
    root = root_of(mapper)
    written = session.prepared.written(table_of(root).fullname)
    verifier = Verifier(session, connection)
    verifier.verify_before(mapper, root, written, state)
    columns = _column_names(mapper, root, changed)
    if not written.columns.isdisjoint(columns):
        verifier.verify_after(root, written, _current(state, mapper, root), target)
    session.remember(state)
    if columns and written.rule.table in session.enforcement.leant_on:
        session.hold(state, root)
        verifier.move(mapper, root, state, columns)


def _before_delete(mapper: AnyMapper, connection: Connection, target: object) -> None:
    session = _session_of(target)
    if session is None:
        return
    state: State = inspect(target)
    if not session.is_lifted:
        root = root_of(mapper)
        written = session.prepared.written(table_of(root).fullname)
        verifier = Verifier(session, connection)
        verifier.verify_before(mapper, root, written, state)
        if written.rule.table in session.enforcement.leant_on:
            verifier.move(mapper, root, state, written.rule.columns)
    session.remember(state)


def _refreshed(state: State, context: Any, names: object) -> None:  # noqa: ARG001 - SQLAlchemy's signature
    # Without a context an object was written, which is looked at elsewhere.
    if context is not None and getattr(context.session, "verifies", False):
        context.session.look_at(state)


def stamps(
    mapper: AnyMapper, written: Written, principal: Principal | None, row: Row
) -> dict[str, object]:
    """Return what says whose a new row is, where nobody has: of several owners, where
    none is given, so that nobody enters a row of another's as its second owner.

    Args:
        mapper: of the class.
        written: the rule of its table.
        principal: who adds the row.
        row: what is given, by attribute.
    """
    if principal is None:
        return {}
    table = table_of(root_of(mapper))
    stamped = [
        (table.c[name], mapper.get_property_by_column(table.c[name]).key, subject)
        for name, subject in stamped_columns(written.rule.write)
    ]
    given = {subject for _, key, subject in stamped if row.get(key) is not None}
    values = {
        key: typed(value_of(principal, subject), kind_of(column))
        for column, key, subject in stamped
        if subject not in given
    }
    return {key: value for key, value in values.items() if value is not None}


class Verifier:
    """Verifies objects of one session, on the connection that writes them.

    Args:
        session: whose principal writes.
        connection: of the running transaction.
    """

    def __init__(self, session: Verifying, connection: Connection | None) -> None:
        self._session = session
        self._connection = connection
        self._principal = session.principal
        self._leaning: Flushing | None = None

    def verify_after(
        self, mapper: AnyMapper, written: Written, row: Row, target: object
    ) -> None:
        """Refuse a row that would not be the principal's."""
        self._leaning = self._session.flushing
        left = self._reduced(written.after, mapper, row)
        self._leaning = None
        if left == ALWAYS:
            return
        if left != NEVER and self._is_true(left, mapper, row, target):
            for part in left.parts if isinstance(left, All) else (left,):
                if isinstance(part, Linked):
                    key = {there: row[here] for here, there in part.pairs}
                    self._session.remember_key(part.table, key)
            return
        rule = written.rule
        refuse(
            NOT_FOUND,
            f"{rule.model} would be written as somebody else's; the rule for writing "
            f"says {rule.says[1]}{_hint(self._principal, rule.says[1])}",
        )

    def verify_before(
        self, mapper: AnyMapper, root: AnyMapper, written: Written, state: State
    ) -> None:
        """Refuse to change or remove a row that is not the principal's."""
        if self._session.is_proven(state):
            left = self._reduced(written.before, root, _committed(state, mapper, root))
            # What the object does not tell, the statement asks that writes it.
            if left != NEVER:
                return
        if not self._is_there(state, root, written.before):
            rule = written.rule
            refuse(
                NOT_FOUND,
                f"this {rule.model} is not there for whoever changes it; the rule for "
                f"writing says {rule.says[1]}",
            )

    def move(
        self, mapper: AnyMapper, root: AnyMapper, state: State, names: AbstractSet[str]
    ) -> None:
        """Note what other rows lean on, where it changes: after that they are not to be
        found by it.

        Args:
            mapper: of the object.
            root: of the table.
            state: the object.
            names: of the columns that change; all, where the row is removed.
        """
        session, table = self._session, table_of(root).fullname
        leant_on = session.enforcement.leant_on[table]
        if session.flushing is None or leant_on.isdisjoint(names):
            return
        rows = session.flushing.moving.setdefault(table, [])
        for row in (_committed(state, mapper, root), _current(state, mapper, root)):
            rows.append({name: row[name] for name in leant_on})

    def verify_told(self, state: State) -> None:
        """Refuse an object whose own values say that it is somebody else's."""
        root = root_of(state.mapper)
        read = self._session.prepared.view.read[table_of(root).fullname]
        if self._reduced(read, root, _current(state, state.mapper, root)) == NEVER:
            self._refuse_seen(state)

    def verify_seen(self, state: State) -> None:
        """Refuse an object whose row is not there for the principal."""
        root = root_of(state.mapper)
        read = self._session.prepared.view.read[table_of(root).fullname]
        if not self._is_there(state, root, read):
            self._refuse_seen(state)

    def _refuse_seen(self, state: State) -> NoReturn:
        refuse(
            NOT_FOUND,
            f"this {state.class_.__name__} was attached to the session of somebody "
            "whose it is not; load it there",
        )

    def _is_there(self, state: State, root: AnyMapper, condition: Condition) -> bool:
        table = table_of(root)
        expression = self._session.enforcement.expressions.of(condition, table)
        asked: Select[Any] = select(literal_column("1")).select_from(table)
        key = state.key[1] if state.key else ()
        for column, value in zip(root.primary_key, key, strict=True):
            asked = asked.where(column == value)
        return self._asks(asked.where(expression))

    def _reduced(self, condition: Condition, mapper: AnyMapper, row: Row) -> Condition:
        """Return what is left to ask of the database once the row is known."""
        left = condition
        match condition:
            case Is(column, subject):
                if row[column] is not UNKNOWN:
                    mine = self._principal and value_of(self._principal, subject)
                    left = ALWAYS if same(row[column], mine or "") else NEVER
            case Has(column, value):
                if row[column] is not UNKNOWN:
                    there = table_of(mapper).c[column]
                    is_so = is_constant(there, row[column], value)
                    left = ALWAYS if is_so else NEVER
            case Linked(table, pairs, further):
                if any(row[here] is None for here, _ in pairs):
                    left = NEVER
                else:
                    left = self._linked(condition, table, pairs, further, row)
            case All(parts):
                left = all_of(self._reduced(one, mapper, row) for one in parts)
            case AnyOne(parts):
                left = any_of(self._reduced(one, mapper, row) for one in parts)
        return left

    def _linked(
        self,
        condition: Condition,
        table: str,
        pairs: tuple[tuple[str, str], ...],
        further: Condition,
        row: Row,
    ) -> Condition:
        """Look for the other row among what the session has loaded through its filter;
        it is asked of the database where it is not there, or does not tell."""
        found = self._session.loaded(table, {there: row[here] for here, there in pairs})
        if found is None:
            return condition
        state, mapper = found
        root = root_of(mapper)
        if table_of(root).fullname != table:
            return condition
        # The nearest is asked, and asks for those above it.
        leaning, self._leaning = self._leaning, None
        left = self._reduced(further, root, _committed(state, mapper, root))
        self._leaning = leaning
        if left != ALWAYS:
            return condition
        if leaning is not None and state.key is not None:
            leaning.lean(table, further, tuple(state.key[1]))
        return ALWAYS

    def _is_true(
        self, condition: Condition, mapper: AnyMapper, row: Row, target: object
    ) -> bool:
        table = table_of(mapper)

        def value(name: str) -> ColumnElement[Any]:
            if row[name] is UNKNOWN:
                refuse(
                    UNFILTERED,
                    f"{type(target).__name__} says whose it is ({name}) by an "
                    "expression or a default of the database, which nobody can "
                    "verify beforehand; set a value",
                )
            return literal(row[name], table.c[name].type)

        expression = self._session.enforcement.expressions.of(condition, table, value)
        return self._asks(select(literal_column("1")).where(expression))

    def _asks(self, statement: Any) -> bool:
        if self._connection is None:
            return False
        answer = self._connection.execute(statement, execution_options={OWN: OWN})
        return answer.first() is not None


def _current(state: State, mapper: AnyMapper, root: AnyMapper) -> Row:
    return _Row(state, mapper, root, state.dict.get)


def _committed(state: State, mapper: AnyMapper, root: AnyMapper) -> Row:
    before = state.committed_state

    def value(key: str, default: object) -> object:
        there = before.get(key, UNKNOWN)
        return state.dict.get(key, default) if there is UNKNOWN else there

    return _Row(state, mapper, root, value)


class _Row(Mapping[str, object]):
    """An object by the columns of its table."""

    def __init__(
        self,
        state: State,
        mapper: AnyMapper,
        root: AnyMapper,
        value: Callable[[str, object], object],
    ) -> None:
        self._is_new = state.key is None
        self._mapper = mapper
        self._table = table_of(root)
        self._value = value

    def __getitem__(self, name: str) -> object:
        column = self._table.c[name]
        if not self._mapper.has_property(name) and column not in (
            self._mapper.columns.values()
        ):
            return UNKNOWN
        key = self._mapper.get_property_by_column(column).key
        value = self._value(key, UNKNOWN)
        if value is UNKNOWN:
            return self._default(column) if self._is_new else UNKNOWN
        if isinstance(value, ColumnElement) or hasattr(value, "__clause_element__"):
            return UNKNOWN
        return value

    def _default(self, column: Column[Any]) -> object:
        """Return what a new row holds in a column that nobody has set."""
        if column.default is not None and column.default.is_scalar:
            return column.default.arg  # type: ignore[attr-defined]  # a scalar has one
        if column.default is not None or column.server_default is not None:
            return UNKNOWN
        return None

    def __iter__(self) -> Any:
        return iter(self._table.c.keys())

    def __len__(self) -> int:
        return len(self._table.c)


def _changed(state: State, mapper: AnyMapper) -> set[str]:
    """Return the attributes with columns that have other values than were loaded."""
    return {
        key
        for key, before in state.committed_state.items()
        if key in mapper.column_attrs and _is_changed(state, key, before)
    }


def _is_changed(state: State, key: str, before: object) -> bool:
    value = state.dict.get(key)
    if value is before:
        return False
    if hasattr(value, "__clause_element__") or isinstance(value, ColumnElement):
        return True
    # As SQLAlchemy asks before it writes: what it does not write is not proven by it.
    return state.manager[key].impl.is_equal(value, before) is not True


def _column_names(mapper: AnyMapper, root: AnyMapper, keys: set[str]) -> set[str]:
    table = table_of(root)
    return {
        column.name
        for key in keys
        for column in mapper.column_attrs[key].columns
        if getattr(column, "table", None) is table
    }


def _hint(principal: Principal | None, says: str) -> str:
    """Return what of a principal is seldom meant where it may not write."""
    if principal is None:
        return (
            ", and nobody is signed in; outside requests access.acting_as(...) says "
            "for whom the code works"
        )
    if not principal.tenant and "tenant(" in says:
        return f", and {principal.id} belongs to no tenant"
    return ""
