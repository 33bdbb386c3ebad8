from __future__ import annotations

from fastapi import APIRouter, Request, Response

from examples.shop import orders
from examples.shop.dependencies import Reading, Writing
from examples.shop.shapes import MOST_ITEMS, NewOrder, OrderChange, Window
from examples.shop.web import forms
from examples.shop.web.pages import page, see
from ringfence import access, limit

router = APIRouter(prefix="/orders", dependencies=[access.depends(access.signed_in)])


@router.get("")
async def my_orders(request: Request, db: Reading) -> Response:
    return await _orders_page(request, db)


@router.post("")
@limit("60/minute", by="account")
async def place(request: Request, db: Writing) -> Response:
    form = await forms.read(request, NewOrder, numbers=("quantity",))
    if form.value is None:
        return await _orders_page(request, db, wrong=True)
    await orders.place(db, form.value)
    return see("/orders", done="ordered")


@router.post("/{order_id}")
async def change(request: Request, order_id: str, db: Writing) -> Response:
    form = await forms.read(request, OrderChange, numbers=("quantity",))
    if form.value is None:
        return await _orders_page(request, db, wrong=True)
    await orders.change(db, order_id, form.value)
    return see("/orders", done="changed")


@router.post("/{order_id}/cancel")
async def cancel(order_id: str, db: Writing) -> Response:
    await orders.cancel(db, order_id)
    return see("/orders", done="cancelled")


async def _orders_page(
    request: Request, db: Reading, *, wrong: bool = False
) -> Response:
    mine = await orders.mine(db, Window(limit=100))
    return page(
        request,
        "orders.html",
        status=400 if wrong else 200,
        orders=mine,
        total=sum(order.total for order in mine),
        wrong=wrong,
        most=MOST_ITEMS,
    )
