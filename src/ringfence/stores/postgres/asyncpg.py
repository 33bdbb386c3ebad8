"""asyncpg as a driver."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # asyncpg ships no types

from ringfence.stores.postgres.address import PostgresAddress
from ringfence.stores.postgres.drivers import Fetch, server_settings

_GOOD_BYE = 0.5  # seconds


class Asyncpg:
    """See ``drivers.Driver``.

    Args:
        address: what to connect to.
        settings: of its sessions.
    """

    name = "asyncpg"
    errors: tuple[type[Exception], ...] = (
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        OSError,
        AttributeError,  # of asyncpg itself, where a connection ends while it is used
    )

    def __init__(self, address: PostgresAddress, settings: Mapping[str, str]) -> None:
        self._address = address
        self._settings = server_settings(address) | dict(settings)

    async def connect(self, **more: Any) -> Any:
        """Return a new connection."""
        return await asyncpg.connect(
            self._address.dsn,
            password=await self._address.password(),
            server_settings=self._settings,
            timeout=self._address.connect_timeout,
            command_timeout=self._address.timeout,
            **more,
        )

    async def prepare(self, connection: Any, query: str) -> Fetch:
        """Return what runs a statement, prepared now."""
        statement = await connection.prepare(query.format(keys="$1"))
        fetch: Fetch = statement.fetch
        return fetch

    def is_gone(self, connection: Any) -> bool:
        """Return whether the server has closed it."""
        return bool(connection.is_closed())

    def cut(self, connection: Any) -> None:
        """End it at once."""
        connection.terminate()

    async def close(self, connection: Any) -> None:
        """Close it."""
        try:
            await connection.close(timeout=_GOOD_BYE)
        except self.errors:  # a timeout is an OSError
            connection.terminate()
