"""Accounts and sessions in SQL: one copy, for every database SQLAlchemy speaks to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import msgspec
from sqlalchemy import Row, Select, bindparam, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from ringfence.stores.contracts import AccountRecord, SessionRecord, Told, Use
from ringfence.stores.schema import accounts, api_keys, grants, sessions

_READ_AT_ONCE = 500  # values in one statement; databases allow 999 and more


class Database(Protocol):
    """A database that the stores stand in.

    Both methods raise ``StoreError`` for what the driver or the pool raises, but let
    ``IntegrityError`` through.
    """

    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Open a connection for single reads; each sees all that was committed."""

    def writing(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Open a transaction, committed at the end of the block or not at all. On
        SQLite it holds off every other writer from its beginning."""


class SqlAccountStore:
    """Accounts in SQL. See ``contracts.AccountStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, account: AccountRecord) -> bool:
        # A taken address is written once more, unchanged: a registration that costs no
        # write to the disk would tell by its time that the address is known.
        rewrite = (
            update(accounts)
            .where(accounts.c.email_key == account.email_key)
            .values(email_key=account.email_key)
        )
        try:
            async with self._database.writing() as connection:
                if (await connection.execute(rewrite)).rowcount:
                    return False
                await connection.execute(insert(accounts), _account_values(account))
        except IntegrityError:  # another writer was faster; not on SQLite
            return False
        return True

    async def by_email(self, email_key: str) -> AccountRecord | None:
        if not can_be_kept(email_key):
            return None
        return await self._one(
            select(accounts).where(accounts.c.email_key == email_key)
        )

    async def by_id(self, account_id: str) -> AccountRecord | None:
        if not can_be_kept(account_id):
            return None
        return await self._one(select(accounts).where(accounts.c.id == account_id))

    async def _one(self, query: Select[Any]) -> AccountRecord | None:
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else _account(row)

    async def set_password(
        self, account_id: str, password_hash: str, *, epoch: int
    ) -> int:
        change = (
            update(accounts)
            .where(accounts.c.id == account_id, accounts.c.epoch == epoch)
            .values(password_hash=password_hash, epoch=epoch + 1)
        )
        async with self._database.writing() as connection:
            if not (await connection.execute(change)).rowcount:
                return 0
            await _end_sign_ins(connection, account_id)
        return epoch + 1

    async def verify(self, account_id: str, email_key: str, at: float) -> bool:
        change = (
            update(accounts)
            .where(accounts.c.id == account_id, accounts.c.email_key == email_key)
            .values(verified=at)
        )
        async with self._database.writing() as connection:
            return bool((await connection.execute(change)).rowcount)

    async def upgrade_hash(self, account_id: str, old: str, new: str) -> None:
        change = (
            update(accounts)
            .where(accounts.c.id == account_id, accounts.c.password_hash == old)
            .values(password_hash=new)
        )
        async with self._database.writing() as connection:
            await connection.execute(change)

    async def set_roles(self, account_id: str, roles: frozenset[str]) -> bool:
        change = (
            update(accounts)
            .where(accounts.c.id == account_id)
            .values(roles=encode_names(roles), epoch=accounts.c.epoch + 1)
        )
        async with self._database.writing() as connection:
            return bool((await connection.execute(change)).rowcount)

    async def set_tenant(self, account_id: str, tenant: str) -> bool:
        change = (
            update(accounts)
            .where(accounts.c.id == account_id)
            .values(tenant=tenant, epoch=accounts.c.epoch + 1)
        )
        async with self._database.writing() as connection:
            return bool((await connection.execute(change)).rowcount)

    async def set_disabled(self, account_id: str, *, disabled: bool) -> bool:
        change = (
            update(accounts)
            .where(accounts.c.id == account_id)
            .values(disabled=disabled, epoch=accounts.c.epoch + 1)
        )
        async with self._database.writing() as connection:
            found = bool((await connection.execute(change)).rowcount)
            if disabled:
                await _end_everything(connection, account_id)
        return found

    async def page(self, *, after: str, limit: int) -> list[AccountRecord]:
        query = (
            select(accounts)
            .where(accounts.c.id > after)
            .order_by(accounts.c.id)
            .limit(limit)
        )
        async with self._database.reading() as connection:
            return [_account(row) for row in await connection.execute(query)]

    async def raise_epoch(self, account_id: str) -> int:
        change = (
            update(accounts)
            .where(accounts.c.id == account_id)
            .values(epoch=accounts.c.epoch + 1)
        )
        now = select(accounts.c.epoch).where(accounts.c.id == account_id)
        async with self._database.writing() as connection:
            if not (await connection.execute(change)).rowcount:
                return 0
            await _end_everything(connection, account_id)
            return int((await connection.execute(now)).scalar_one())

    async def epoch(self, account_id: str) -> int | None:
        if not can_be_kept(account_id):
            return None
        query = select(accounts.c.epoch).where(
            accounts.c.id == account_id, accounts.c.disabled.is_(False)
        )
        async with self._database.reading() as connection:
            return (await connection.execute(query)).scalar_one_or_none()

    async def remove(self, account_id: str) -> bool:
        removal = delete(accounts).where(accounts.c.id == account_id)
        async with (
            self._database.writing() as connection
        ):  # all of its own goes with it
            return bool((await connection.execute(removal)).rowcount)


class SqlSessionStore:
    """Sessions in SQL. See ``contracts.SessionStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(
        self, token_hash: bytes, told: Told | None = None
    ) -> SessionRecord | None:
        query = _LIVE_SESSIONS.where(sessions.c.token_hash == token_hash)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else _session(row)

    async def add(
        self, session: SessionRecord, *, epoch: int, replaces: SessionRecord | None
    ) -> bool:
        still_the_same = account_at(session.account_id, epoch)
        async with self._database.writing() as connection:
            if (await connection.execute(still_the_same)).one_or_none() is None:
                return False
            if replaces is not None:
                before = _session_with(replaces.token_hash, replaces.account_id)
                await connection.execute(before)
            await connection.execute(insert(sessions), _session_values(session))
        return True

    def recall(
        self, token_hash: bytes, told: Told | None = None
    ) -> SessionRecord | None:
        return None

    async def read_many(
        self, token_hashes: Collection[bytes]
    ) -> Mapping[bytes, SessionRecord]:
        wanted = list(token_hashes)
        found: dict[bytes, SessionRecord] = {}
        if not wanted:
            return found
        async with self._database.reading() as connection:
            for start in range(0, len(wanted), _READ_AT_ONCE):
                some = wanted[start : start + _READ_AT_ONCE]
                query = _LIVE_SESSIONS.where(sessions.c.token_hash.in_(some))
                for row in await connection.execute(query):
                    found[bytes(row.token_hash)] = _session(row)
        return found

    async def touch(self, seen: Mapping[bytes, Use]) -> None:
        # Rows that somebody else holds are left out: they are being ended, or touched
        # as well; so a touch waits for nobody, and nobody waits in a circle.
        free = (
            select(sessions.c.token_hash)
            .where(
                sessions.c.token_hash == bindparam("session"),
                sessions.c.last_seen < bindparam("seen"),
            )
            .with_for_update(skip_locked=True)
        )
        change = (
            update(sessions)
            .where(sessions.c.token_hash == free.scalar_subquery())
            .values(
                last_seen=bindparam("seen"),
                last_network=bindparam("from_network"),
                last_device=bindparam("from_device"),
            )
        )
        rows = [
            {
                "session": token_hash,
                "seen": use.at,
                "from_network": use.network,
                "from_device": use.device,
            }
            for token_hash, use in seen.items()
        ]
        if rows:
            async with self._database.writing() as connection:
                await connection.execute(change, rows)

    async def mark_moved(self, token_hash: bytes, use: Use) -> bool:
        change = (
            update(sessions)
            .where(sessions.c.token_hash == token_hash, sessions.c.moved_at == 0)
            .values(moved_at=use.at, moved_network=use.network, moved_device=use.device)
        )
        async with self._database.writing() as connection:
            return bool((await connection.execute(change)).rowcount)

    async def of_account(self, account_id: str) -> list[SessionRecord]:
        query = _LIVE_SESSIONS.where(sessions.c.account_id == account_id).order_by(
            sessions.c.created.desc(), sessions.c.public_id
        )
        async with self._database.reading() as connection:
            return [_session(row) for row in await connection.execute(query)]

    async def end(self, account_id: str, public_id: str) -> bool:
        if not can_be_kept(public_id):
            return False
        removal = _sessions_of(account_id).where(sessions.c.public_id == public_id)
        async with self._database.writing() as connection:
            return bool((await connection.execute(removal)).rowcount)

    async def end_all(self, account_id: str, *, keep: bytes | None) -> int:
        removal = _sessions_of(account_id)
        if keep is not None:
            removal = removal.where(sessions.c.token_hash != keep)
        async with self._database.writing() as connection:
            return (await connection.execute(removal)).rowcount

    async def end_token(self, token_hash: bytes, account_id: str) -> bool:
        removal = _session_with(token_hash, account_id)
        async with self._database.writing() as connection:
            return bool((await connection.execute(removal)).rowcount)

    async def forget_expired(self, *, created_before: float, seen_before: float) -> int:
        expired = (
            select(sessions.c.token_hash)
            .where(
                or_(
                    sessions.c.created < created_before,
                    sessions.c.last_seen < seen_before,
                )
            )
            .with_for_update(skip_locked=True)
        )
        removal = delete(sessions).where(sessions.c.token_hash.in_(expired))
        async with self._database.writing() as connection:
            return (await connection.execute(removal)).rowcount


_LIVE_SESSIONS = (
    select(sessions, accounts.c.roles, accounts.c.tenant)
    .join(accounts, accounts.c.id == sessions.c.account_id)
    .where(accounts.c.disabled.is_(False))
)


def can_be_kept(name: str) -> bool:
    """Return whether a text can stand in a database at all. What cannot is not there:
    asking for it would fail, and who brings it would be told that the store is down
    (CWE-20). PostgreSQL has no NUL, and UTF-8 no half of a surrogate pair.
    """
    return "\0" not in name and not any("\ud800" <= one <= "\udfff" for one in name)


def account_at(account_id: str, epoch: int, *, is_counted: bool = False) -> Select[Any]:
    """Return the query for an account that may be used and is at ``epoch``.

    Its row is locked until the commit, where the database has rows to lock: no change
    of password can slip between this look and what is written next.

    Args:
        account_id: of the account.
        epoch: that it must be at.
        is_counted: nobody else may lock it either, so that what an account has can be
            counted and added to.
    """
    query = select(accounts.c.id).where(
        accounts.c.id == account_id,
        accounts.c.epoch == epoch,
        accounts.c.disabled.is_(False),
    )
    if is_counted:
        return query.with_for_update(key_share=True)
    return query.with_for_update(read=True)


def encode_names(names: Iterable[str]) -> str:
    """Return names as they stand in a column: a JSON array, sorted."""
    return msgspec.json.encode(sorted(names)).decode()


def decode_names(text: str) -> frozenset[str]:
    """Return the names that a column holds."""
    return frozenset(msgspec.json.decode(text, type=list[str]))


async def _end_sign_ins(connection: AsyncConnection, account_id: str) -> None:
    await connection.execute(_sessions_of(account_id))
    await connection.execute(delete(grants).where(grants.c.account_id == account_id))


async def _end_everything(connection: AsyncConnection, account_id: str) -> None:
    await _end_sign_ins(connection, account_id)
    await connection.execute(
        delete(api_keys).where(api_keys.c.account_id == account_id)
    )


def _sessions_of(account_id: str) -> Any:
    return delete(sessions).where(sessions.c.account_id == account_id)


def _session_with(token_hash: bytes, account_id: str) -> Any:
    return _sessions_of(account_id).where(sessions.c.token_hash == token_hash)


def _account_values(account: AccountRecord) -> dict[str, Any]:
    return {
        "id": account.id,
        "email": account.email,
        "email_key": account.email_key,
        "password_hash": account.password_hash,
        "roles": encode_names(account.roles),
        "disabled": account.disabled,
        "created": account.created,
        "epoch": account.epoch,
        "verified": account.verified,
        "tenant": account.tenant,
    }


def _account(row: Row[Any]) -> AccountRecord:
    return AccountRecord(
        id=row.id,
        email=row.email,
        email_key=row.email_key,
        password_hash=row.password_hash,
        roles=decode_names(row.roles),
        disabled=row.disabled,
        created=row.created,
        epoch=row.epoch,
        verified=row.verified,
        tenant=row.tenant,
    )


def _session_values(session: SessionRecord) -> dict[str, Any]:
    return {
        "token_hash": session.token_hash,
        "public_id": session.public_id,
        "account_id": session.account_id,
        "factors": encode_names(session.factors),
        "created": session.created,
        "last_seen": session.last_seen,
        "address": session.address,
        "device": session.device,
        "proved": session.proved,
        "last_network": session.last_network,
        "last_device": session.last_device,
        "moved_at": session.moved_at,
        "moved_network": session.moved_network,
        "moved_device": session.moved_device,
    }


def _session(row: Row[Any]) -> SessionRecord:
    return SessionRecord(
        token_hash=bytes(row.token_hash),
        public_id=row.public_id,
        account_id=row.account_id,
        roles=decode_names(row.roles),
        factors=decode_names(row.factors),
        created=row.created,
        last_seen=row.last_seen,
        address=row.address,
        device=row.device,
        proved=row.proved,
        last_network=row.last_network,
        last_device=row.last_device,
        moved_at=row.moved_at,
        moved_network=row.moved_network,
        moved_device=row.moved_device,
        tenant=row.tenant,
    )
