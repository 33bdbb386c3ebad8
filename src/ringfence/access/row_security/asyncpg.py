"""asyncpg: the context goes out with ``BEGIN``, as one message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # asyncpg ships no types

from ringfence.access.row_security.carried import Carried


class Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg ships no types
    """A connection whose transactions say for whom they work.

    Where a future asyncpg begins transactions in another way, nothing goes out with
    ``BEGIN``, and ``RowSecurity`` says it before the first statement instead.
    """

    __slots__ = ("carried",)

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.carried: Carried | None = None

    def is_within(self) -> bool:
        """Return whether a transaction has begun."""
        within: bool = self.is_in_transaction()
        return within

    def backend(self) -> int:
        """Return the process of the server."""
        process: int = self.get_server_pid()
        return process

    async def execute(
        self,
        query: str,
        *args: Any,
        timeout: float | None = None,  # noqa: ASYNC109 - asyncpg's signature
    ) -> str:
        """Run statements; what begins a transaction says for whom."""
        if self.carried is not None and not args and query.startswith("BEGIN"):
            query = f"{query.rstrip('; ')}; {self.carried.behind_begin()}"
        status: str = await super().execute(query, *args, timeout=timeout)
        return status


def connecting(_: Sequence[Any], parameters: dict[str, Any]) -> None:
    """Have new connections be such, unless the application makes its own."""
    if "async_creator_fn" not in parameters:
        parameters.setdefault("connection_class", Connection)
