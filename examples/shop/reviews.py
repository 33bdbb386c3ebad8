"""Reviews: written by customers, read by everybody. They are stored as they were
written; where they enter a page, plain ones are escaped and rich ones are cleaned."""

from __future__ import annotations

import time
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from examples.shop import catalogue
from examples.shop.identifiers import fresh_id
from examples.shop.shapes import Form, NewReview, Window
from examples.shop.storage.tables import Profile, Review

NAMELESS = "A customer"


@dataclass(frozen=True, slots=True)
class SignedReview:
    """A review with its author's public name, and without the owner's id."""

    id: str
    product_id: str
    author: str
    stars: int
    text: str
    form: Form
    written: float


async def of_product(
    db: AsyncSession, product_id: str, window: Window
) -> list[SignedReview]:
    await catalogue.read(db, product_id)
    query = (
        select(Review, Profile.name)
        .outerjoin(Profile, Profile.owner_id == Review.owner_id)
        .where(Review.product_id == product_id)
        .order_by(Review.written.desc(), Review.id)
        .limit(window.limit)
        .offset(window.offset)
    )
    rows = (await db.execute(query)).all()
    return [_signed(review, name) for review, name in rows]


async def write(db: AsyncSession, product_id: str, new: NewReview) -> SignedReview:
    await catalogue.read(db, product_id)
    review = Review(
        id=fresh_id(),
        product_id=product_id,
        stars=new.stars,
        text=new.text,
        form=new.form,
        written=time.time(),
    )
    db.add(review)
    await db.flush()
    profile = await db.get(Profile, review.owner_id)
    return _signed(review, profile.name if profile else None)


def _signed(review: Review, name: str | None) -> SignedReview:
    return SignedReview(
        id=review.id,
        product_id=review.product_id,
        author=name or NAMELESS,
        stars=review.stars,
        text=review.text,
        form="rich" if review.form == "rich" else "plain",
        written=review.written,
    )
