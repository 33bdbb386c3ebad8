from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response, status

from examples.shop import catalogue, reviews
from examples.shop.api.answers import REFUSED, SIGNED_OUT, TOO_OFTEN, UNKNOWN
from examples.shop.dependencies import Reading, Writing
from examples.shop.shapes import (
    NewReview,
    ProductView,
    ReviewView,
    Search,
    Window,
)
from ringfence import access, limit

router = APIRouter(prefix="/products", tags=["products"], responses=REFUSED)


@router.get("", response_model=list[ProductView])
@access.require(access.public)
async def list_products(db: Reading, search: Annotated[Search, Query()]) -> object:
    return await catalogue.find(db, search)


@router.get("/{product_id}", response_model=ProductView, responses=UNKNOWN)
@access.require(access.public)
async def read_product(product_id: str, db: Reading) -> object:
    return await catalogue.read(db, product_id)


@router.get("/{product_id}/reviews", response_model=list[ReviewView], responses=UNKNOWN)
@access.require(access.public)
async def list_reviews(
    product_id: str, db: Reading, window: Annotated[Window, Query()]
) -> object:
    return await reviews.of_product(db, product_id, window)


@router.post(
    "/{product_id}/reviews",
    response_model=ReviewView,
    status_code=status.HTTP_201_CREATED,
    responses=UNKNOWN | SIGNED_OUT | TOO_OFTEN,
)
@limit("60/minute", by="account")
@access.require(access.signed_in)
async def write_review(
    product_id: str, new: NewReview, db: Writing, response: Response
) -> object:
    review = await reviews.write(db, product_id, new)
    response.headers["Location"] = f"/api/products/{review.product_id}/reviews"
    return review
