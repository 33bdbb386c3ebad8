"""The second wall of one database: what a ``Database`` holds of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import Engine, Table
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from ringfence.access.ownership.conditions import TableRule
from ringfence.access.ownership.escape import unscoped
from ringfence.access.policy import Hierarchy
from ringfence.access.row_security.carried import inspecting
from ringfence.access.row_security.context import Signer
from ringfence.access.row_security.engine import RowSecurity, required
from ringfence.access.row_security.inspect import Standing, standing
from ringfence.access.row_security.policies import APP_ROLE, Wall, wall
from ringfence.access.row_security.tables import shapes_of
from ringfence.clock import Clock, system_clock
from ringfence.errors import SettingsError, StoreError


class SecondWall:
    """Row-level security of one database.

    Args:
        engine: of PostgreSQL, with the role that the application has.
        rules: of all tables.
        tables: all that have rules.
        role: what the role of the application is to be a member of.
        schema: of tables that name none.
        pooled: see ``RowSecurity``.

    Raises:
        DeclarationError: the database is not PostgreSQL, or a rule cannot be said in a
            policy.
    """

    def __init__(  # noqa: PLR0913 - one argument a setting
        self,
        engine: Engine | AsyncEngine,
        rules: Sequence[TableRule],
        tables: Iterable[Table],
        *,
        role: str = APP_ROLE,
        schema: str = "public",
        pooled: bool = False,
    ) -> None:
        required(engine)
        self._engine = engine
        self._rules = rules
        self._pooled = pooled
        self._attached: RowSecurity | None = None
        self.key: Callable[[], bytes] = _no_key
        """Returns the key that signs: ``lambda: keyring.derive(PURPOSE)``. A guard
        gives its own."""
        self.wall: Wall = wall(rules, shapes_of(tables, schema=schema), role=role)

    def attach(self, hierarchy: Hierarchy) -> None:
        """Have each transaction say for whom it works.

        Args:
            hierarchy: roles with what they include, expanded.
        """
        sign = Signer(lambda: self.key(), self._rules, hierarchy)  # noqa: PLW0108 - it may be given later
        if self._attached is not None:
            self._attached.sign = sign
            return
        self._attached = RowSecurity(self._engine, sign, pooled=self._pooled)
        self._attached.attach()

    async def standing(
        self, keys: Sequence[bytes] = (), *, clock: Clock = system_clock
    ) -> Standing:
        """Return whether the wall stands in the live database.

        Args:
            keys: that sign, now or soon; empty not to ask for them.
            clock: to compare that of the database with.

        Raises:
            StoreError: the database cannot be asked.
        """
        engine = self._engine
        asking = inspecting.set(True)
        try:
            # The first wall may stand on this engine, and knows nothing of catalogues.
            with unscoped("row-level security is inspected"):
                if isinstance(engine, AsyncEngine):
                    async with engine.connect() as there:
                        return await there.run_sync(standing, self.wall, keys, clock())
                with engine.connect() as plain:
                    return standing(plain, self.wall, keys, clock())
        except (SQLAlchemyError, OSError) as error:
            message = f"the database cannot be asked about its policies: {error}"
            raise StoreError(message) from error
        finally:
            inspecting.reset(asking)

    async def dispose(self) -> None:
        """Close the connections of the engine: those of an event loop that ends."""
        if isinstance(self._engine, AsyncEngine):
            await self._engine.dispose()
        else:
            self._engine.dispose()


def _no_key() -> bytes:
    message = (
        "row-level security signs for whom a transaction works, and has no key: give "
        "the database to a Guard, or call its sign_with"
    )
    raise SettingsError(message)
