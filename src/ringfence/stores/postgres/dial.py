"""Making connections, with deadlines, and without a crowd at a server that is down."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from ringfence.errors import StoreError
from ringfence.stores.postgres.address import PostgresAddress
from ringfence.stores.postgres.drivers import Driver

_QUIET_SECONDS = 0.2
"""Nobody tries again for so long after an attempt has failed: a server that comes back
is noticed soon, and one that is down costs each request next to nothing."""


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
    from ringfence.stores.postgres.psycopg import Psycopg  # noqa: PLC0415 - same

    return Psycopg(address, settings or {})


class Dial:
    """Connects.

    Args:
        driver: speaks to the server.
        address: of it.
    """

    def __init__(self, driver: Driver, address: PostgresAddress) -> None:
        self.driver = driver
        self.generation = 0
        """Raised where all connections are to be given up."""
        self._address = address
        self._quiet_until = 0.0
        self._last = ""

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
        now = asyncio.get_running_loop().time()
        if now < self._quiet_until:
            raise StoreError(self._last)
        latest = now + self._address.connect_timeout
        try:
            async with asyncio.timeout_at(
                latest if until is None else min(latest, until)
            ):
                return await self.driver.connect(**more)
        except self.driver.errors as error:  # a timeout is an OSError
            failure = self.failure(error, "cannot be reached")
            self._last = str(failure)
            self._quiet_until = asyncio.get_running_loop().time() + _QUIET_SECONDS
            raise failure from error

    def drop(self) -> None:
        """Have all connections made anew, before they are used again."""
        self.generation += 1

    def failure(self, error: Exception, what: str = "could not answer") -> StoreError:
        """Return what is told of an error: the driver's first line, which shows no
        values and no password."""
        said = str(error).partition("\n")[0] or type(error).__name__
        return StoreError(f"the database {self._address.place} {what}: {said}")
