"""Tell the database, with each transaction of an engine, for whom it works."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.ext.asyncio import AsyncEngine

from ringfence.access.ownership.refusals import UNFILTERED, refuse
from ringfence.access.row_security.carried import (
    Begins,
    Carried,
    told,
)
from ringfence.access.row_security.context import Signer
from ringfence.access.row_security.drivers import open_driver
from ringfence.errors import DeclarationError

_KEPT = "ringfence.row_security"  # in the ``info`` of a connection
_GOING_BACK = "ROLLBACK"

# Said for all statements to come, it would stay on a connection of the server that the
# next client of the pooler has: their statements would show this principal's rows.
_POOLED_AUTOCOMMIT = (
    "Behind a pooler (pooled=True) the database can be told for whom a statement works "
    "only within a transaction: take AUTOCOMMIT off the engine, or use another engine, "
    "straight to the server, for statements that cannot run in a transaction"
)


class RowSecurity:
    """Have each transaction of an engine say for whom it works.

    With psycopg and asyncpg that goes out together with ``BEGIN``, and costs no round
    trip; with another driver it costs one a transaction. Where somebody else acts
    within a transaction (an ``unscoped`` block) it is said again before their first
    statement.

    Args:
        engine: of PostgreSQL.
        sign: writes for whom.
        pooled: a pooler (PgBouncer, in transaction mode) stands between, so that what
            is said cannot be bound to one process of the server. A role that sees
            ``pg_stat_activity`` then sees texts of other transactions of its own that
            would be good for it, until they end: ``Signer.lifetime``. Statements with
            AUTOCOMMIT are refused there.

    Raises:
        DeclarationError: the database is not PostgreSQL.

    Source: PostgreSQL 18, 5.9; CWE-639; CWE-294.

    Not covered: connections that the engine does not make (``creator=``) cost a round
    trip more.
    """

    def __init__(
        self, engine: Engine | AsyncEngine, sign: Signer, *, pooled: bool = False
    ) -> None:
        self.sign = sign
        """Writes for whom; may be replaced."""
        self._engine = required(engine)
        self._pooled = pooled
        dialect = self._engine.dialect
        self._driver = open_driver(dialect.driver, is_async=dialect.is_async)
        self._local, self._for_all = _saying(dialect.driver)

    def attach(self) -> None:
        """Install on the engine, once; before its first connection, so that each has
        it."""
        on = self._engine
        event.listen(on, "do_connect", self._connecting)
        event.listen(on, "begin", self._begun)
        event.listen(on, "begin_twophase", self._begun)
        event.listen(on, "rollback_savepoint", self._begun)
        event.listen(on, "before_cursor_execute", self._before)
        event.listen(on.pool, "reset", self._reset)

    def _connecting(
        self, dialect: Any, record: Any, arguments: Any, parameters: dict[str, Any]
    ) -> Any:
        return self._driver(arguments, parameters) if self._driver else None

    def _begun(self, connection: Connection, *_: object) -> None:
        """Forget, at the start and where a savepoint takes back what was said in it."""
        self._carried(connection).forget()

    def _before(  # noqa: PLR0913, PLR0917 - SQLAlchemy's signature
        self,
        connection: Connection,
        cursor: Any,
        statement: str,
        parameters: Any,
        context: Any,
        executemany: bool,  # noqa: FBT001 - SQLAlchemy's signature
    ) -> None:
        carried = self._carried(connection)
        actor = told()
        within = carried.begins is None or carried.begins.is_within()
        if not within or carried.begins is None:
            dbapi: Any = connection.connection.dbapi_connection
            if connection.dialect.detect_autocommit_setting(dbapi):
                if self._pooled and actor is not None:
                    refuse(UNFILTERED, _POOLED_AUTOCOMMIT)
                if not carried.has_said(actor) or carried.is_stale():
                    self._say(carried, connection, self._for_all)
                    carried.for_all = True
                return
        if not within:
            carried.prepare(actor)  # goes out with BEGIN
            return
        if not carried.has_said(actor):
            self._say(carried, connection, self._local)
        if statement.lstrip()[: len(_GOING_BACK)].upper() == _GOING_BACK:
            carried.forget()

    def _say(self, carried: Carried, connection: Connection, statement: str) -> None:
        text = carried.text(told())
        cursor = connection.connection.cursor()
        try:
            cursor.execute(statement, (text,))
        except BaseException:
            carried.forget()
            raise
        finally:
            cursor.close()

    def _carried(self, connection: Connection) -> Carried:
        info = connection.info
        carried: Carried | None = info.get(_KEPT)
        if carried is None or carried.sign is not self.sign:
            carried = info[_KEPT] = self._made(connection)
        return carried

    def _made(self, connection: Connection) -> Carried:
        driver: Any = connection.connection.driver_connection
        begins: Begins | None = driver if hasattr(driver, "is_within") else None
        carried = Carried(self.sign, self._backend(connection, begins), begins)
        if begins is not None:
            begins.carried = carried
        return carried

    def _backend(self, connection: Connection, begins: Begins | None) -> int | None:
        if self._pooled:
            return None
        if begins is not None:
            return begins.backend()
        cursor = connection.connection.cursor()
        try:
            cursor.execute("SELECT pg_catalog.pg_backend_pid()")
            row = cursor.fetchone()
        finally:
            cursor.close()
        return int(row[0]) if row else None

    def _reset(self, dbapi: Any, record: Any, state: Any) -> None:
        carried: Carried | None = record.info.get(_KEPT)
        if carried is None:
            return
        carried.forget()
        if carried.for_all and not state.terminate_only:
            carried.for_all = False
            cursor = dbapi.cursor()
            try:
                cursor.execute("RESET ringfence.principal")
            finally:
                cursor.close()


def _saying(driver: str) -> tuple[str, str]:
    """Return the statements that say it for one transaction, and for all to come. They
    stand here as they are sent, and so for the guard of statements as constants: an
    input that is one of their words is nobody's injection."""
    if driver == "asyncpg":
        return (
            "SELECT pg_catalog.set_config('ringfence.principal', $1, true)",
            "SELECT pg_catalog.set_config('ringfence.principal', $1, false)",
        )
    return (
        "SELECT pg_catalog.set_config('ringfence.principal', %s, true)",
        "SELECT pg_catalog.set_config('ringfence.principal', %s, false)",
    )


def required(engine: Engine | AsyncEngine) -> Engine:
    """Return an engine of PostgreSQL, as the one that has its events.

    Raises:
        DeclarationError: it is another's.
    """
    plain = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
    if plain.dialect.name != "postgresql":
        message = (
            f"row-level security is PostgreSQL's; {plain.dialect.name} has none, and "
            "what the sessions check is its only wall: leave row_security out"
        )
        raise DeclarationError(message)
    return plain
