"""The driver's own connections, on which nobody looks at statements: only where
ownership is lifted."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import base
from sqlalchemy.engine.base import OptionEngine

from ringfence.access.ownership.acting import acting
from ringfence.access.ownership.escape import Unscoped
from ringfence.access.ownership.refusals import UNFILTERED, refuse

# Those of SQLAlchemy's own functions that may take one from the pool.
_OPENS = frozenset(
    one.__code__
    for one in (
        Connection.__init__,
        Connection._revalidate_connection,  # noqa: SLF001 - it opens one anew
    )
)
_BETWEEN = ("sqlalchemy.pool.", "sqlalchemy.event.", "sqlalchemy.util.")
_TRUSTED = ("sqlalchemy.", "ringfence.")
_ASYNC = "sqlalchemy.ext.asyncio."


class OwnedConnection(Connection):
    """A connection that does not hand out the driver's."""

    @property
    def connection(self) -> Any:
        """The driver's connection, for SQLAlchemy itself and inside ``unscoped``."""
        if not _asked_by_library(sys._getframe(0)):  # noqa: SLF001 - who asks is all that tells
            _refuse_unless_lifted()
        return super().connection


class OwnedOptionEngine(OptionEngine):
    """What ``engine.execution_options(...)`` returns."""

    _connection_cls = OwnedConnection


OwnedOptionEngine._option_cls = OwnedOptionEngine  # noqa: SLF001 - there is no public way


def keep_closed(engine: Engine) -> None:
    """Have an engine hand out no connection of the driver's.

    Stops ``engine.raw_connection()``, ``engine.pool.connect()``,
    ``connection.connection`` and ``AsyncConnection.get_raw_connection()``.

    Not covered: connections that were taken before, and code that digs in private
    attributes: it is the application's own. Row-level security holds there as well.
    """
    engine._connection_cls = OwnedConnection  # noqa: SLF001 - there is no public way
    engine._option_cls = OwnedOptionEngine  # noqa: SLF001 - nor for this
    event.listen(engine, "checkout", _taken)


def _taken(dbapi_connection: object, record: object, proxy: object) -> None:  # noqa: ARG001 - SQLAlchemy's signature
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - who asks is all that tells
    while frame is not None and _is_between(frame):
        frame = frame.f_back
    if frame is None or frame.f_code not in _OPENS:
        _refuse_unless_lifted()


def _is_between(frame: FrameType) -> bool:
    module = frame.f_globals.get("__name__", "")
    if frame.f_code is base.Engine.raw_connection.__code__:
        return True
    return bool(module.startswith(_BETWEEN))


def _asked_by_library(frame: FrameType) -> bool:
    asker = frame.f_back
    module = "" if asker is None else asker.f_globals.get("__name__", "")
    return bool(module.startswith(_TRUSTED) and not module.startswith(_ASYNC))


def _refuse_unless_lifted() -> None:
    if not isinstance(acting(), Unscoped):
        refuse(
            UNFILTERED,
            "nobody looks at what is sent over a connection of the driver's; send it "
            'through a session or engine.connect(), or say unscoped("why")',
        )
