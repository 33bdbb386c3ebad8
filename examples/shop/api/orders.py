from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response, status

from examples.shop import orders
from examples.shop.api.answers import REFUSED, SIGNED_OUT, TOO_OFTEN, UNKNOWN
from examples.shop.dependencies import Reading, Writing
from examples.shop.shapes import NewOrder, OrderChange, OrderView, Window
from ringfence import access, limit

router = APIRouter(
    prefix="/orders",
    tags=["orders"],
    dependencies=[access.depends(access.signed_in)],
    responses=REFUSED | SIGNED_OUT,
)


@router.get("", response_model=list[OrderView])
async def list_orders(db: Reading, window: Annotated[Window, Query()]) -> object:
    return await orders.mine(db, window)


@router.post(
    "",
    response_model=OrderView,
    status_code=status.HTTP_201_CREATED,
    responses=UNKNOWN | TOO_OFTEN,
)
@limit("60/minute", by="account")
async def place_order(new: NewOrder, db: Writing, response: Response) -> object:
    order = await orders.place(db, new)
    response.headers["Location"] = f"/api/orders/{order.id}"
    return order


@router.get("/{order_id}", response_model=OrderView, responses=UNKNOWN)
async def read_order(order_id: str, db: Reading) -> object:
    return await orders.read(db, order_id)


@router.patch("/{order_id}", response_model=OrderView, responses=UNKNOWN)
async def change_order(order_id: str, to: OrderChange, db: Writing) -> object:
    return await orders.change(db, order_id, to)


@router.delete("/{order_id}", status_code=status.HTTP_204_NO_CONTENT, responses=UNKNOWN)
async def cancel_order(order_id: str, db: Writing) -> None:
    await orders.cancel(db, order_id)
