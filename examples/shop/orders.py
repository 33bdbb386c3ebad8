"""Orders. The price is the shelf's, the owner is whoever is signed in. No statement
here says so: ``storage.tables`` does, and another's order is not there."""

from __future__ import annotations

import time

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from examples.shop import catalogue
from examples.shop.identifiers import fresh_id
from examples.shop.problems import not_found
from examples.shop.shapes import NewOrder, OrderChange, Window
from examples.shop.storage.tables import Order

_WITH_PRODUCT = select(Order).options(joinedload(Order.product))


async def mine(db: AsyncSession, window: Window) -> list[Order]:
    query = _WITH_PRODUCT.order_by(Order.placed.desc(), Order.id)
    return list(await db.scalars(query.limit(window.limit).offset(window.offset)))


async def read(db: AsyncSession, order_id: str) -> Order:
    order = await db.scalar(_WITH_PRODUCT.where(Order.id == order_id))
    if order is None:
        raise not_found("order")
    return order


async def place(db: AsyncSession, new: NewOrder) -> Order:
    product = await catalogue.read(db, new.product_id)
    order = Order(
        id=fresh_id(),
        product_id=product.id,
        quantity=new.quantity,
        unit_price=product.price,
        placed=time.time(),
    )
    db.add(order)
    await db.flush()
    return order


async def change(db: AsyncSession, order_id: str, to: OrderChange) -> Order:
    order = await read(db, order_id)
    order.quantity = to.quantity
    await db.flush()
    return order


async def cancel(db: AsyncSession, order_id: str) -> None:
    statement = delete(Order).where(Order.id == order_id)
    result = await db.execute(statement.returning(Order.id))
    if result.first() is None:
        raise not_found("order")
