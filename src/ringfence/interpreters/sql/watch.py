"""Guard what automatic arming may have missed, or say that it cannot be done."""

from __future__ import annotations

import importlib
from typing import TypeVar

_Watched = TypeVar("_Watched")

_DRIVERS = {
    "sqlalchemy": "sqlalchemy",
    "aiosqlite": "aiosqlite",
    "psycopg": "psycopg",
    "psycopg_pool": "psycopg",
    "asyncpg": "asyncpg",
    "pymysql": "mysql",
    "aiomysql": "mysql",
    "asyncmy": "mysql",
}


def watch(opened: _Watched) -> _Watched:
    """Have the statements of an engine, a pool or a connection judged.

    A ``Guard`` arms the drivers by itself, so that this is needed only to be sure: what
    cannot be guarded says so here.

    Args:
        opened: an engine of SQLAlchemy, synchronous or not; a pool or connection of
            sqlite3, aiosqlite, psycopg, asyncpg, aiomysql or asyncmy.

    Returns:
        The same.

    Raises:
        TypeError: its statements cannot be judged; says what to do.

    Not covered: drivers that no guard knows; ``ringfence check`` names them.
    """
    for kind in type(opened).__mro__:
        library = kind.__module__.partition(".")[0]
        if library in _DRIVERS:
            module = f"ringfence.interpreters.sql.drivers.{_DRIVERS[library]}"
            importlib.import_module(module).arm()
            return opened
        if library in {"sqlite3", "_sqlite3"}:
            _look_at_sqlite(opened)
            return opened
    names = ", ".join(sorted({"sqlite3", *_DRIVERS}))
    kind_name = f"{type(opened).__module__}.{type(opened).__qualname__}"
    raise TypeError(
        f"statements of {kind_name} cannot be judged; watched are engines, pools and"
        f" connections of {names}"
    )


def _look_at_sqlite(opened: object) -> None:
    if not hasattr(opened, "ringfence_asks"):
        raise TypeError(
            "this connection of sqlite3 was opened before ringfence was imported, and"
            " its C type takes no guard later: import ringfence first"
        )
