"""What may be used once, and what was taken back, in SQL: one copy for every database.

Each new row takes a few expired ones along, so that no table grows for ever and no
request pays for a sweep of all. Rows that another transaction holds are left to it:
nobody waits for a sweep.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from sqlalchemy import (
    Table,
    TextClause,
    delete,
    exists,
    insert,
    select,
    text,
    tuple_,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from ringfence.clock import Clock
from ringfence.stores.contracts import Ticket, Told, counter_key
from ringfence.stores.schema import accounts, replays, revocations, tickets
from ringfence.stores.sql import Database, account_at, can_be_kept

_TAKEN_ALONG = 8  # expired rows that go with each new one

_REMEMBER_SEEN = text("""
    INSERT INTO ringfence_replays (key, expires) VALUES (:key, :expires)
    ON CONFLICT (key) DO UPDATE SET expires = excluded.expires
    WHERE ringfence_replays.expires <= :unless_after
""")
_REMEMBER_REVOKED = text("""
    INSERT INTO ringfence_revocations (key, expires) VALUES (:key, :expires)
    ON CONFLICT (key) DO UPDATE SET expires = excluded.expires
    WHERE ringfence_revocations.expires <= :unless_after
""")


class SqlTicketStore:
    """Single-use tokens in SQL. See ``contracts.TicketStore``.

    Args:
        database: keeps them.
        clock: of the database.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def issue(self, ticket: Ticket, seconds: float, *, most: int = 16) -> bool:
        """See ``contracts.TicketStore``."""
        now = self._clock()
        mine = (
            tickets.c.account_id == ticket.account_id,
            tickets.c.kind == ticket.kind,
        )
        # The newest of the others stay; two that are issued at once may both stay.
        staying = (
            select(tickets.c.token_hash)
            .where(*mine)
            .order_by(tickets.c.issued.desc(), tickets.c.token_hash)
            .limit(most - 1)
        )
        try:
            async with self._database.writing() as connection:
                same = account_at(ticket.account_id, ticket.epoch)
                if (await connection.execute(same)).one_or_none() is None:
                    return False
                await connection.execute(
                    delete(tickets).where(*mine, tickets.c.token_hash.not_in(staying))
                )
                await connection.execute(
                    insert(tickets),
                    ticket._asdict() | {"issued": now, "expires": now + seconds},
                )
                await _forget_some(connection, tickets, now)
        except IntegrityError:  # the token is there already; a random one never is
            return False
        return True

    async def find(self, kind: str, token_hash: bytes) -> Ticket | None:
        """See ``contracts.TicketStore``."""
        usable = (
            select(tickets.c.account_id, tickets.c.epoch, tickets.c.payload)
            .join(accounts, accounts.c.id == tickets.c.account_id)
            .where(
                tickets.c.kind == kind,
                tickets.c.token_hash == token_hash,
                tickets.c.expires > self._clock(),
                accounts.c.epoch == tickets.c.epoch,
                accounts.c.disabled.is_(False),
            )
        )
        async with self._database.reading() as connection:
            row = (await connection.execute(usable)).one_or_none()
        if row is None:
            return None
        return Ticket(kind, token_hash, row.account_id, row.epoch, bytes(row.payload))

    async def redeem(self, kind: str, token_hash: bytes) -> Ticket | None:
        """See ``contracts.TicketStore``."""
        # Deleting it is what decides who was first: whoever waits for that finds it
        # gone.
        usable = (
            select(accounts.c.epoch)
            .where(
                accounts.c.id == tickets.c.account_id, accounts.c.disabled.is_(False)
            )
            .scalar_subquery()
        )
        use = (
            delete(tickets)
            .where(tickets.c.kind == kind, tickets.c.token_hash == token_hash)
            .returning(
                tickets.c.account_id,
                tickets.c.epoch,
                tickets.c.payload,
                tickets.c.expires,
                usable.label("present"),
            )
        )
        async with self._database.writing() as connection:
            row = (await connection.execute(use)).one_or_none()
        if row is None or row.expires <= self._clock() or row.present != row.epoch:
            return None
        return Ticket(kind, token_hash, row.account_id, row.epoch, bytes(row.payload))

    async def withdraw(self, account_id: str, kind: str) -> int:
        """See ``contracts.TicketStore``."""
        removal = delete(tickets).where(
            tickets.c.account_id == account_id, tickets.c.kind == kind
        )
        async with self._database.writing() as connection:
            return (await connection.execute(removal)).rowcount


class SqlReplayStore:
    """What must not be seen again, in SQL. See ``contracts.ReplayStore``.

    Args:
        database: keeps it.
        clock: of the database.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._seen = _Expiring(database, replays, _REMEMBER_SEEN)
        self._clock = clock

    async def first(self, key: bytes, seconds: float) -> bool:
        """See ``contracts.ReplayStore``."""
        now = self._clock()
        return await self._seen.remember(
            key, now, until=now + seconds, unless_after=now
        )


class SqlRevocationStore:
    """Signed tokens that were taken back, in SQL. See ``contracts.RevocationStore``.

    Args:
        database: keeps them.
        clock: of the database.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._revoked = _Expiring(database, revocations, _REMEMBER_REVOKED)
        self._clock = clock

    async def revoke(self, token_id: bytes, account_id: str, seconds: float) -> None:
        """See ``contracts.RevocationStore``."""
        now = self._clock()
        until = now + seconds
        # Never for less long than somebody else has said.
        await self._revoked.remember(
            counter_key(account_id, token_id), now, until=until, unless_after=until
        )

    async def standing(
        self, token_ids: tuple[bytes, ...], account_id: str, told: Told | None = None
    ) -> int | None:
        """See ``contracts.RevocationStore``."""
        if not can_be_kept(account_id):
            return None
        names = [revocation_name(account_id, token_id) for token_id in token_ids]
        taken_back = exists().where(
            revocations.c.key.in_(names), revocations.c.expires > self._clock()
        )
        query = select(accounts.c.epoch).where(
            accounts.c.id == account_id, accounts.c.disabled.is_(False), ~taken_back
        )
        async with self._database.reading() as connection:
            return (await connection.execute(query)).scalar_one_or_none()

    def recall(
        self, token_ids: tuple[bytes, ...], account_id: str, told: Told | None = None
    ) -> int | None:
        """See ``contracts.RevocationStore``. Here nothing is known without asking."""
        return None


class _Expiring:
    """Keys that are remembered for a while, in one table."""

    def __init__(self, database: Database, table: Table, remember: TextClause) -> None:
        self._database = database
        self._table = table
        self._statement = remember

    async def remember(
        self, key: bytes, now: float, *, until: float, unless_after: float
    ) -> bool:
        """Keep a key, unless it is there for longer than ``unless_after``; return
        whether it is this call that has kept it."""
        values = {"key": _digest(key), "expires": until, "unless_after": unless_after}
        async with self._database.writing() as connection:
            kept = (await connection.execute(self._statement, values)).rowcount
            await _forget_some(connection, self._table, now)
        return bool(kept)


async def _forget_some(connection: AsyncConnection, table: Table, now: float) -> None:
    key = tuple_(*table.primary_key.columns)
    some: Any = (
        select(*table.primary_key.columns)
        .where(table.c.expires <= now)
        .order_by(table.c.expires)
        .limit(_TAKEN_ALONG)
        .with_for_update(skip_locked=True)
    )
    await connection.execute(delete(table).where(key.in_(some)))


def revocation_name(account_id: str, token_id: bytes) -> bytes:
    """Return what a token that was taken back is called in its table."""
    return _digest(counter_key(account_id, token_id))


def _digest(key: bytes) -> bytes:
    """Return a key of a fixed length: an index takes no others."""
    return sha256(key).digest()
