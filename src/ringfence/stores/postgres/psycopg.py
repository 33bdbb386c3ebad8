"""psycopg 3 as a driver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from ringfence.stores.postgres.address import PostgresAddress
from ringfence.stores.postgres.drivers import (
    Fetch,
    is_readable,
    server_settings,
    shut_down,
)


class Psycopg:
    """See ``drivers.Driver``.

    Args:
        address: what to connect to.
        settings: of its sessions.
    """

    name = "psycopg"
    errors: tuple[type[Exception], ...] = (psycopg.Error, OSError)

    def __init__(self, address: PostgresAddress, settings: Mapping[str, str]) -> None:
        self._address = address
        of_url = psycopg.conninfo.conninfo_to_dict(address.dsn).get("options", "")
        limits = (server_settings(address) | dict(settings)).items()
        # What the URL says comes last, and holds.
        ours = " ".join(f"-c {name}={value}" for name, value in limits)
        self._options = f"{ours} {of_url}".rstrip()

    async def connect(self, **more: Any) -> psycopg.AsyncConnection[Any]:
        """Return a new connection."""
        password = await self._address.password()
        if password is not None:
            more["password"] = password
        return await _Connection.connect(
            self._address.dsn, options=self._options, **more
        )

    async def prepare(
        self, connection: psycopg.AsyncConnection[Any], query: str
    ) -> Fetch:
        """Return what runs a statement, prepared the first time."""
        cursor = connection.cursor(binary=True)
        statement = query.format(keys="%b").encode()
        await connection.set_autocommit(True)

        async def fetch(keys: list[bytes]) -> Sequence[Sequence[Any]]:
            await cursor.execute(statement, (keys,), prepare=True)
            return await cursor.fetchall()

        return fetch

    def is_gone(self, connection: psycopg.AsyncConnection[Any]) -> bool:
        """Return whether the server has closed it."""
        return connection.closed or is_readable(connection.fileno())

    def cut(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """End it at once."""
        if not connection.closed:
            shut_down(connection.fileno())

    async def close(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Close it."""
        await connection.close()


class _Connection(psycopg.AsyncConnection[Any]):
    """A connection that is given up where its user is cancelled."""

    async def cancel_safe(self, *, timeout: float = 0.0) -> None:  # noqa: ASYNC109 - psycopg's signature
        """End it. psycopg would ask the server over another connection to stop what it
        does, and a server that hangs lets that wait for five seconds."""
        shut_down(self.fileno())
