"""Imports: a list of orders as XML, from another program of the customer's."""

from __future__ import annotations

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from examples.shop import orders
from examples.shop.problems import ShopError
from examples.shop.shapes import NewOrder
from examples.shop.storage.tables import Order
from ringfence import xml

MOST = 50  # orders in one list


async def place_all(db: AsyncSession, document: bytes) -> list[Order]:
    """Place every order of a list, or none of them.

    The list is ``<orders><order product="kale" quantity="2"/>...</orders>``.
    """
    return [await orders.place(db, new) for new in _read(document)]


def _read(document: bytes) -> list[NewOrder]:
    root = xml.parse(document)
    if root.tag != "orders" or not 1 <= len(root) <= MOST:
        raise _wrong(f"an <orders> list holds 1 to {MOST} orders")
    try:
        return [_order(dict(each.attrib), each.tag) for each in root]
    except (ValidationError, ValueError):
        raise _wrong('write <order product="..." quantity="..."/>') from None


def _order(given: dict[str, str], tag: str) -> NewOrder:
    if tag != "order":
        raise ValueError(tag)
    quantity = given.pop("quantity", "1")
    if not (quantity.isascii() and quantity.isdigit()):
        raise ValueError(quantity)
    product = given.pop("product", "")
    return NewOrder(product_id=product, quantity=int(quantity), **given)


def _wrong(how: str) -> ShopError:
    return ShopError(422, "shop.wrong_list", f"This list cannot be read: {how}.")
