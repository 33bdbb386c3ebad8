"""A database of SQLAlchemy's whose rows have owners."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Session, registry

from ringfence.access.ownership.conditions import TableRule
from ringfence.access.ownership.rules import Declared, said_of
from ringfence.access.policy import Hierarchy
from ringfence.access.roles import expand
from ringfence.access.row_security.second_wall import SecondWall
from ringfence.access.sqlalchemy.enforcement import Enforcement, forget
from ringfence.access.sqlalchemy.flush import listen
from ringfence.access.sqlalchemy.lost import is_about_a_lost_row
from ringfence.access.sqlalchemy.raw import keep_closed, refuse_taken
from ringfence.access.sqlalchemy.self_test import test_filter
from ringfence.access.sqlalchemy.session import OwnedSession
from ringfence.access.sqlalchemy.unstorable import is_about_a_value
from ringfence.access.sqlalchemy.wall import Wall
from ringfence.audit.events import Event

_ROLES = {"admin": ("operator",)}  # as the guard has them, where nothing else is said


class Database:
    """Sessions in which everybody sees and writes what is theirs.

    Every statement of these sessions is filtered by what ``@access.rows`` says; what is
    added, changed and removed is verified before it is written; and whatever reaches
    the engine by another way is judged by its text and refused unless it says, on every
    path, whose rows it wants::

        database = Database(create_async_engine("sqlite+aiosqlite:///shop.db"), Base)
        app = Guard(api, data=database)

    Outside requests, in jobs and tests, it works for whoever ``access.acting_as`` says.

    Args:
        engine: of SQLAlchemy, sync or async, for SQLite, PostgreSQL or MySQL. Every
            statement on it is judged from now on, whoever sends it.
        models: the declarative base, or its registry; every mapped class must say whose
            its rows are.
        tables: what is said of tables that no class maps, each by its name: a rule,
            or ``access.rows(read, write=...)``.
        row_security: tell PostgreSQL with each transaction for whom it works, so that
            the policies of ``ringfence rls`` hold. Outside a guard ``sign_with`` takes
            the key.
        pooled: a pooler (PgBouncer, in transaction mode) stands before PostgreSQL.

    Raises:
        TypeError: no engine, or no declarative base.
        DeclarationError: what is declared cannot be enforced; the engine has a
            database already; or SQLAlchemy does otherwise than the filter needs.

    Source: ASVS 5.0 V8.2.2, V8.4.1; OWASP API1:2023; CWE-639, CWE-862.

    Not covered: other engines on the same database; what database functions, triggers
    and views read by themselves; connections of the driver that were taken from the
    pool before. Row-level security holds there: ``ringfence rls``. Whether a row exists
    can still be told from a unique or foreign key that is violated: use unguessable
    ids.
    """

    def __init__(
        self,
        engine: AsyncEngine | Engine,
        models: type[DeclarativeBase] | registry,
        *,
        tables: Mapping[str, Declared] | None = None,
        row_security: bool = False,
        pooled: bool = False,
    ) -> None:
        if not isinstance(engine, AsyncEngine | Engine):
            raise TypeError(
                "Database takes an engine, as create_async_engine(...) makes one; not "
                f"{type(engine).__name__}. Sessions come from database.session()"
            )
        sync = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
        refuse_taken(sync)
        found = models if isinstance(models, registry) else _registry_of(models)
        self._engine = engine
        unmapped = {
            name: said_of(f"the table {name}", declared)
            for name, declared in (tables or {}).items()
        }
        self._enforcement = Enforcement(found, unmapped)
        self.second_wall = (
            SecondWall(
                engine,
                self._enforcement.rules,
                self._enforcement.tables.values(),
                pooled=pooled,
            )
            if row_security
            else None
        )
        """Row-level security, where it is switched on."""
        self.bind(expand(_ROLES), forget)
        for mapper in self._enforcement.mappers:
            listen(mapper)
        # One that stands alone: no UPDATE reaches over two tables of one class.
        alone = (one for one in self._enforcement.mappers if one.inherits is None)
        for mapper in islice(alone, 1):
            test_filter(mapper, sync.dialect)
        self.wall = Wall(sync, self._enforcement)
        keep_closed(sync)

    def bind(self, hierarchy: Hierarchy, record: Callable[[Event], None]) -> None:
        """Take from the guard what roles include and where events go.

        Args:
            hierarchy: each role with the roles it includes.
            record: writes an event into the ledger.
        """
        self._enforcement.bind(hierarchy, record)
        if self.second_wall is not None:
            self.second_wall.attach(hierarchy)

    def sign_with(self, key: Callable[[], bytes]) -> None:
        """Take from the guard the key that signs for whom a transaction works."""
        if self.second_wall is not None:
            self.second_wall.key = key

    def rules(self) -> Sequence[TableRule]:
        """Return what is enforced, for the plan."""
        return self._enforcement.rules

    def models(self) -> Sequence[type]:
        """Return the mapped classes, for the plan."""
        return [mapper.class_ for mapper in self._enforcement.mappers]

    def refuses_value(self, error: BaseException | None) -> bool:
        """Return whether a statement has failed only because of a value that no column
        can hold, which a request has brought."""
        return is_about_a_value(error)

    def has_lost(self, error: BaseException | None) -> bool:
        """Return whether an object could not be loaded again, because its row is gone
        or somebody else's by now."""
        return is_about_a_lost_row(error)

    def session(self, **options: Any) -> Any:
        """Return a new session of whoever is acting now; nobody else can use it.

        Args:
            options: of ``Session`` and ``AsyncSession``, such as ``autoflush``. An
                ``AsyncSession`` keeps what it has loaded after a commit, unless
                ``expire_on_commit=True``: loading again needs an ``await``.

        Returns:
            A ``Session`` for an engine, an ``AsyncSession`` for an async one.
        """
        if isinstance(self._engine, AsyncEngine):
            options.setdefault("expire_on_commit", False)
            return AsyncSession(
                self._engine,
                sync_session_class=OwnedSession,
                enforcement=self._enforcement,
                **options,
            )
        return OwnedSession(self._engine, enforcement=self._enforcement, **options)

    def open(self) -> Session | AsyncSession:
        """Return the session of one request: ``current.database()``."""
        made: Session | AsyncSession = self.session()
        return made

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """Open a session; commit at the end of the block, or roll back if it raises.
        For async engines; elsewhere ``with database.session() as db, db.begin():``.

        Raises:
            TypeError: the engine is not async.
        """
        if not isinstance(self._engine, AsyncEngine):
            raise TypeError("transaction() is for async engines; use session().begin()")
        session: AsyncSession
        async with self.session() as session, session.begin():
            yield session

    async def dispose(self) -> None:
        """Close connections."""
        if isinstance(self._engine, AsyncEngine):
            await self._engine.dispose()
        else:
            self._engine.dispose()


def _registry_of(models: object) -> registry:
    found = getattr(models, "registry", None)
    if not isinstance(found, registry):
        raise TypeError(
            "Database takes the declarative base of the models, or its registry; not "
            f"{type(models).__name__}. Models of two bases have one registry where the "
            "second base says registry = First.registry"
        )
    return found
