"""Store credit: everybody starts with some, and may send it on.

A transfer is one transaction that holds the write lock from its first statement, so
that twenty at once are twenty in a row; the balance is compared inside the statement
that lowers it; and the table itself refuses to go below nought.

Credit is sent to an *address* and waits there. Whether an account has that address is
not told, neither by the answer nor by a refusal. What waits is its sender's until it
is collected, hence ``unscoped`` where an address asks for it.

Not covered: proof that whoever signs up with an address owns it. A shop with real
money confirms addresses by mail first.
"""

from __future__ import annotations

import time

from sqlalchemy import func, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncSession

from examples.shop.identifiers import fresh_id
from examples.shop.people import Account, address_key
from examples.shop.problems import not_enough_credit
from examples.shop.shapes import NewTransfer
from examples.shop.storage.tables import Transfer, Wallet
from ringfence import unscoped

WELCOME = 10_000  # cents


async def balance(db: AsyncSession, account: Account) -> int:
    """Return what the account could spend now, in cents. Changes nothing."""
    kept = await db.scalar(select(Wallet.balance).where(Wallet.owner_id == account.id))
    with unscoped("credit waits at an address"):
        waiting = await db.scalar(
            select(func.coalesce(func.sum(Transfer.amount), 0)).where(
                Transfer.recipient == address_key(account.email),
                Transfer.collected_by.is_(None),
            )
        )
    return (WELCOME if kept is None else kept) + (waiting or 0)


async def send(db: AsyncSession, account: Account, new: NewTransfer) -> Transfer:
    await _collect(db, account)
    covered = await db.execute(
        update(Wallet)
        .where(Wallet.balance >= new.amount)
        .values(balance=Wallet.balance - new.amount)
        .returning(Wallet.balance)
    )
    if covered.first() is None:
        raise not_enough_credit()
    transfer = Transfer(
        id=fresh_id(),
        recipient=address_key(new.to),
        amount=new.amount,
        sent=time.time(),
    )
    db.add(transfer)
    await db.flush()
    return transfer


async def sent(db: AsyncSession, *, limit: int = 20) -> list[Transfer]:
    query = select(Transfer).order_by(Transfer.sent.desc(), Transfer.id)
    return list(await db.scalars(query.limit(limit)))


async def _collect(db: AsyncSession, account: Account) -> None:
    """Open the wallet if this is the first time, and put in what waits for it."""
    await db.execute(
        insert(Wallet)
        .values(owner_id=account.id, balance=WELCOME)
        .on_conflict_do_nothing()
    )
    with unscoped("credit waits at an address"):
        found = await db.scalars(
            update(Transfer)
            .where(
                Transfer.recipient == address_key(account.email),
                Transfer.collected_by.is_(None),
            )
            .values(collected_by=account.id)
            .returning(Transfer.amount)
        )
        collected = sum(found)
    await db.execute(update(Wallet).values(balance=Wallet.balance + collected))
