"""Products: what is on the shelves, and how to find it."""

from __future__ import annotations

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from examples.shop.problems import not_found
from examples.shop.shapes import Search
from examples.shop.storage.tables import Product

# A column name cannot be a bound parameter. What a visitor may sort by is this list,
# and the text of the request never reaches the statement.
COLUMNS = {
    "added": Product.added,
    "name": func.lower(Product.name),
    "price": Product.price,
}


async def find(db: AsyncSession, search: Search) -> list[Product]:
    column = COLUMNS[search.sort]
    direction = column.desc() if search.order == "desc" else column.asc()
    query = select(Product).order_by(direction, Product.id)
    for word in search.q.split():
        # autoescape: a percent sign in the search is a percent sign
        query = query.where(
            or_(
                Product.name.icontains(word, autoescape=True),
                Product.summary.icontains(word, autoescape=True),
                Product.kind.icontains(word, autoescape=True),
            )
        )
    return list(await db.scalars(query.limit(search.limit).offset(search.offset)))


async def read(db: AsyncSession, product_id: str) -> Product:
    product = await db.get(Product, product_id)
    if product is None:
        raise not_found("product")
    return product
