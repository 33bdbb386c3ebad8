"""The database as ``stores.sql`` needs it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.exc import (
    DBAPIError,
    DisconnectionError,
    IntegrityError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ringfence.errors import StoreBusyError, StoreError
from ringfence.exchange import own_work
from ringfence.stores.clock import StoreClock
from ringfence.stores.postgres.address import PostgresAddress
from ringfence.stores.postgres.dial import Dial
from ringfence.stores.postgres.upgrade import bring_up_to_date

_OF_WAITING = 0.8  # of the time of a call, for a connection that is free
_READ_ONLY = "25006"
_TIME = text("SELECT extract(epoch FROM clock_timestamp())::float8")


class PostgresDatabase:
    """Connections for all that is not read with every request. See ``sql.Database``.

    No call outlives its deadline, whatever the server does: then its connection is cut
    off. Connections that the server has closed in the meantime (a restart, a failover)
    are noticed without a ping, before anything is sent on them; and what was sent, and
    is a change, is never sent twice.

    Args:
        address: of the server.
        dial: connects to it.
        clock: is told its time.
    """

    def __init__(self, address: PostgresAddress, dial: Dial, clock: StoreClock) -> None:
        self._address = address
        self._dial = dial
        self._clock = clock
        self._engine: AsyncEngine | None = None
        self._reader: AsyncEngine | None = None
        self._apart_from_us: set[asyncio.Task[Any]] = set()

    async def open(self) -> None:
        """Migrate if that is needed, make the pool, and ask for the time.

        Raises:
            StoreError: the server cannot be reached, or not be migrated.
        """
        await bring_up_to_date(self._address, self._dial)
        self._engine = new_engine(self._address, self._dial)
        self._reader = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        await self.ask_for_the_time()

    async def close(self) -> None:
        """Close the pool. Idempotent."""
        engine, self._engine, self._reader = self._engine, None, None
        while self._apart_from_us:
            await asyncio.wait(self._apart_from_us)
        if engine is not None:
            await engine.dispose()
        await self._dial.close()

    async def ask_for_the_time(self) -> None:
        """Tell the clock what time it is."""
        async with self.reading() as connection:
            asked = self._clock.steady()
            said = (await connection.execute(_TIME)).scalar_one()
            self._clock.hear(said, asked, self._clock.steady())

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """See ``sql.Database``."""
        async with self._using(self._reader) as connection:
            yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """See ``sql.Database``."""
        async with self._using(self._engine) as connection:
            yield connection
            await self._commit(connection)

    async def _commit(self, connection: AsyncConnection) -> None:
        try:
            await connection.commit()
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            self._dial.drop()
            message = (
                "the connection to the database was lost while a change was being "
                "committed; it may have been made"
            )
            raise StoreError(message) from error

    @asynccontextmanager
    async def _using(
        self, engine: AsyncEngine | None
    ) -> AsyncIterator[AsyncConnection]:
        """Lend a connection, and roll back what was not committed."""
        if engine is None:
            raise StoreError(f"the database {self._address.place} is not open")
        loop = asyncio.get_running_loop()
        until = loop.time() + self._address.timeout
        # A request that names our server could else keep us from it.
        ours = own_work.set(True)
        try:
            connection = await self._taken(engine.connect(), until)
            driver = (await connection.get_raw_connection()).driver_connection
            deadline = loop.call_at(until, self._dial.driver.cut, driver)
            try:
                yield connection
            finally:
                await self._give_back(connection, deadline)
        except IntegrityError:
            raise
        except PoolTimeoutError as error:
            message = f"all connections to {self._address.place} are in use"
            raise StoreBusyError(message, retry_after=1) from error
        except SQLAlchemyError as error:
            raise self._failure(error) from error
        except self._dial.driver.errors as error:
            raise self._failure(error) from error
        finally:
            own_work.reset(ours)

    async def _taken(
        self, connection: AsyncConnection, until: float
    ) -> AsyncConnection:
        """Take a connection from the pool. A pool that is cancelled meanwhile loses it:
        whoever goes away lets it be taken, and given back."""
        starting = self._apart(connection.start())
        try:
            async with asyncio.timeout_at(until):
                await asyncio.shield(starting)
        except (TimeoutError, asyncio.CancelledError):
            starting.add_done_callback(lambda _: self._apart(connection.close()))
            raise
        return connection

    async def _give_back(
        self, connection: AsyncConnection, deadline: asyncio.TimerHandle
    ) -> None:
        """Roll back what was not committed, also for whoever is cancelled meanwhile;
        and have it cut off at the deadline all the same."""

        async def close() -> None:
            try:
                await connection.close()
            finally:
                deadline.cancel()

        await asyncio.shield(self._apart(close()))

    def _apart(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Do something that is not cancelled with whoever has asked for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._apart_from_us.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._apart_from_us.discard(task)
        if not task.cancelled():
            task.exception()  # whoever was cancelled does not ask for it

    def _failure(self, error: Exception) -> StoreError:
        original = getattr(error, "orig", None) or error
        state = getattr(original, "sqlstate", None)
        if state == _READ_ONLY or getattr(error, "connection_invalidated", False):
            # The server has gone, or only answers reads now, and may be behind.
            self._dial.drop()
        return self._dial.failure(original)


def new_engine(address: PostgresAddress, dial: Dial, **options: Any) -> AsyncEngine:
    """Return an engine whose pool drops connections that the server has closed, or that
    were made before all were to be given up."""
    engine = create_async_engine(
        f"postgresql+{address.driver}://",
        pool_size=address.pool_size,
        max_overflow=address.max_overflow,
        pool_timeout=_OF_WAITING * address.timeout,
        hide_parameters=True,  # else errors would show hashes and addresses
        connect_args={"async_creator_fn": dial.connect_for_pool},
        **({"use_native_hstore": False} if address.driver == "psycopg" else {}),
        **options,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def remember(_: Any, record: Any) -> None:
        record.info["generation"] = dial.generation

    @event.listens_for(engine.sync_engine, "checkout")
    def look(connection: Any, record: Any, _: Any) -> None:
        if record.info.get("generation") != dial.generation or dial.driver.is_gone(
            connection.driver_connection
        ):
            raise DisconnectionError

    return engine
