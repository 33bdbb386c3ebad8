"""A session that is one principal's: it loads, keeps and writes nothing but theirs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from typing import Any
from weakref import WeakSet

from sqlalchemy import Connection, Select, event
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import FromStatement, Mapper, Session
from sqlalchemy.orm.state import InstanceState

from ringfence.access.ownership.acting import Actor, acting, principal_of
from ringfence.access.ownership.conditions import ALWAYS
from ringfence.access.ownership.escape import Unscoped
from ringfence.access.ownership.refusals import UNFILTERED, refuse
from ringfence.access.sqlalchemy.enforcement import (
    Enforcement,
    Prepared,
    root_of,
    table_of,
)
from ringfence.access.sqlalchemy.values import kind_of, typed
from ringfence.principal import Principal

State = InstanceState[Any]
AnyMapper = Mapper[Any]

SESSION = "ringfence_session"
"""The execution option of a connection that names the session it works for."""


class OwnedSession(Session):
    """A session of SQLAlchemy's, with one principal's rows.

    Made by ``Database.session``; an ``AsyncSession`` has it as its ``sync_session``.

    Args:
        bind: the engine.
        enforcement: of the database.
        options: of ``sqlalchemy.orm.Session``.
    """

    verifies = True

    def __init__(
        self, bind: Any = None, *, enforcement: Enforcement, **options: Any
    ) -> None:
        super().__init__(bind, **options)
        self.enforcement = enforcement
        self.principal: Principal | None = principal_of(acting())
        self._prepared: Prepared | None = None
        self._escape: Unscoped | None = None
        self._suspects: set[State] = set()
        self._inside: WeakSet[State] = WeakSet()
        self._unproven: WeakSet[State] = WeakSet()
        self._written: set[tuple[object, ...]] = set()

    @property
    def prepared(self) -> Prepared:
        """What the principal needs."""
        if self._prepared is None:
            self._prepared = self.enforcement.prepared(self.principal)
        return self._prepared

    # Who asks

    def _enter(self) -> bool:
        """Return whether ownership is lifted; refuse whoever the session is not of."""
        actor = acting()
        if actor is self.principal:
            return False
        if isinstance(actor, Unscoped):
            self._lift(actor)
            return True
        self._recognize(actor)
        return False

    def _recognize(self, actor: Actor) -> None:
        mine = self.principal
        if (
            isinstance(actor, Principal)
            and mine is not None
            and (actor.id, actor.tenant) == (mine.id, mine.tenant)
            and self.enforcement.prepared(actor) is self.prepared
        ):
            return
        refuse(
            UNFILTERED,
            f"a session of {_named(mine)} was used for {_named(principal_of(actor))}: "
            "what it has loaded is not theirs; open one session for each principal",
        )

    def _lift(self, escape: Unscoped) -> None:
        """Begin an escape: what was changed before it is still the principal's change,
        and what is loaded from now on leaves at its end."""
        self.enforcement.tell(escape)
        if escape is self._escape:
            return
        self._escape = escape
        changed = {*self._new, *self.identity_map._modified, *self._deleted}  # noqa: SLF001 - states, without making objects of them
        self._suspects = changed - set(self._inside)
        before = set(self.identity_map.all_states())
        escape.at_end(partial(self._end, before))

    def _end(self, before: set[State]) -> None:
        self._escape = None
        self._suspects = set()
        unwritten = []
        leaving = [
            state for state in self.identity_map.all_states() if state not in before
        ]
        gone = set()
        for state in leaving:
            target = state.obj()
            if target is None:
                continue
            if state.modified or state in self._deleted:
                unwritten.append(type(target).__name__)
            gone.add(id(target))
            self.expunge(target)
        for state in before:
            _forget_links(self, state, gone)
        if unwritten and sys.exception() is None:
            message = (
                f"unscoped ends, and changes of {', '.join(sorted(set(unwritten)))} are "
                "not written; flush or commit inside the block"
            )
            raise InvalidRequestError(message)

    def lets_pass(self, target: object) -> bool:
        """Return whether an object is written unverified: inside ``unscoped``, and not
        changed before."""
        if not isinstance(acting(), Unscoped):
            return False
        state: State = target._sa_instance_state  # type: ignore[attr-defined]  # noqa: SLF001 - every mapped object has one
        return state not in self._suspects

    # What is loaded

    def _execute_internal(  # type: ignore[override]  # the one place all executions pass
        self, statement: Any, params: Any = None, **options: Any
    ) -> Any:
        if not self._enter():
            statement = self._filtered(statement)
        return super()._execute_internal(statement, params, **options)

    def _filtered(self, statement: Any) -> Any:
        prepared = self._prepared or self.prepared
        subject = getattr(statement, "_propagate_attrs", {}).get("plugin_subject")
        given = getattr(statement, "_with_options", None)
        if given is None:
            return statement
        option = prepared.loading
        if subject is not None and (statement.is_update or statement.is_delete):
            option = prepared.changing(subject.mapper)
        if option not in given:
            statement = statement.options(option)
        compiling = getattr(statement, "_compile_options", None)
        if getattr(compiling, "_for_refresh_state", False) and subject is not None:
            return self._refreshing(statement, subject.mapper)
        return statement

    def _refreshing(self, statement: Any, mapper: AnyMapper) -> Any:
        """SQLAlchemy leaves criteria out where an object is loaded again; write them
        into the statement, so that what was given away is not read."""
        enforcement, view = self.enforcement, self.prepared.view
        if isinstance(statement, FromStatement):
            if isinstance(statement.element, Select):
                part = enforcement.part_filter(mapper, view)
                statement = statement._clone()  # noqa: SLF001 - the option made it ours already
                statement.element = statement.element.where(part)
            return statement
        criterion = enforcement.filters(mapper, view)
        return statement if criterion is None else statement.where(criterion)

    def _get_impl(self, *arguments: Any, **options: Any) -> Any:
        self._enter()
        return super()._get_impl(*arguments, **options)

    def flush(self, objects: Any = None) -> None:
        """Verify, then write."""
        self._enter()
        super().flush(objects)

    def commit(self) -> None:
        """Write, and end the transaction."""
        self._enter()
        super().commit()

    # What is known

    def is_proven(self, state: State) -> bool:
        """Return whether an object came through the filter, and was not attached."""
        return state not in self._unproven

    def remember(self, state: State, *, is_new: bool = False) -> None:
        """Keep the key of a row that was verified, for the statements that write it."""
        mapper: AnyMapper = state.mapper
        key = mapper.primary_key_from_instance(state.obj()) if is_new else None
        if key is None:
            key = list(state.key[1]) if state.key else []
        for one in mapper.iterate_to_root():
            self._written.add((table_of(one).fullname, *map(str, key)))

    def loaded(
        self, table: str, values: Mapping[str, object]
    ) -> tuple[State, AnyMapper] | None:
        """Return an object of this session by the key of its row."""
        for mapper in self.enforcement.mappers:
            if table_of(mapper).fullname != table or mapper.inherits is not None:
                continue
            names = [column.name for column in mapper.primary_key]
            if set(names) != set(values):
                return None
            key = tuple(values[name] for name in names)
            found = self.identity_map.get(mapper.identity_key_from_primary_key(key))
            if found is None:
                return None
            state: State = found._sa_instance_state  # noqa: SLF001 - every mapped object has one
            return (state, state.mapper) if self.is_proven(state) else None
        return None

    def knows(self, table: str, values: tuple[object, ...], *, write: bool) -> bool:
        """Return whether a row is known to be the principal's.

        Args:
            table: the row's.
            values: of its primary key, as the driver is given them.
            write: whether it has to be one that may be written.
        """
        if (table, *map(str, values)) in self._written:
            return True
        if write and not self.prepared.written(table).is_plain:
            return False
        rule = self.enforcement.by_table[table]
        columns = self.enforcement.tables[table].c
        key = {
            name: typed(str(value), kind_of(columns[name]))
            for name, value in zip(rule.key, values, strict=True)
        }
        return self.loaded(table, key) is not None


@event.listens_for(OwnedSession, "after_begin")
def _begun(session: OwnedSession, transaction: object, connection: Connection) -> None:  # noqa: ARG001 - SQLAlchemy's signature
    connection.execution_options(**{SESSION: session})


@event.listens_for(OwnedSession, "after_flush")
def _flushed(session: OwnedSession, context: object) -> None:  # noqa: ARG001 - SQLAlchemy's signature
    session._suspects = set()  # noqa: SLF001 - a part of the session
    session._written = set()  # noqa: SLF001 - a part of the session


@event.listens_for(OwnedSession, "before_attach")
def _attached(session: OwnedSession, target: object) -> None:
    if isinstance(acting(), Unscoped):
        session._inside.add(target._sa_instance_state)  # type: ignore[attr-defined]  # noqa: SLF001 - a part of the session


@event.listens_for(OwnedSession, "detached_to_persistent")
def _reattached(session: OwnedSession, target: object) -> None:
    """What was loaded by somebody else, or made up, is asked for before it is written:
    stops an id of another's row that is attached to an empty object."""
    session._unproven.add(target._sa_instance_state)  # type: ignore[attr-defined]  # noqa: SLF001 - a part of the session


def _forget_links(session: Session, state: State, gone: set[int]) -> None:
    """Have what leads to objects that have left be loaded anew."""
    target = state.obj()
    if target is None or state.session is not session:
        return
    keys = []
    for step in state.mapper.relationships:
        there = state.dict.get(step.key)
        if there is None:
            continue
        many = there.values() if isinstance(there, dict) else there
        items = many if step.uselist and hasattr(many, "__iter__") else (there,)
        if any(id(one) in gone for one in items):
            keys.append(step.key)
    if keys:
        session.expire(target, keys)


def _named(principal: Principal | None) -> str:
    return "nobody" if principal is None else f"the principal {principal.id}"


def shows_all(session: OwnedSession, mapper: AnyMapper) -> bool:
    """Return whether the principal may see every row of a class."""
    table = table_of(root_of(mapper)).fullname
    return session.prepared.view.read[table] == ALWAYS
