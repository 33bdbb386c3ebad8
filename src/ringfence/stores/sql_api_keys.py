"""Keys of programs in SQL: one copy for every database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from ringfence.stores.contracts import ApiKeyRecord
from ringfence.stores.schema import accounts, api_keys
from ringfence.stores.sql import (
    Database,
    account_at,
    can_be_kept,
    decode_names,
    encode_names,
)


class SqlApiKeyStore:
    """Keys of programs in SQL. See ``contracts.ApiKeyStore``.

    Args:
        database: keeps them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, key: ApiKeyRecord, *, epoch: int, most: int = 64) -> bool:
        """See ``contracts.ApiKeyStore``."""
        same = account_at(key.account_id, epoch, is_counted=True)
        have = (
            select(func.count())
            .select_from(api_keys)
            .where(api_keys.c.account_id == key.account_id)
        )
        try:
            async with self._database.writing() as connection:
                if (await connection.execute(same)).one_or_none() is None:
                    return False
                if (await connection.execute(have)).scalar_one() >= most:
                    return False
                await connection.execute(insert(api_keys), _values(key))
        except IntegrityError:  # the key is there already; a random one never is
            return False
        return True

    async def read(self, token_hash: bytes) -> ApiKeyRecord | None:
        """See ``contracts.ApiKeyStore``."""
        query = _LIVE.where(api_keys.c.token_hash == token_hash)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else _key(row)

    async def touch(self, seen: Mapping[bytes, float]) -> None:
        """See ``contracts.ApiKeyStore``."""
        # Rows that somebody else holds are left out: see ``SqlSessionStore.touch``.
        free = (
            select(api_keys.c.token_hash)
            .where(
                api_keys.c.token_hash == bindparam("named"),
                api_keys.c.used < bindparam("seen"),
            )
            .with_for_update(skip_locked=True)
        )
        change = (
            update(api_keys)
            .where(api_keys.c.token_hash == free.scalar_subquery())
            .values(used=bindparam("seen"))
        )
        rows = [{"named": name, "seen": at} for name, at in seen.items()]
        if rows:
            async with self._database.writing() as connection:
                await connection.execute(change, rows)

    async def of_account(self, account_id: str) -> list[ApiKeyRecord]:
        """See ``contracts.ApiKeyStore``."""
        query = _LIVE.where(api_keys.c.account_id == account_id).order_by(
            api_keys.c.created.desc(), api_keys.c.id
        )
        async with self._database.reading() as connection:
            return [_key(row) for row in await connection.execute(query)]

    async def end(self, account_id: str, key_id: str) -> bool:
        """See ``contracts.ApiKeyStore``."""
        if not can_be_kept(key_id):
            return False
        removal = delete(api_keys).where(
            api_keys.c.account_id == account_id, api_keys.c.id == key_id
        )
        async with self._database.writing() as connection:
            return bool((await connection.execute(removal)).rowcount)

    async def end_all(self, account_id: str) -> int:
        """See ``contracts.ApiKeyStore``."""
        removal = delete(api_keys).where(api_keys.c.account_id == account_id)
        async with self._database.writing() as connection:
            return (await connection.execute(removal)).rowcount

    async def forget_expired(self, before: float) -> int:
        """See ``contracts.ApiKeyStore``."""
        expired = (
            select(api_keys.c.token_hash)
            .where(api_keys.c.expires < before)
            .with_for_update(skip_locked=True)
        )
        removal = delete(api_keys).where(api_keys.c.token_hash.in_(expired))
        async with self._database.writing() as connection:
            return (await connection.execute(removal)).rowcount


_LIVE = (
    select(api_keys, accounts.c.roles, accounts.c.tenant)
    .join(accounts, accounts.c.id == api_keys.c.account_id)
    .where(accounts.c.disabled.is_(False))
)


def _values(key: ApiKeyRecord) -> dict[str, Any]:
    values = key._asdict() | {"scopes": encode_names(key.scopes)}
    del values["roles"], values["tenant"]  # the account's
    return values


def _key(row: Row[Any]) -> ApiKeyRecord:
    return ApiKeyRecord(
        id=row.id,
        token_hash=bytes(row.token_hash),
        account_id=row.account_id,
        label=row.label,
        hint=row.hint,
        scopes=decode_names(row.scopes),
        created=row.created,
        expires=row.expires,
        used=row.used,
        roles=decode_names(row.roles),
        tenant=row.tenant,
    )
