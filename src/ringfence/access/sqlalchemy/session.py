"""A session that is one principal's: it loads, keeps and writes nothing but theirs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from typing import Any
from weakref import WeakSet

from sqlalchemy import Connection, Select, event
from sqlalchemy.exc import DBAPIError, InvalidRequestError
from sqlalchemy.orm import FromStatement, Mapper, Session, SessionTransaction
from sqlalchemy.orm.state import InstanceState

from ringfence.access.ownership.acting import Actor, acting, principal_of
from ringfence.access.ownership.conditions import (
    Condition,
    Linked,
    Subject,
    parts_of,
)
from ringfence.access.ownership.escape import Unscoped, lifted
from ringfence.access.ownership.refusals import NOT_FOUND, UNFILTERED, refuse
from ringfence.access.sqlalchemy.enforcement import (
    Enforcement,
    Prepared,
    Standing,
    root_of,
    table_of,
)
from ringfence.access.sqlalchemy.flush import (
    UNKNOWN,
    Flushing,
    Moved,
    Verifier,
    stamps,
)
from ringfence.errors import OwnershipRefusedError
from ringfence.principal import Principal

State = InstanceState[Any]
AnyMapper = Mapper[Any]

SESSION = "ringfence_session"
"""The execution option of a connection that names the session it works for."""

_MOST_HELD = 10_000  # rows; of further ones it is asked


class OwnedSession(Session):
    """A session of SQLAlchemy's, with one principal's rows.

    Made by ``Database.session``; an ``AsyncSession`` has it as its ``sync_session``.

    Args:
        bind: the engine.
        enforcement: of the database.
        options: of ``sqlalchemy.orm.Session``.
    """

    verifies = True

    # Of their own as soon as they change: most sessions live for one request.
    _escape: Unscoped | None = None
    _inside: WeakSet[State] | tuple[()] = ()
    _unproven: WeakSet[State] | tuple[()] = ()
    flushing: Flushing | None = None
    """What a flush knows, while there is one."""

    # Rows that a transaction has written: which, and the outermost that holds them.
    _held: set[tuple[object, ...]]
    _holder: SessionTransaction | None = None

    def __init__(
        self, bind: Any = None, *, enforcement: Enforcement, **options: Any
    ) -> None:
        super().__init__(bind, **options)
        self.enforcement = enforcement
        self.principal: Principal | None = principal_of(acting())
        self.standing: Standing = enforcement.standing(self.principal)
        """What the principal needs."""
        self._written: set[tuple[object, ...]] = set()

    @property
    def prepared(self) -> Prepared:
        """What principals of this kind need."""
        return self.standing.prepared

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
            and self.enforcement.standing(actor).prepared is self.prepared
        ):
            return
        refuse(
            UNFILTERED,
            f"a session of {_named(mine)} was used for {_named(principal_of(actor))}: "
            "what it has loaded is not theirs; open one session for each principal",
        )

    def _lift(self, escape: Unscoped) -> None:
        """Begin an escape: what was changed before it is written as the principal's
        change, and what is loaded from now on leaves at its end."""
        self.enforcement.tell(escape)
        if escape is self._escape:
            return
        self._holder = None  # whatever is written inside is nobody's concern
        changed = {*self._new, *self.identity_map._modified, *self._deleted}  # noqa: SLF001 - states, without making objects of them
        if changed:
            self._write_before(changed)
        self._escape = escape
        before = set(self.identity_map.all_states()) - set(self._inside)
        escape.at_end(partial(self._end, before))

    def _write_before(self, changed: set[State]) -> None:
        """Stops a change of somebody else's row that waits until code that is let
        through has it written."""
        inside = changed & set(self._inside)
        if inside == changed:
            return
        if inside:
            refuse(
                UNFILTERED,
                "objects were changed before unscoped, others were added inside, and "
                "nobody can tell what to verify; flush before the block begins",
            )
        token = lifted.set(None)
        try:
            super().flush()
        finally:
            lifted.reset(token)

    def _end(self, before: set[State]) -> None:
        self._escape = None
        unwritten, gone = set(), set()
        for state in self.identity_map.all_states():
            target = state.obj()
            if state in before or target is None:
                continue
            if state.modified or state in self._deleted:
                unwritten.add(type(target).__name__)
            gone.add(id(target))
            self.expunge(target)
        for state in before:
            _forget_links(self, state, gone)
        if unwritten and sys.exception() is None:
            message = (
                f"unscoped ends, and changes of {', '.join(sorted(unwritten))} are not "
                "written; flush or commit inside the block"
            )
            raise InvalidRequestError(message)

    @property
    def is_lifted(self) -> bool:
        """Whether what is loaded and written now is nobody's concern."""
        return self._escape is not None and lifted.get() is not None

    # What is loaded

    def _execute_internal(  # the one place that all executions pass
        self, statement: Any, params: Any = None, **options: Any
    ) -> Any:
        if not self._enter():
            if params and getattr(statement, "is_insert", False):
                params = self._stamped(statement, params)
            statement = self._filtered(statement)
        return super()._execute_internal(statement, params, **options)

    def _stamped(self, statement: Any, params: Any) -> Any:
        """Say whose the rows of an ``insert(Model)`` are, where nobody has."""
        subject = statement._propagate_attrs.get("plugin_subject")  # noqa: SLF001 - as SQLAlchemy finds it
        if subject is None:
            return params
        mapper: AnyMapper = subject.mapper
        written = self.prepared.written(table_of(root_of(mapper)).fullname)
        rows = [params] if isinstance(params, Mapping) else params
        made = [{**row, **stamps(mapper, written, self.principal, row)} for row in rows]
        return made[0] if isinstance(params, Mapping) else made

    def _filtered(self, statement: Any) -> Any:
        try:
            given = statement._with_options  # noqa: SLF001 - nowhere else
        except AttributeError:  # a function, a DDL: the wall looks at it
            return statement
        prepared = self.standing.prepared
        option = prepared.loading
        if statement.is_update or statement.is_delete:
            subject = statement._propagate_attrs.get("plugin_subject")  # noqa: SLF001 - as SQLAlchemy finds it
            if subject is not None:
                option = prepared.changing(subject.mapper)
        if option not in given:
            # What ``options()`` does, without asking what kind of option it is.
            statement = statement._generate()  # noqa: SLF001 - a sixth of the time
            statement._with_options = (*given, option)  # noqa: SLF001 - likewise here
        compiling = getattr(statement, "_compile_options", None)
        if getattr(compiling, "_for_refresh_state", False):
            subject = statement._propagate_attrs["plugin_subject"]  # noqa: SLF001 - as above
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
        is_lifted = self._enter()
        found = super()._get_impl(*arguments, **options)
        if found is not None and not is_lifted:
            state: State = found._sa_instance_state  # noqa: SLF001 - every mapped object has one
            if state in self._unproven:
                self._prove(state)
        return found

    def _prove(self, state: State) -> None:
        """Ask for the row of an object that was attached, and not loaded."""
        mapper: AnyMapper = state.mapper
        connection = self.connection(bind_arguments={"mapper": mapper})
        Verifier(self, connection).verify_seen(state)
        self._unproven = WeakSet(set(self._unproven) - {state})

    def merge(self, instance: Any, *, load: bool = True, options: Any = None) -> Any:
        """Copy an object into the session, and see that it is the principal's."""
        self._enter()
        merged = super().merge(instance, load=load, options=options)
        if not load:
            for state in list(self._unproven):
                self.judge_attached(state)
        return merged

    def judge_attached(self, state: State) -> None:
        """Refuse an object that says that it is somebody else's: stops what a cache has
        of one principal from being given to another."""
        if self.is_lifted or state.session is not self:
            return
        try:
            Verifier(self, None).verify_told(state)
        except OwnershipRefusedError:
            self.expunge(state.obj())
            raise

    def _autoflush(self) -> None:  # before each statement, mostly of nothing
        if not self._is_clean():
            super()._autoflush()

    def flush(self, objects: Any = None) -> None:
        """Verify, then write."""
        self._enter()
        super().flush(objects)

    def _flush(self, *arguments: Any, **options: Any) -> None:
        self.flushing = Flushing()
        try:
            super()._flush(*arguments, **options)
        except DBAPIError as error:
            if not _is_second_wall(error):
                raise
            refuse(
                NOT_FOUND, f"row-level security has refused what was written: {error}"
            )
        finally:
            self.flushing = None
            self._written = set()

    def commit(self) -> None:
        """Write, and end the transaction."""
        self._enter()
        super().commit()

    def look_at(self, state: State) -> None:
        """Refuse an object that was loaded past every filter, where its own columns say
        that it is somebody else's."""
        if not self.is_told_mine(state) and not self.is_lifted:
            refuse(
                NOT_FOUND,
                f"{state.class_.__name__} was loaded, and is somebody else's; the "
                "statement that has done so must say whose rows it wants",
            )

    def is_told_mine(self, state: State) -> bool:
        """Return whether an object does not itself say that it is somebody else's."""
        standing = self.standing
        there = state.dict
        for key, subject in standing.prepared.owners(state.mapper):
            mine = standing.ids if subject is Subject.ID else standing.tenants
            value = there.get(key, UNKNOWN)
            if value is not UNKNOWN and value not in mine:
                return False
        return True

    # What is known

    def is_proven(self, state: State) -> bool:
        """Return whether an object came through the filter, and was not attached."""
        return state not in self._unproven

    def remember(self, state: State) -> None:
        """Keep the key of a row that was verified, for the statements that write it."""
        mapper: AnyMapper = state.mapper
        if state.key:
            key = state.key[1]
        else:
            key = tuple(mapper.primary_key_from_instance(state.obj()))
        for one in mapper.iterate_to_root():
            self._written.add((table_of(one).fullname, *key))

    def remember_key(self, table: str, values: Mapping[str, object]) -> None:
        """Keep the key of a row that was asked for, and may be written."""
        names = self.enforcement.by_table[table].key
        if set(names) == set(values):
            self._written.add((table, *(values[name] for name in names)))

    def loaded(
        self, table: str, values: Mapping[str, object]
    ) -> tuple[State, AnyMapper] | None:
        """Return an object of this session by the key of its row.

        Args:
            table: the row's.
            values: by column, as they are in Python.
        """
        mapper = self.enforcement.by_key.get(table)
        if mapper is None:
            return None
        names = [column.name for column in mapper.primary_key]
        if set(names) != set(values):
            return None
        key = mapper.identity_key_from_primary_key(
            tuple(values[name] for name in names)
        )
        try:
            found = self.identity_map.get(key)
        except TypeError:  # what cannot be hashed is no key
            return None
        if found is None:
            return None
        state: State = found._sa_instance_state  # noqa: SLF001 - every mapped object has one
        return (state, state.mapper) if self.is_proven(state) else None

    def knows(self, table: str, values: Mapping[str, object], *, write: bool) -> bool:
        """Return whether a row is known to be the principal's.

        Args:
            table: the row's.
            values: of its primary key, as they are in Python.
            write: whether it has to be one that may be written.
        """
        if (table, *values.values()) in self._written:
            return True
        # What was loaded is taken as it was by a flush alone, which asks at its end.
        if self.flushing is None:
            return False
        if write and not self.prepared.written(table).is_plain:
            return False
        found = self.loaded(table, values)
        if found is None or not self.is_told_mine(found[0]):
            return False
        view, key = self.prepared.view, found[0].key
        condition = (view.write if write else view.read)[table]
        self.flushing.lean(table, condition, tuple(key[1]) if key else ())
        return True

    def hold(self, state: State, root: AnyMapper) -> None:
        """Note a row that this transaction writes: nobody else does until its end."""
        table, transaction = table_of(root).fullname, self.get_transaction()
        if self._holder is not transaction:
            self._holder, self._held = transaction, set()
        if len(self._held) < _MOST_HELD:
            key = (
                state.key[1]
                if state.key
                else root.primary_key_from_instance(state.obj())
            )
            self._held.add((table, *key))

    def has_asked(
        self, table: str, condition: Condition, key: tuple[object, ...]
    ) -> bool:
        """Return whether the database has told that a condition is true of a row: in
        this flush, or in this transaction where the row itself says it."""
        view = self.prepared.view
        if condition not in (view.write[table], view.leave[table], view.read[table]):
            return False
        if (table, *key) in self._written:
            return True
        if self._holder is None or self._holder is not self.get_transaction():
            return False
        return (table, *key) in self._held and not any(
            isinstance(part, Linked) for part in parts_of(condition)
        )

    @property
    def moved(self) -> Moved:
        """What the running flush has moved."""
        return {} if self.flushing is None else self.flushing.moved

    def has_moved(self, table: str) -> None:
        """Note that rows of a table are written: what was about to move has moved."""
        if self.flushing is not None and self.flushing.moving:
            moving = self.flushing.moving.pop(table, [])
            if moving:
                self.flushing.moved.setdefault(table, []).extend(moving)


@event.listens_for(OwnedSession, "after_begin")
def _begun(session: OwnedSession, transaction: object, connection: Connection) -> None:  # noqa: ARG001 - SQLAlchemy's signature
    # What ``execution_options()`` does, without asking the dialect what it makes of it.
    options = connection._execution_options  # noqa: SLF001 - a third of the time
    connection._execution_options = options.union({SESSION: session})  # noqa: SLF001 - likewise here


@event.listens_for(OwnedSession, "loaded_as_persistent", raw=True)
def _loaded(session: OwnedSession, state: State) -> None:
    if not session.is_told_mine(state):
        session.look_at(state)


@event.listens_for(OwnedSession, "after_soft_rollback")
def _undone(session: OwnedSession, transaction: object) -> None:  # noqa: ARG001 - SQLAlchemy's signature
    session._holder = None  # noqa: SLF001 - a part of the session


@event.listens_for(OwnedSession, "before_attach")
def _attached(session: OwnedSession, target: object) -> None:
    if isinstance(acting(), Unscoped):
        state: State = target._sa_instance_state  # type: ignore[attr-defined]  # noqa: SLF001 - every mapped object has one
        session._inside = WeakSet((*session._inside, state))  # noqa: SLF001 - a part of the session


@event.listens_for(OwnedSession, "detached_to_persistent")
def _reattached(session: OwnedSession, target: object) -> None:
    """What was loaded by somebody else, or made up, is asked for before it is written:
    stops an id of another's row that is attached to an empty object."""
    state: State = target._sa_instance_state  # type: ignore[attr-defined]  # noqa: SLF001 - every mapped object has one
    session._unproven = WeakSet((*session._unproven, state))  # noqa: SLF001 - a part of the session
    session.judge_attached(state)


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


def _is_second_wall(error: DBAPIError) -> bool:
    """Return whether PostgreSQL has refused a new row by a policy: its parent was given
    away after it was loaded. A privilege that lacks has the same code."""
    said = error.orig
    code = getattr(said, "sqlstate", None) or getattr(said, "pgcode", None)
    return code == "42501" and "row-level security" in str(said)


def _named(principal: Principal | None) -> str:
    return "nobody" if principal is None else f"the principal {principal.id}"
