from __future__ import annotations

from fastapi import APIRouter, Request, status

from examples.shop import imports
from examples.shop.api.answers import REFUSED, SIGNED_OUT, TOO_OFTEN, UNKNOWN
from examples.shop.dependencies import Writing
from examples.shop.shapes import OrderView
from ringfence import access, limit

router = APIRouter(
    prefix="/import",
    tags=["orders"],
    dependencies=[access.depends(access.signed_in)],
    responses=REFUSED | SIGNED_OUT,
)

XML = {
    "requestBody": {
        "required": True,
        "content": {"application/xml": {"schema": {"type": "string"}}},
    }
}


@router.post(
    "",
    response_model=list[OrderView],
    status_code=status.HTTP_201_CREATED,
    responses=UNKNOWN | TOO_OFTEN,
    openapi_extra=XML,
)
@limit("10/minute", by="account")
async def import_orders(request: Request, db: Writing) -> object:
    """Place a list of orders: `<orders><order product="kale" quantity="2"/></orders>`.

    All of them are placed, or none.
    """
    return await imports.place_all(db, await request.body())
