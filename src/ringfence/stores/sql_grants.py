"""Families of refresh tokens in SQL: one copy for every database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, case, delete, exists, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from ringfence.stores.contracts import Grant, Rotated, Rotation
from ringfence.stores.schema import accounts, grants
from ringfence.stores.sql import Database, account_at, decode_names, encode_names

_GONE = Rotated("gone")
_NEVER_ROTATED = {
    "previous_hash": b"",
    "answer": b"",
    "binding": b"",
    "repeat_until": 0.0,
    "is_repeated": False,
}


class SqlGrantStore:
    """Families of refresh tokens in SQL. See ``contracts.GrantStore``.

    Args:
        database: keeps them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, grant: Grant, *, epoch: int) -> bool:
        """See ``contracts.GrantStore``."""
        same = account_at(grant.account_id, epoch)
        try:
            async with self._database.writing() as connection:
                if (await connection.execute(same)).one_or_none() is None:
                    return False
                await connection.execute(insert(grants), _values(grant))
        except IntegrityError:  # the name is taken; a random one never is
            return False
        return True

    async def find(self, grant_id: bytes) -> Grant | None:
        """See ``contracts.GrantStore``."""
        query = _LIVE.where(grants.c.id == grant_id)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else _grant(row)

    async def rotate(
        self, grant_id: bytes, presented: bytes, rotation: Rotation
    ) -> Rotated:
        """See ``contracts.GrantStore``."""
        # The update is the compare-and-swap: it locks the row, and whoever waits for
        # that finds another token in it.
        swap = (
            update(grants)
            .where(
                grants.c.id == grant_id,
                grants.c.token_hash == presented,
                *_is_usable(rotation.at),
            )
            .values(_rotated(presented, rotation))
            .returning(grants.c.account_id)
        )
        async with self._database.writing() as connection:
            owner = (await connection.execute(swap)).scalar_one_or_none()
            if owner is not None:
                return Rotated("rotated", account_id=owner)
            return await _repeated(connection, grant_id, presented, rotation)

    async def of_account(self, account_id: str) -> list[Grant]:
        """See ``contracts.GrantStore``."""
        query = _LIVE.where(grants.c.account_id == account_id).order_by(
            grants.c.created.desc(), grants.c.id
        )
        async with self._database.reading() as connection:
            return [_grant(row) for row in await connection.execute(query)]

    async def end(self, account_id: str, grant_id: bytes) -> bool:
        """See ``contracts.GrantStore``."""
        removal = delete(grants).where(
            grants.c.id == grant_id, grants.c.account_id == account_id
        )
        async with self._database.writing() as connection:
            return bool((await connection.execute(removal)).rowcount)

    async def end_all(self, account_id: str) -> int:
        """See ``contracts.GrantStore``."""
        removal = delete(grants).where(grants.c.account_id == account_id)
        async with self._database.writing() as connection:
            return (await connection.execute(removal)).rowcount

    async def forget_expired(self, now: float) -> int:
        """See ``contracts.GrantStore``."""
        # ``expires`` is never after ``ends``, and has an index.
        expired = (
            select(grants.c.id)
            .where(grants.c.expires <= now)
            .with_for_update(skip_locked=True)
        )
        removal = delete(grants).where(grants.c.id.in_(expired))
        async with self._database.writing() as connection:
            return (await connection.execute(removal)).rowcount


_LIVE = (
    select(grants, accounts.c.roles, accounts.c.epoch, accounts.c.tenant)
    .join(accounts, accounts.c.id == grants.c.account_id)
    .where(accounts.c.disabled.is_(False))
)


async def _repeated(
    connection: AsyncConnection, grant_id: bytes, presented: bytes, rotation: Rotation
) -> Rotated:
    """Judge a token that is not the one that may be redeemed now."""
    row = (
        await connection.execute(
            select(grants)
            .where(grants.c.id == grant_id, *_is_usable(rotation.at))
            .with_for_update()
        )
    ).one_or_none()
    if row is None:
        return _GONE
    if (
        row.previous_hash != presented
        or row.binding != rotation.binding
        or rotation.at >= row.repeat_until
    ):
        await connection.execute(delete(grants).where(grants.c.id == grant_id))
        return Rotated("reused", account_id=row.account_id)
    if row.is_repeated:
        return Rotated("again", account_id=row.account_id)
    await connection.execute(
        update(grants).where(grants.c.id == grant_id).values(is_repeated=True)
    )
    return Rotated("replayed", bytes(row.answer), row.account_id)


def _is_usable(now: float) -> tuple[Any, ...]:
    account = exists().where(
        accounts.c.id == grants.c.account_id, accounts.c.disabled.is_(False)
    )
    return grants.c.expires > now, grants.c.ends > now, account


def _rotated(presented: bytes, rotation: Rotation) -> dict[str, Any]:
    ends = grants.c.ends
    return {
        "token_hash": rotation.token_hash,
        "generation": grants.c.generation + 1,
        "used": rotation.at,
        "expires": case((ends < rotation.expires, ends), else_=rotation.expires),
        "previous_hash": presented,
        "answer": rotation.answer,
        "binding": rotation.binding,
        "repeat_until": rotation.at + rotation.grace if rotation.grace > 0 else 0.0,
        "is_repeated": False,
    }


def _values(grant: Grant) -> dict[str, Any]:
    values = grant._asdict() | _NEVER_ROTATED
    del values["roles"], values["epoch"], values["tenant"]  # the account's
    return values | {
        "factors": encode_names(grant.factors),
        "expires": min(grant.expires, grant.ends),
    }


def _grant(row: Row[Any]) -> Grant:
    return Grant(
        id=bytes(row.id),
        account_id=row.account_id,
        token_hash=bytes(row.token_hash),
        generation=row.generation,
        created=row.created,
        used=row.used,
        expires=row.expires,
        ends=row.ends,
        factors=decode_names(row.factors),
        proved=row.proved,
        key=row.key,
        address=row.address,
        device=row.device,
        roles=decode_names(row.roles),
        epoch=row.epoch,
        tenant=row.tenant,
    )
