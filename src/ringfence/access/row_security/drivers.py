"""Which drivers bring the context along with ``BEGIN``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Connecting = Callable[[Sequence[Any], dict[str, Any]], Any]
"""Takes what a dialect connects with; changes it, or returns a connection."""


def open_driver(name: str, *, is_async: bool) -> Connecting | None:
    """Return how connections of a driver are made; ``None`` for one that is not known,
    whose transactions say for whom they work in a round trip of their own.

    The driver is there: SQLAlchemy has imported it.
    """
    if name == "asyncpg":
        from ringfence.access.row_security import asyncpg  # noqa: PLC0415 - late: optional driver

        return asyncpg.connecting
    if name.startswith("psycopg") and name != "psycopg2":
        from ringfence.access.row_security import psycopg  # noqa: PLC0415 - late: optional driver

        return psycopg.connecting_async if is_async else psycopg.connecting
    return None
