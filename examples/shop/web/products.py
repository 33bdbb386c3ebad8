from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from examples.shop import catalogue, reviews
from examples.shop.dependencies import Reading, Writing
from examples.shop.shapes import Direction, NewReview, Search, Sort, Window
from examples.shop.web import forms
from examples.shop.web.pages import page, see
from ringfence import access, limit

router = APIRouter()

# One choice for a person, two words for the catalogue.
ORDERS: dict[str, tuple[str, Sort, Direction]] = {
    "": ("As on the shelves", "added", "asc"),
    "name": ("By name", "name", "asc"),
    "cheap": ("Price, low to high", "price", "asc"),
    "dear": ("Price, high to low", "price", "desc"),
}


@router.get("/")
@access.require(access.public)
async def home(request: Request, db: Reading, q: str = "", sort: str = "") -> Response:
    q = q.strip()[:100]
    sort = sort if sort in ORDERS else ""
    _, column, direction = ORDERS[sort]
    found = await catalogue.find(
        db, Search(q=q, sort=column, order=direction, limit=100)
    )
    choices = [(key, label) for key, (label, *_) in ORDERS.items()]
    return page(request, "home.html", products=found, q=q, sort=sort, choices=choices)


@router.get("/favicon.ico")
@access.require(access.public)
async def icon() -> Response:
    return RedirectResponse("/static/gate.svg", 301)


@router.get("/products/{product_id}")
@access.require(access.public)
async def product(request: Request, product_id: str, db: Reading) -> Response:
    return await _product_page(request, db, product_id)


@router.post("/products/{product_id}/reviews")
@limit("60/minute", by="account")
@access.require(access.signed_in)
async def review(request: Request, product_id: str, db: Writing) -> Response:
    form = await forms.read(request, NewReview, numbers=("stars",))
    if form.value is None:
        return await _product_page(request, db, product_id, form=form)
    await reviews.write(db, product_id, form.value)
    return see(f"/products/{product_id}", done="reviewed")


async def _product_page(
    request: Request,
    db: Reading,
    product_id: str,
    *,
    form: forms.Filled[NewReview] | None = None,
) -> Response:
    return page(
        request,
        "product.html",
        status=400 if form else 200,
        product=await catalogue.read(db, product_id),
        reviews=await reviews.of_product(db, product_id, Window()),
        form=form,
    )
