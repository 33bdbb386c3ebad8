"""Customers: the account is the guard's, the name on it is the shop's."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncSession

from examples.shop.problems import ShopError, not_found
from examples.shop.storage.tables import Order, Profile, Review, Transfer, Wallet
from ringfence import Principal, unscoped


class Account(Protocol):
    """What the guard tells of an account."""

    @property
    def id(self) -> str: ...
    @property
    def email(self) -> str: ...
    @property
    def roles(self) -> frozenset[str]: ...
    @property
    def disabled(self) -> bool: ...
    @property
    def created(self) -> float: ...


class Accounts(Protocol):
    """The guard's accounts: ``Guard.accounts``."""

    async def find(self, account_id: str) -> Account | None: ...
    async def list(self, *, after: str, limit: int) -> Sequence[Account]: ...
    async def remove(self, account_id: str) -> bool: ...
    async def unlock(self, account_id: str) -> bool: ...


def address_key(email: str) -> str:
    """Return what spellings of one address have in common. It may tell apart what the
    guard takes for one address, never the other way round."""
    return unicodedata.normalize("NFC", email.strip()).lower()


async def account_of(accounts: Accounts, account_id: str) -> Account:
    account = await accounts.find(account_id)
    if account is None:
        raise not_found("user")
    return account


async def name_of(db: AsyncSession, owner_id: str) -> str:
    query = select(Profile.name).where(Profile.owner_id == owner_id)
    return await db.scalar(query) or ""


async def rename(db: AsyncSession, owner_id: str, name: str) -> None:
    statement = insert(Profile).values(owner_id=owner_id, name=name)
    await db.execute(
        statement.on_conflict_do_update(
            index_elements=["owner_id"], set_={"name": name}
        )
    )


async def tally(db: AsyncSession, owner_id: str) -> tuple[int, int]:
    """Return how many orders and how many reviews somebody has made, whose they are
    or for whom it is unscoped."""
    counts = [
        await db.scalar(
            select(func.count()).select_from(table).where(table.owner_id == owner_id)
        )
        for table in (Order, Review)
    ]
    return counts[0] or 0, counts[1] or 0


async def dismissable(
    accounts: Accounts, operator: Principal, account_id: str
) -> Account:
    """Return the account if this operator may remove it."""
    if account_id == operator.id:
        raise ShopError(
            409, "shop.own_account", "You cannot remove the account you are using."
        )
    account = await account_of(accounts, account_id)
    if "admin" in account.roles and "admin" not in operator.roles:
        raise ShopError(
            403, "shop.above_you", "Only an administrator removes administrators."
        )
    return account


async def forget(db: AsyncSession, owner_id: str) -> None:
    """Remove what the shop holds of somebody. Reviews stay, nameless; credit that was
    sent stays sent."""
    with unscoped("an account was removed"):
        for table in (Order, Profile, Wallet):
            await db.execute(delete(table).where(table.owner_id == owner_id))
        for kept in (Review, Transfer):
            nobody = update(kept).values(owner_id="")
            await db.execute(nobody.where(kept.owner_id == owner_id))
