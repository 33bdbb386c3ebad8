"""psycopg: the context goes out with ``BEGIN``, as one message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import generators
from psycopg.abc import PQGen
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, Format, TransactionStatus
from psycopg.pq.abc import PGresult

from ringfence.access.row_security.carried import Carried

_GOOD = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)


class _Beginning:
    """What sends ``BEGIN`` also says for whom the transaction works.

    ``_exec_command`` is private to psycopg. Should it vanish, nothing goes out with
    ``BEGIN``, and ``RowSecurity`` says it before the first statement instead.
    """

    carried: Carried | None = None

    def is_within(self: Any) -> bool:
        """Return whether a transaction has begun."""
        within: bool = self.pgconn.transaction_status != TransactionStatus.IDLE
        return within

    def backend(self: Any) -> int:
        """Return the process of the server."""
        process: int = self.pgconn.backend_pid
        return process

    def _exec_command(
        self: Any, command: Any, result_format: Format = Format.TEXT
    ) -> PQGen[PGresult | None]:
        inherited = super()._exec_command  # type: ignore[misc]  # of the class beside
        carried: Carried | None = self.carried
        if carried is None or not _begins(command):
            done: PGresult | None = yield from inherited(command, result_format)
            return done
        further = carried.behind_begin().encode("ascii")
        if self._pipeline:  # sends both before it waits for either
            yield from inherited(command, result_format)
            yield from inherited(further, result_format)
            return None
        self._check_connection_ok()
        self.pgconn.send_query(command + b"; " + further)
        for result in (results := (yield from generators.execute(self.pgconn))):
            if result.status not in _GOOD:
                raise error_from_result(result, encoding=self.pgconn._encoding)  # noqa: SLF001 - as psycopg itself does
        first: PGresult = results[0]
        return first


class Connection(_Beginning, psycopg.Connection[Any]):
    """A connection whose transactions say for whom they work."""


class AsyncConnection(_Beginning, psycopg.AsyncConnection[Any]):
    """The same, for asyncio."""


def connecting(arguments: Sequence[Any], parameters: dict[str, Any]) -> Connection:
    """Return a new connection."""
    return Connection.connect(*arguments, **parameters)


def connecting_async(_: Sequence[Any], parameters: dict[str, Any]) -> None:
    """Have new connections be such, unless the application makes its own."""
    parameters.setdefault("async_creator_fn", AsyncConnection.connect)


def _begins(command: object) -> bool:
    return isinstance(command, bytes) and command.startswith(b"BEGIN")
