"""The driver's own connections, on which nobody looks at statements: only where
ownership is lifted."""

from __future__ import annotations

import sys
from types import FrameType, FunctionType
from typing import Any

from sqlalchemy import Connection, Engine, Pool
from sqlalchemy.engine.base import OptionEngine

from ringfence.access.ownership.acting import acting
from ringfence.access.ownership.escape import Unscoped
from ringfence.access.ownership.refusals import UNFILTERED, refuse
from ringfence.access.sqlalchemy.writing import WritingConnection
from ringfence.errors import DeclarationError

# By identity: the hash of code goes over all of it.
_OPENS = frozenset(
    id(one.__code__)
    for one in (
        Connection.__init__,
        Connection._revalidate_connection,  # noqa: SLF001 - it opens one anew
    )
)
_OPENS_BY = Engine.raw_connection.__code__
_ASKS = frozenset(
    id(one.__code__)
    for one in vars(Connection).values()
    if isinstance(one, FunctionType)
)
_TRUSTED = ("sqlalchemy.", "ringfence.")
_ASYNC = "sqlalchemy.ext.asyncio."


class OwnedConnection(WritingConnection):
    """A connection that does not hand out the driver's."""

    @property
    def connection(self) -> Any:
        """The driver's connection, for SQLAlchemy itself and inside ``unscoped``."""
        asker = sys._getframe(0).f_back  # noqa: SLF001 - who asks is all that tells
        if asker is None or id(asker.f_code) not in _ASKS:
            _refuse_unless_trusted(asker)
        there = self._dbapi_connection
        return super().connection if there is None else there


class OwnedOptionEngine(OptionEngine):
    """What ``engine.execution_options(...)`` returns."""

    _connection_cls = OwnedConnection


OwnedOptionEngine._option_cls = OwnedOptionEngine  # noqa: SLF001 - there is no public way


def refuse_taken(engine: Engine) -> None:
    """Refuse an engine on which another database judges statements already.

    Raises:
        DeclarationError: each would refuse the tables of which only the other knows.
    """
    if isinstance(engine.pool, OwnedPool):
        message = (
            "this engine has a Database already, and each would refuse the other's "
            "tables; give one Database all of the models (bases that share a registry: "
            "class Base(DeclarativeBase): registry = shared), or each an engine"
        )
        raise DeclarationError(message)


def keep_closed(engine: Engine) -> None:
    """Have an engine hand out no connection of the driver's.

    Stops ``engine.raw_connection()``, ``engine.pool.connect()``,
    ``connection.connection`` and ``AsyncConnection.get_raw_connection()``.

    Not covered: connections that were taken before, and code that digs in private
    attributes: it is the application's own. Row-level security holds there as well.
    """
    engine._connection_cls = OwnedConnection  # noqa: SLF001 - there is no public way
    engine._option_cls = OwnedOptionEngine  # noqa: SLF001 - nor for this
    # A class rather than a listener: what is recreated after ``dispose`` is of it too.
    pool = engine.pool
    pool.__class__ = type("OwnedPool", (OwnedPool, type(pool)), {})


class OwnedPool(Pool):
    """A pool that gives connections to SQLAlchemy's own functions."""

    def connect(self) -> Any:
        """Take a connection of the driver's."""
        asker = sys._getframe(0).f_back  # noqa: SLF001 - who asks is all that tells
        opener = None if asker is None else asker.f_back
        if (
            asker is None
            or opener is None
            or asker.f_code is not _OPENS_BY
            or id(opener.f_code) not in _OPENS
        ):
            _refuse_unless_lifted()
        return super().connect()


def _refuse_unless_trusted(asker: FrameType | None) -> None:
    module = "" if asker is None else asker.f_globals.get("__name__", "")
    if not module.startswith(_TRUSTED) or module.startswith(_ASYNC):
        _refuse_unless_lifted()


def _refuse_unless_lifted() -> None:
    if not isinstance(acting(), Unscoped):
        refuse(
            UNFILTERED,
            "nobody looks at what is sent over a connection of the driver's; send it "
            'through a session or engine.connect(), or say unscoped("why")',
        )
