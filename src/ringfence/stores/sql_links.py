"""Identities at other providers in SQL: one copy for every database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, delete, func, insert, select
from sqlalchemy.exc import IntegrityError

from ringfence.stores.contracts import Link, is_identity
from ringfence.stores.schema import links
from ringfence.stores.sql import Database, account_at, can_be_kept


class SqlLinkStore:
    """Linked identities in SQL. See ``contracts.LinkStore``.

    Args:
        database: keeps them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, link: Link, *, epoch: int, most: int = 16) -> bool:
        """See ``contracts.LinkStore``."""
        if not is_identity(link.issuer, link.subject) or not can_be_kept(link.email):
            return False
        same = account_at(link.account_id, epoch, is_counted=True)
        have = (
            select(func.count())
            .select_from(links)
            .where(links.c.account_id == link.account_id)
        )
        try:
            async with self._database.writing() as connection:
                if (await connection.execute(same)).one_or_none() is None:
                    return False
                if (await connection.execute(have)).scalar_one() >= most:
                    return False
                await connection.execute(insert(links), link._asdict())
        except IntegrityError:  # the identity is linked already
            return False
        return True

    async def find(self, issuer: str, subject: str) -> Link | None:
        """See ``contracts.LinkStore``."""
        if not is_identity(issuer, subject):
            return None
        query = select(links).where(*_named(issuer, subject))
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else _link(row)

    async def of_account(self, account_id: str) -> list[Link]:
        """See ``contracts.LinkStore``."""
        query = (
            select(links)
            .where(links.c.account_id == account_id)
            .order_by(links.c.created, links.c.issuer, links.c.subject)
        )
        async with self._database.reading() as connection:
            return [_link(row) for row in await connection.execute(query)]

    async def remove(self, account_id: str, issuer: str, subject: str) -> bool:
        """See ``contracts.LinkStore``."""
        if not is_identity(issuer, subject):
            return False
        removal = delete(links).where(
            *_named(issuer, subject), links.c.account_id == account_id
        )
        async with self._database.writing() as connection:
            return bool((await connection.execute(removal)).rowcount)


def _named(issuer: str, subject: str) -> tuple[Any, ...]:
    return links.c.issuer == issuer, links.c.subject == subject


def _link(row: Row[Any]) -> Link:
    return Link(
        issuer=row.issuer,
        subject=row.subject,
        account_id=row.account_id,
        email=row.email,
        created=row.created,
    )
