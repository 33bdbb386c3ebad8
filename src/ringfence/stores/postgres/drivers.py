"""What is needed of psycopg and asyncpg, alike for both: to connect with limits, to
notice that a connection is gone, to cut it off, and the one read that goes past
SQLAlchemy."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from ringfence.stores.postgres.address import PostgresAddress

Rows = Sequence[Sequence[Any]]
Fetch = Callable[[list[bytes]], Awaitable[Rows]]
"""Runs a prepared statement whose one parameter is a list of keys."""


class Driver(Protocol):
    """Speaks to a server."""

    name: str
    errors: tuple[type[Exception], ...]

    async def connect(self, **more: Any) -> Any:
        """Return a new connection."""

    async def prepare(self, connection: Any, query: str) -> Fetch:
        """Return what runs a statement whose parameter is written as ``{keys}``."""

    def is_gone(self, connection: Any) -> bool:
        """Return whether the server has closed an idle connection, without asking."""

    def cut(self, connection: Any) -> None:
        """End a connection at once, whatever is going on there: whoever waits for it is
        told that it is gone. A server that does not answer is not asked for anything.
        """

    async def close(self, connection: Any) -> None:
        """Say good-bye, and close a connection that is idle."""


def server_settings(address: PostgresAddress) -> dict[str, str]:
    """Return what the server enforces by itself. It gives up a little before we do, so
    that it can say why; and it frees what a client that was lost has locked. What is
    idle shows a sign of life once a minute: firewalls and load balancers forget others
    after some minutes, and the first request of the morning would wait in vain."""
    milliseconds = int(address.timeout * 1000)
    return {
        "statement_timeout": str(milliseconds * 4 // 5),
        "lock_timeout": str(milliseconds * 3 // 5),
        "idle_in_transaction_session_timeout": str(milliseconds * 2),
        "tcp_keepalives_idle": "60",
        "tcp_keepalives_interval": "10",
    }


def is_readable(descriptor: int) -> bool:
    """Return whether there is something to read on an idle connection: it says that
    the server has closed it."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def shut_down(descriptor: int) -> None:
    """End a socket in both directions; its owner sees its end, and closes it."""
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as ending:
        ending.shutdown(socket.SHUT_RDWR)
