"""A customer's profile, put together from the guard's account and the shop's rows."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from examples.shop import credit, people
from ringfence import unscoped


@dataclass(frozen=True, slots=True)
class Profile:
    id: str
    email: str
    name: str
    member_since: float
    balance: int
    orders: int
    reviews: int


async def profile_for_staff(db: AsyncSession, account: people.Account) -> Profile:
    """Return somebody else's profile."""
    with unscoped("staff look at a customer's profile"):
        return await profile_of(db, account)


async def profile_of(db: AsyncSession, account: people.Account) -> Profile:
    orders, reviews = await people.tally(db, account.id)
    return Profile(
        id=account.id,
        email=account.email,
        name=await people.name_of(db, account.id),
        member_since=account.created,
        balance=await credit.balance(db, account),
        orders=orders,
        reviews=reviews,
    )
