"""Accounts, sessions and what may be used once, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping

from ringfence.clock import Clock
from ringfence.stores.clock import StoreClock
from ringfence.stores.contracts import (
    AccountStore,
    ApiKeyStore,
    FactorStore,
    GrantStore,
    LinkStore,
    ReplayStore,
    RevocationStore,
    SessionRecord,
    SessionStore,
    TicketStore,
    Told,
    Use,
)
from ringfence.stores.postgres.address import PostgresAddress
from ringfence.stores.postgres.database import PostgresDatabase
from ringfence.stores.postgres.dial import Dial, open_driver
from ringfence.stores.postgres.lanes import ReadLanes
from ringfence.stores.sql import SqlAccountStore, SqlSessionStore
from ringfence.stores.sql_api_keys import SqlApiKeyStore
from ringfence.stores.sql_factors import SqlFactorStore
from ringfence.stores.sql_grants import SqlGrantStore
from ringfence.stores.sql_links import SqlLinkStore
from ringfence.stores.sql_reads import READ_SESSION, SessionReader
from ringfence.stores.sql_shared import SqlShared
from ringfence.stores.sql_single_use import (
    SqlReplayStore,
    SqlRevocationStore,
    SqlTicketStore,
)

_READ_SESSIONS = READ_SESSION.replace("= ?", "= ANY({keys})").replace(
    "FROM", ", extract(epoch FROM clock_timestamp())::float8 FROM", 1
)


class PostgresStores:
    """The shelves in one PostgreSQL database, for several processes and machines.

    Args:
        address: of the server.
        clock: knows the server's time.

    Raises:
        ImportError: its driver is not installed.
    """

    def __init__(
        self, address: PostgresAddress, clock: StoreClock | None = None
    ) -> None:
        self._dial = Dial(open_driver(address), address)
        clock = clock or StoreClock()
        self._database = PostgresDatabase(address, self._dial, clock)
        self._sessions = PostgresSessionStore(
            self._database,
            ReadLanes(self._dial, _READ_SESSIONS, clock, address.timeout),
        )
        self.clock: Clock = clock
        self.accounts: AccountStore = SqlAccountStore(self._database)
        self.sessions: SessionStore = self._sessions
        self.tickets: TicketStore = SqlTicketStore(self._database, clock)
        self.replays: ReplayStore = SqlReplayStore(self._database, clock)
        self.revocations: RevocationStore = SqlRevocationStore(self._database, clock)
        self.factors: FactorStore = SqlFactorStore(self._database)
        self.grants: GrantStore = SqlGrantStore(self._database)
        self.api_keys: ApiKeyStore = SqlApiKeyStore(self._database)
        self.links: LinkStore = SqlLinkStore(self._database)

    async def start(self) -> None:
        """Migrate and open. See ``contracts.Stores``."""
        try:
            await self._database.open()
            await self._sessions.open()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close everything. See ``contracts.Stores``."""
        await self._sessions.close()
        await self._database.close()


class PostgresSessionStore(SqlSessionStore):
    """Sessions, with a read that is one round trip and goes past SQLAlchemy.

    Nothing is remembered here: another process may end a session at any time, and
    PostgreSQL does not tell.

    Args:
        database: keeps them.
        lanes: reads them.
    """

    def __init__(self, database: PostgresDatabase, lanes: ReadLanes) -> None:
        super().__init__(database)
        self._of_postgres = database
        self._lanes = lanes
        self._rows = SessionReader()

    async def open(self) -> None:
        """Connect."""
        await self._lanes.open()

    async def close(self) -> None:
        """Disconnect. Idempotent."""
        await self._lanes.close()

    async def read(
        self, token_hash: bytes, told: Told | None = None
    ) -> SessionRecord | None:
        """See ``contracts.SessionStore``."""
        row = await self._lanes.read(token_hash)
        return None if row is None else self._rows.session(row)

    async def touch(self, seen: Mapping[bytes, Use]) -> None:
        """See ``contracts.SessionStore``."""
        await super().touch(seen)
        await self._of_postgres.ask_for_the_time()


def new_shared(address: PostgresAddress) -> SqlShared:
    """Return counters and blocks in PostgreSQL. A commit does not wait for the disk: a
    crash may lose the last half second of what was counted.

    Raises:
        ImportError: its driver is not installed.
    """
    clock = StoreClock()
    dial = Dial(open_driver(address, {"synchronous_commit": "off"}), address)
    return SqlShared(PostgresDatabase(address, dial, clock), clock)
