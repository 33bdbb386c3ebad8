from __future__ import annotations

from fastapi import APIRouter, status

from examples.shop import credit
from examples.shop.api.answers import CONFLICT, REFUSED, STALE, TOO_OFTEN
from examples.shop.dependencies import People, Writing
from examples.shop.people import account_of
from examples.shop.shapes import NewTransfer, TransferView
from ringfence import access, current, limit

router = APIRouter(
    prefix="/transfers",
    tags=["transfers"],
    dependencies=[access.depends(access.fresh(minutes=15))],
    responses=REFUSED | STALE,
)


@router.post(
    "",
    response_model=TransferView,
    status_code=status.HTTP_201_CREATED,
    responses=CONFLICT | TOO_OFTEN,
)
@limit("30/minute", by="account")
async def send_credit(new: NewTransfer, db: Writing, people: People) -> object:
    account = await account_of(people, current.principal().id)
    return await credit.send(db, account, new)
