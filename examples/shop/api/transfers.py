from __future__ import annotations

from fastapi import APIRouter, status

from examples.shop import credit
from examples.shop.api.answers import CONFLICT, REFUSED, SIGNED_OUT
from examples.shop.dependencies import People, Writing
from examples.shop.people import account_of
from examples.shop.shapes import NewTransfer, TransferView
from ringfence import access, current

router = APIRouter(
    prefix="/transfers",
    tags=["transfers"],
    dependencies=[access.depends(access.signed_in)],
    responses=REFUSED | SIGNED_OUT,
)


@router.post(
    "",
    response_model=TransferView,
    status_code=status.HTTP_201_CREATED,
    responses=CONFLICT,
)
async def send_credit(new: NewTransfer, db: Writing, people: People) -> object:
    account = await account_of(people, current.principal().id)
    return await credit.send(db, account, new)
