"""Accounts and sessions in one SQLite file: the embedded default."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ringfence.clock import Clock, system_clock
from ringfence.errors import StoreError
from ringfence.stores.contracts import (
    AccountRecord,
    AccountStore,
    ApiKeyRecord,
    ApiKeyStore,
    FactorStore,
    GrantStore,
    LinkStore,
    RevocationStore,
    SessionRecord,
    SessionStore,
    Told,
)
from ringfence.stores.migrate import migrate
from ringfence.stores.sql import (
    SqlAccountStore,
    SqlSessionStore,
    can_be_kept,
    decode_names,
)
from ringfence.stores.sql_api_keys import SqlApiKeyStore
from ringfence.stores.sql_factors import SqlFactorStore
from ringfence.stores.sql_grants import SqlGrantStore
from ringfence.stores.sql_links import SqlLinkStore
from ringfence.stores.sql_reads import (
    READ_API_KEY,
    READ_SESSION,
    ApiKeyReader,
    SessionReader,
)
from ringfence.stores.sql_shared import SqlShared
from ringfence.stores.sql_single_use import (
    SqlReplayStore,
    SqlRevocationStore,
    SqlTicketStore,
    revocation_name,
)

_SWITCH_AGAIN_SECONDS = 0.02
_BUSY_SECONDS = 5.0  # how long a writer waits for another before it gives up
_SHARED_BUSY_SECONDS = 1.0  # the same where each request may have to write
_READ_BUSY_SECONDS = 0.05  # the reader is in the event loop and must not wait
_CONNECTIONS = 3  # SQLite has one writer at a time; more would only queue
_MIGRATION_SECONDS = 60.0  # how long a start waits for another start to migrate
_SESSIONS_KNOWN = 8192  # about 4 MB
_KEYS_KNOWN = 4096
_STANDINGS_KNOWN = 16_384  # about 4 MB
_UNSEEN_SECONDS = 0.005  # how long a change by another process may go unseen
_OWNER_ONLY = 0o600  # the file holds password hashes

_READ_ACCOUNT = """
    SELECT email, email_key, password_hash, roles, disabled, created, epoch, verified,
           tenant
    FROM ringfence_accounts
    WHERE id = ?
"""
_READ_EPOCH = "SELECT epoch FROM ringfence_accounts WHERE id = ? AND NOT disabled"
_READ_REVOCATION = "SELECT 1 FROM ringfence_revocations WHERE key = ? AND expires > ?"


class SQLiteStores:
    """The shelves in one SQLite file, in WAL mode.

    Every commit is synced to the disk (``synchronous=FULL``): neither killing the
    process nor losing power brings a revoked session back.

    Args:
        path: the file; made with mode 0600, with its folder, if it is not there.
        clock: tells the time: of one machine, whose processes all have the same.
    """

    def __init__(self, path: Path, clock: Clock = system_clock) -> None:
        self.clock = clock
        self._file = SQLiteFile(path)
        self.tickets = SqlTicketStore(self._file, clock)
        self.replays = SqlReplayStore(self._file, clock)
        self._revocations = SQLiteRevocationStore(self._file, clock)
        self._api_keys = SQLiteApiKeyStore(self._file)
        self._sessions = SQLiteSessionStore(self._file)
        self.standings = SQLiteStandings(self._file)
        self.accounts: AccountStore = SqlAccountStore(self._file)
        self.sessions: SessionStore = self._sessions
        self.revocations: RevocationStore = self._revocations
        self.factors: FactorStore = SqlFactorStore(self._file)
        self.grants: GrantStore = SqlGrantStore(self._file)
        self.api_keys: ApiKeyStore = self._api_keys
        self.links: LinkStore = SqlLinkStore(self._file)

    async def start(self) -> None:
        """Migrate and open. See ``contracts.Stores``."""
        await self._file.open()
        for store in (self._sessions, self._revocations, self._api_keys):
            store.open()

    async def stop(self) -> None:
        """Close everything. See ``contracts.Stores``."""
        for store in (self._sessions, self._revocations, self._api_keys):
            store.close()
        await self._file.close()


class SQLiteFile:
    """The database as ``sql`` needs it: reads outside transactions, and write
    transactions that take their lock at once.

    A deferred transaction that turns into a writer fails with "database is locked",
    however long it would be ready to wait; ``BEGIN IMMEDIATE`` waits.

    Args:
        path: the file.
        is_durable: a commit outlives a loss of power; else only the end of the process.
        busy: seconds that a writer waits for another before it gives up.
    """

    def __init__(
        self, path: Path, *, is_durable: bool = True, busy: float = _BUSY_SECONDS
    ) -> None:
        self.path = path
        self._is_durable = is_durable
        self._busy = busy
        self.writes = 0  # transactions of this process that have ended
        self._engine: AsyncEngine | None = None
        self._reader: AsyncEngine | None = None

    async def open(self) -> None:
        """Make and migrate the file, then open the pool."""
        try:
            await asyncio.to_thread(prepare, self.path)
        except (OSError, sqlite3.Error, SQLAlchemyError) as error:
            raise _unusable(self.path, error) from error
        self._engine = _engine(self.path, self._busy, is_durable=self._is_durable)
        self._reader = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    async def close(self) -> None:
        """Close the pool and its threads."""
        engine, self._engine, self._reader = self._engine, None, None
        if engine is not None:
            await engine.dispose()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """See ``sql.Database``."""
        with _store_errors():
            async with self._opened(self._reader).connect() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """See ``sql.Database``."""
        try:
            with _store_errors():
                async with self._opened(self._engine).begin() as connection:
                    yield connection
        finally:
            self.writes += 1

    def _opened(self, engine: AsyncEngine | None) -> AsyncEngine:
        if engine is None:
            raise StoreError(f"the store {self.path} is not open")
        return engine


class SQLiteReader:
    """A read-only connection for the event loop, that notices every commit.

    In WAL mode a reader waits for no writer. A hop to a thread and back would cost ten
    times the read. What was read may be kept until something is written: by this
    process, which is known at once, or by another (``ringfence accounts``), for which
    the file is asked at most every five milliseconds.

    Args:
        file: the database.
        query: what the connection is for; asked once when it is opened.
        monotonic: seconds on a clock that is never set back.
    """

    def __init__(
        self,
        file: SQLiteFile,
        query: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._file = file
        self._query = query
        self.monotonic = monotonic
        self._writes = 0
        self._version = 0
        self._asked_at = 0.0
        self._connection: sqlite3.Connection | None = None
        self.cursor: sqlite3.Cursor | None = None

    def open(self) -> None:
        """Open the connection; the file must be there."""
        path = self._file.path
        self._version = 0  # versions of two connections say nothing to each other
        try:
            self._connection = sqlite3.connect(
                f"file:{quote(str(path.absolute()))}?mode=ro",
                uri=True,
                timeout=_READ_BUSY_SECONDS,
                isolation_level=None,
                check_same_thread=False,  # opened in one loop, closed after it
            )
            self.cursor = self._connection.cursor()
            self.cursor.execute(self._query, (b"",)).fetchall()
        except sqlite3.Error as error:
            raise _unusable(path, error) from error

    def close(self) -> None:
        """Close it. Idempotent."""
        connection, self._connection, self.cursor = self._connection, None, None
        if connection is not None:
            connection.close()

    def changed(self) -> bool:
        """Return whether any other connection may have committed since the last call.

        Raises:
            StoreError: the store is not open, or cannot be read.
        """
        now, writes = self.monotonic(), self._file.writes
        if self._writes == writes and now - self._asked_at <= _UNSEEN_SECONDS:
            return False
        (version,) = self.row("PRAGMA data_version", ())
        changed = version != self._version or writes != self._writes
        self._version, self._writes, self._asked_at = version, writes, now
        return changed

    def row(self, query: str, values: tuple[object, ...]) -> Any:
        """Return the row that a query by primary key finds, ``None`` if there is none.

        Raises:
            StoreError: the store is not open, or cannot be read.
        """
        if self.cursor is None:
            raise StoreError(f"the store {self._file.path} is not open")
        try:
            return self.cursor.execute(query, values).fetchone()
        except sqlite3.Error as error:
            raise StoreError(f"the database could not be read: {error}") from error


class SQLiteSessionStore(SqlSessionStore):
    """Sessions, with the one synchronous call that the event loop makes: the read of
    a session by its primary key, kept until something is written.

    Args:
        file: the database.
    """

    def __init__(self, file: SQLiteFile) -> None:
        super().__init__(file)
        self._reader = SQLiteReader(file, READ_SESSION)
        self._known: dict[bytes, SessionRecord] = {}
        self._rows = SessionReader()

    def open(self) -> None:
        """Open the connection that ``read`` uses; the file must be there."""
        self._known.clear()
        self._reader.open()

    def close(self) -> None:
        """Close it. Idempotent."""
        self._reader.close()

    def recall(
        self, token_hash: bytes, told: Told | None = None
    ) -> SessionRecord | None:
        """See ``contracts.SessionStore``."""
        if self._reader.changed():
            self._known.clear()
        return self._known.get(token_hash)

    async def read(
        self, token_hash: bytes, told: Told | None = None
    ) -> SessionRecord | None:
        """See ``contracts.SessionStore``."""
        # Five milliseconds behind another process is not what the database has now.
        known = self.recall(token_hash) if told is None else None
        if known is not None:
            return known
        row = self._reader.row(READ_SESSION, (token_hash,))
        if row is None:
            return None
        if len(self._known) >= _SESSIONS_KNOWN:
            self._known.clear()
        session = self._known[token_hash] = self._rows.session(row)
        return session


class SQLiteApiKeyStore(SqlApiKeyStore):
    """API keys, read in the event loop like sessions.

    Args:
        file: the database.
    """

    def __init__(self, file: SQLiteFile) -> None:
        super().__init__(file)
        self._reader = SQLiteReader(file, READ_API_KEY)
        self._known: dict[bytes, ApiKeyRecord] = {}
        self._rows = ApiKeyReader()

    def open(self) -> None:
        """Open the connection that ``read`` uses; the file must be there."""
        self._known.clear()
        self._reader.open()

    def close(self) -> None:
        """Close it. Idempotent."""
        self._reader.close()

    async def read(self, token_hash: bytes) -> ApiKeyRecord | None:
        """See ``contracts.ApiKeyStore``."""
        if self._reader.changed():
            self._known.clear()
        known = self._known.get(token_hash)
        if known is not None:
            return known
        row = self._reader.row(READ_API_KEY, (token_hash,))
        if row is None:
            return None
        if len(self._known) >= _KEYS_KNOWN:
            self._known.clear()
        key = self._known[token_hash] = self._rows.key(row)
        return key


class SQLiteRevocationStore(SqlRevocationStore):
    """Signed tokens that were taken back, read in the event loop. What stands, stands
    until something is written: a revocation that expires only makes good again what
    has expired itself.

    Args:
        file: the database.
        clock: of the database.
    """

    def __init__(self, file: SQLiteFile, clock: Clock) -> None:
        super().__init__(file, clock)
        self._now = clock
        self._reader = SQLiteReader(file, _READ_EPOCH)
        self._known: dict[tuple[tuple[bytes, ...], str], int] = {}

    def open(self) -> None:
        """Open the connection that reads; the file must be there."""
        self._known.clear()
        self._reader.open()

    def close(self) -> None:
        """Close it. Idempotent."""
        self._reader.close()

    def recall(
        self, token_ids: tuple[bytes, ...], account_id: str, told: Told | None = None
    ) -> int | None:
        """See ``contracts.RevocationStore``."""
        if self._reader.changed():
            self._known.clear()
        return self._known.get((token_ids, account_id))

    async def standing(
        self, token_ids: tuple[bytes, ...], account_id: str, told: Told | None = None
    ) -> int | None:
        """See ``contracts.RevocationStore``."""
        # Five milliseconds behind another process is not what the database has now.
        known = self.recall(token_ids, account_id) if told is None else None
        if known is not None:
            return known
        if not can_be_kept(account_id):
            return None
        row = self._reader.row(_READ_EPOCH, (account_id,))
        if row is None or self._is_revoked(token_ids, account_id):
            return None
        if len(self._known) >= _STANDINGS_KNOWN:
            self._known.clear()
        epoch: int = row[0]
        self._known[token_ids, account_id] = epoch
        return epoch

    def _is_revoked(self, token_ids: tuple[bytes, ...], account_id: str) -> bool:
        now = self._now()
        return any(
            self._reader.row(
                _READ_REVOCATION, (revocation_name(account_id, token_id), now)
            )
            is not None
            for token_id in token_ids
        )


class SQLiteStandings:
    """What accounts may be now, read in the event loop. See
    ``memory_sessions.Standings``.

    Args:
        file: the database.
    """

    def __init__(self, file: SQLiteFile) -> None:
        self._reader = SQLiteReader(file, _READ_ACCOUNT)
        self._known: dict[str, AccountRecord] = {}

    def open(self) -> None:
        """Open the connection; the file must be there."""
        self._known.clear()
        self._reader.open()

    def close(self) -> None:
        """Close it. Idempotent."""
        self._reader.close()

    def changed(self) -> bool:
        """See ``memory_sessions.Standings``."""
        changed = self._reader.changed()
        if changed:
            self._known.clear()
        return changed

    async def standing(self, account_id: str) -> AccountRecord | None:
        """See ``memory_sessions.Standings``."""
        known = self._known.get(account_id)
        if known is not None:
            return known
        row = self._reader.row(_READ_ACCOUNT, (account_id,))
        if row is None:
            return None
        if len(self._known) >= _SESSIONS_KNOWN:
            self._known.clear()
        email, email_key, password_hash, roles, disabled, created, *others = row
        epoch, verified, tenant = others
        account = self._known[account_id] = AccountRecord(
            id=account_id,
            email=email,
            email_key=email_key,
            password_hash=password_hash,
            roles=decode_names(roles),
            disabled=bool(disabled),
            created=created,
            epoch=epoch,
            verified=verified,
            tenant=tenant,
        )
        return account


def new_shared_file(path: Path, clock: Clock) -> SqlShared:
    """Return counters and blocks in a file, for the processes of one machine.

    Args:
        path: of its own: each decision is a commit, which others would wait for.
        clock: of the machine.
    """
    file = SQLiteFile(path, is_durable=False, busy=_SHARED_BUSY_SECONDS)
    return SqlShared(file, clock, clock)


def prepare(path: Path) -> None:
    """Make the file, bring its schema up to date and switch it to WAL mode.

    Safe to be called by several processes at once.

    Raises:
        OSError: the folder or the file cannot be made.
        sqlite3.Error, SQLAlchemyError: the file is no database, or is locked.
        StoreError: it cannot be used for another reason.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, _OWNER_ONLY))
    engine = create_engine(
        _url("sqlite", path),
        poolclass=NullPool,
        connect_args={"timeout": _MIGRATION_SECONDS},
    )
    _take_the_lock_at_begin(engine)
    with engine.begin() as connection:
        migrate(connection)
    mode = _switch_to_wal(path)
    if mode != "wal":
        message = (
            f"the file system of {path} has no shared memory, which SQLite needs to be "
            "read while it is written (WAL); is it a network drive?"
        )
        raise StoreError(message)


def _switch_to_wal(path: Path) -> str:
    """Return the journal mode after asking for WAL. SQLite does not wait for the lock
    that the switch needs, whatever its timeout; so several starts at once must try."""
    until = time.monotonic() + _BUSY_SECONDS
    with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as connection:
        while True:
            try:
                (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
            except sqlite3.OperationalError:
                if time.monotonic() > until:
                    raise
                time.sleep(_SWITCH_AGAIN_SECONDS)
            else:
                return str(mode)


def _engine(path: Path, busy: float, *, is_durable: bool) -> AsyncEngine:
    engine = create_async_engine(
        _url("sqlite+aiosqlite", path),
        pool_size=_CONNECTIONS,
        max_overflow=0,
        pool_timeout=busy,
        hide_parameters=True,  # else errors would show hashes and addresses
        connect_args={"timeout": busy},
    )
    _take_the_lock_at_begin(engine.sync_engine, is_durable=is_durable)
    return engine


def _url(driver: str, path: Path) -> URL:
    return URL.create(driver, database=str(path))


def _take_the_lock_at_begin(engine: Engine, *, is_durable: bool = True) -> None:
    @event.listens_for(engine, "connect")
    def settle(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys=ON")
        # In WAL mode NORMAL damages nothing; it may lose the last commits.
        cursor.execute(
            "PRAGMA synchronous=FULL" if is_durable else "PRAGMA synchronous=NORMAL"
        )
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql("BEGIN IMMEDIATE")


@contextmanager
def _store_errors() -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise StoreError(f"the database did not answer: {error}") from error


def _unusable(path: Path, error: Exception) -> StoreError:
    said = str(getattr(error, "orig", None) or error)  # SQLAlchemy's has several lines
    return StoreError(
        f"the database {path} cannot be used ({said}); is its folder writable, and "
        "is the file one that ringfence made?"
    )
