"""Making connections, with deadlines, and without a crowd at a server that is down."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from ringfence.errors import StoreError
from ringfence.stores.postgres.address import PostgresAddress
from ringfence.stores.postgres.drivers import Driver

_AGAIN_SECONDS = 0.3
"""Between two attempts to reach a server that is down."""


def open_driver(
    address: PostgresAddress, settings: Mapping[str, str] | None = None
) -> Driver:
    """Return the driver of an address.

    Args:
        address: of the server.
        settings: of its sessions, on top of the limits that they have anyway.

    Raises:
        ImportError: it is not installed.
    """
    if address.driver == "asyncpg":
        from ringfence.stores.postgres.asyncpg import Asyncpg  # noqa: PLC0415 - late: picks a backend

        return Asyncpg(address, settings or {})
    from ringfence.stores.postgres.psycopg import Psycopg  # noqa: PLC0415 - late: picks a backend

    return Psycopg(address, settings or {})


class Dial:
    """Connects.

    Once an attempt has failed, one task goes on trying, and everybody else is told at
    once: a server that is down, or takes connections and says nothing, costs a request
    next to nothing, and its return is noticed though nobody asks.

    Args:
        driver: speaks to the server.
        address: of it.
    """

    def __init__(self, driver: Driver, address: PostgresAddress) -> None:
        self.driver = driver
        self.generation = 0
        """Raised where all connections are to be given up."""
        self._address = address
        self._last = ""
        self._is_down = False
        self._seeking: asyncio.Task[None] | None = None

    async def connect_for_pool(self, *_: Any, **more: Any) -> Any:
        """Return a new connection to SQLAlchemy, which knows no address of its own."""
        return await self.connect(**more)

    async def connect(self, until: float | None = None, **more: Any) -> Any:
        """Return a new connection.

        Args:
            until: give up then, by the loop's clock, or earlier.
            more: for the driver.

        Raises:
            StoreError: there is none to be had.
        """
        if self._is_down:
            raise StoreError(self._last)
        latest = asyncio.get_running_loop().time() + self._address.connect_timeout
        try:
            async with asyncio.timeout_at(
                latest if until is None else min(latest, until)
            ):
                return await self.driver.connect(**more)
        except self.driver.errors as error:  # a timeout is an OSError
            failure = self._note(error)
            self._is_down = True
            if self._seeking is None:
                self._seeking = asyncio.create_task(self._seek())
            raise failure from error

    async def _seek(self) -> None:
        """Try until the server is back. An attempt that hears nothing holds up none of
        those after it."""
        attempts: set[asyncio.Task[None]] = set()
        try:
            while self._is_down:
                attempts = {one for one in attempts if not one.done()}
                attempts.add(asyncio.create_task(self._attempt()))
                await asyncio.sleep(_AGAIN_SECONDS)
            self._seeking = None
        finally:
            for one in attempts:
                one.cancel()
            if attempts:  # each closes what it has opened, while there is a loop
                await asyncio.wait(attempts)

    async def _attempt(self) -> None:
        try:
            async with asyncio.timeout(self._address.connect_timeout):
                connection = await self.driver.connect()
                self._is_down = False
                try:
                    await self.driver.close(connection)
                except BaseException:  # cancelled on the way, say
                    self.driver.cut(connection)
                    raise
        except self.driver.errors as error:
            self._note(error)

    def _note(self, error: Exception) -> StoreError:
        failure = self.failure(error, "cannot be reached")
        self._last = str(failure)
        return failure

    async def close(self) -> None:
        """Stop trying. Idempotent."""
        seeking, self._seeking, self._is_down = self._seeking, None, False
        if seeking is not None:
            seeking.cancel()
            await asyncio.wait([seeking])

    def drop(self) -> None:
        """Have all connections made anew, before they are used again."""
        self.generation += 1

    def failure(self, error: Exception, what: str = "could not answer") -> StoreError:
        """Return what is told of an error: the driver's first line, which shows no
        values and no password."""
        said = str(error).partition("\n")[0] or type(error).__name__
        if isinstance(error, TimeoutError):
            said = "no answer in time (timeout and connect_timeout in its URL)"
        if isinstance(error, ConnectionRefusedError):  # asyncpg's
            said = "nobody listens there; is it running, on this port?"
        return StoreError(f"the database {self._address.place} {what}: {said}")
