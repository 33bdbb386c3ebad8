"""A database of SQLAlchemy's whose rows have owners."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Session, registry

from ringfence.access.ownership.conditions import TableRule
from ringfence.access.ownership.rules import Rows
from ringfence.access.policy import Hierarchy
from ringfence.access.roles import expand
from ringfence.access.sqlalchemy.enforcement import Enforcement
from ringfence.access.sqlalchemy.flush import listen
from ringfence.access.sqlalchemy.session import OwnedSession
from ringfence.access.sqlalchemy.wall import Wall
from ringfence.audit.events import Event


class Database:
    """Sessions in which everybody sees and writes what is theirs.

    Args:
        engine: of SQLAlchemy, sync or async. Every statement on it is judged from now
            on, whoever sends it.
        models: the mapped classes, each with ``@access.rows``.
        tables: what is said of tables that no class maps, by name.

    Raises:
        DeclarationError: what is declared cannot be enforced.
    """

    def __init__(
        self,
        engine: AsyncEngine | Engine,
        models: type[DeclarativeBase] | registry,
        *,
        tables: Mapping[str, Rows] | None = None,
    ) -> None:
        self._engine = engine
        found = models if isinstance(models, registry) else models.registry
        self._enforcement = Enforcement(found, tables or {})
        self._enforcement.bind(expand({"admin": ("operator",)}), _unheard)
        for mapper in self._enforcement.mappers:
            listen(mapper)
        sync = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
        self._wall = Wall(sync, self._enforcement)

    def bind(self, hierarchy: Hierarchy, record: Callable[[Event], None]) -> None:
        """Take from the guard what roles include and where events go."""
        self._enforcement.bind(hierarchy, record)

    def rules(self) -> Sequence[TableRule]:
        """Return what is enforced, for the plan."""
        return self._enforcement.rules

    def session(self, **options: Any) -> Any:
        """Return a new session of whoever is acting.

        Args:
            options: of ``Session`` and ``AsyncSession``.

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
        """Return the session of one request."""
        made: Session | AsyncSession = self.session()
        return made

    async def dispose(self) -> None:
        """Close connections."""
        if isinstance(self._engine, AsyncEngine):
            await self._engine.dispose()
        else:
            self._engine.dispose()


def _unheard(event: Event) -> None:
    """Where events go before a guard has said."""
