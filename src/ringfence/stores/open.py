"""Opening the shelves that a URL names: the only place that picks a backend."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from ringfence.clock import Clock, system_clock
from ringfence.errors import MissingExtraError, SettingsError
from ringfence.stores.contracts import CopyStore, SharedStore, Stores
from ringfence.stores.copied import CopiedStores
from ringfence.stores.memory import MemoryStores, SessionsInMemory
from ringfence.stores.memory_shared import MemoryShared
from ringfence.stores.seal import Keys

_FORGETFUL = frozenset({"redis", "rediss", "valkey", "valkeys"})


def open_stores(
    database: str,
    sessions: Literal["database", "memory"] = "database",
    copies: CopyStore | None = None,
    keys: Keys | None = None,
) -> Stores:
    """Return the stores at ``database``. Nothing is read or written before ``start``.

    Args:
        database: ``sqlite:///relative/path`` or ``sqlite:////absolute/path``;
            ``postgresql://user@host/database`` (see ``postgres.address``); or
            ``memory://`` for accounts and sessions that end with the process.
        sessions: ``memory`` keeps them in this process, with accounts in SQLite. Not
            with PostgreSQL: it is for several processes, and does not tell the others
            when an account is changed.
        copies: keeps copies of what the database says; opened by whoever made it. What
            is in the memory of this process is not copied.
        keys: returns the keys that copies are sealed with, the newest first; needed
            with ``copies``.

    Raises:
        SettingsError: the URL names no database that this version knows.
        MissingExtraError: the database's library is not installed.
    """
    stores = open_database(database, sessions)
    if copies is None or isinstance(stores, MemoryStores | SessionsInMemory):
        return stores
    if keys is None:
        raise TypeError("copies need the keys that they are sealed with")
    return CopiedStores(stores, copies, keys)


def open_database(
    database: str, sessions: Literal["database", "memory"] = "database"
) -> Stores:
    """Return the stores at ``database``, with no copies before them: see
    ``open_stores``."""
    written = _scheme(database)
    scheme = written.partition("+")[0]
    if scheme == "memory":
        return MemoryStores()
    if scheme == "sqlite":
        path = sqlite_path(database)
        try:
            from ringfence.stores.sqlite import SQLiteStores  # noqa: PLC0415 - late: picks a backend
        except ImportError as error:
            raise MissingExtraError(
                error.name or "sqlalchemy", "identity", "keep accounts and sessions"
            ) from error
        stores = SQLiteStores(path)
        return SessionsInMemory(stores) if sessions == "memory" else stores
    if scheme in {"postgresql", "postgres"}:
        return open_postgres(database, sessions)
    if scheme in _FORGETFUL:
        message = (
            f"{written}:// cannot be the database, since it may lose what must last; "
            "name it in RINGFENCE_STORE, and in RINGFENCE_DATABASE "
            "sqlite:///path/to/file.db or postgresql://user@host/database"
        )
        raise SettingsError(message)
    message = (
        f"the database is not a URL that ringfence knows ({_told(written)}); "
        "write sqlite:///path/to/file.db or postgresql://user@host/database"
    )
    raise SettingsError(message)


def open_postgres(database: str, sessions: str) -> Stores:
    """Return the stores in PostgreSQL. See ``open_stores``."""
    if sessions == "memory":
        message = (
            "identity.sessions is memory, but the database is PostgreSQL, which other "
            "processes change too; write identity.sessions = database"
        )
        raise SettingsError(message)
    try:
        from ringfence.stores.postgres.address import parse_address  # noqa: PLC0415 - late: picks a backend
        from ringfence.stores.postgres.stores import PostgresStores  # noqa: PLC0415 - late: picks a backend

        return PostgresStores(parse_address(database))
    except ImportError as error:
        raise MissingExtraError(
            error.name or "psycopg",
            "asyncpg" if error.name == "asyncpg" else "postgres",
            "keep accounts in PostgreSQL",
        ) from error


def open_shared(store: str, clock: Clock = system_clock) -> SharedStore:
    """Return what must be fast, at ``store``. Nothing is sent before ``start``.

    What a store that is down means is for the caller to say: a rate limit goes on in
    process (``traffic.rate_limit``), a sign-in is refused.

    Args:
        store: ``""`` or ``memory://`` for this process; ``redis://``, ``rediss://``,
            ``redis+sentinel://`` or ``redis+cluster://`` for Redis or Valkey, which all
            processes share: see ``stores.redis.url``; ``postgresql://`` for several
            machines without one; ``sqlite:///counters.db`` for several processes on
            this machine, in a file of its own.
        clock: tells the time to counters in memory; others have their own.

    Raises:
        SettingsError: the URL names no store that this version knows.
        MissingExtraError: the store's library is not installed.
    """
    if store in {"", "memory://"}:
        return MemoryShared(clock)
    scheme = _scheme(store)
    if scheme.startswith("redis"):  # what is misspelt is guessed there
        return open_redis(store)
    if scheme.partition("+")[0] in {"postgresql", "postgres", "sqlite"}:
        return open_shared_sql(store, clock)
    message = (
        f"the store is not a URL that ringfence knows ({_told(scheme)}); write "
        "redis://127.0.0.1:6379/0, postgresql://user@host/database, "
        "sqlite:///path/to/counters.db, or memory://"
    )
    raise SettingsError(message)


def open_redis(store: str) -> SharedStore:
    """Return what must be fast, in Redis or Valkey: see ``open_shared``."""
    try:
        from ringfence.stores.redis.server import open_keyspace  # noqa: PLC0415 - late: picks a backend
        from ringfence.stores.redis.shared import RedisShared  # noqa: PLC0415 - late: picks a backend
    except ImportError as error:
        raise MissingExtraError(
            error.name or "redis", "redis", "share limits and copies in Redis or Valkey"
        ) from error
    return RedisShared(open_keyspace(store))


def open_shared_sql(store: str, clock: Clock) -> SharedStore:
    """Return what must be fast, in a database: see ``open_shared``."""
    is_file = store.startswith("sqlite")
    try:
        if is_file:
            from ringfence.stores.sqlite import new_shared_file  # noqa: PLC0415 - late: picks a backend

            return new_shared_file(sqlite_path(store), clock)
        from ringfence.stores.postgres.address import parse_address  # noqa: PLC0415 - late: picks a backend
        from ringfence.stores.postgres.stores import new_shared  # noqa: PLC0415 - late: picks a backend

        return new_shared(parse_address(store))
    except ImportError as error:
        raise MissingExtraError(
            error.name or "sqlalchemy",
            "identity" if is_file else "postgres",
            "share limits in a database",
        ) from error


def _scheme(url: str) -> str:
    """Return what kind of URL it is. Not by ``urlsplit``, which raises for some
    passwords, and shows them."""
    found = re.match(r"[A-Za-z][A-Za-z0-9+.-]*(?=:)", url)
    return "" if found is None else found[0].lower()


def _told(scheme: str) -> str:
    return f"its scheme is {scheme!r}" if scheme else "it has no scheme"


def sqlite_path(database: str) -> Path:
    """Return the file that a ``sqlite:`` URL names.

    Raises:
        SettingsError: it names none, or a database in memory, which would forget
            every account at the end of the process.
    """
    parts = urlsplit(database)
    path = unquote(parts.path[1:])
    if parts.netloc or not path or path == ":memory:" or parts.query or parts.fragment:
        message = (
            f"{database!r} names no file; write "
            "sqlite:///var/ringfence.db (three slashes, relative) or "
            "sqlite:////srv/ringfence.db (four, absolute)"
        )
        raise SettingsError(message)
    return Path(path)
