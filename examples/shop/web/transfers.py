from __future__ import annotations

from fastapi import APIRouter, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from examples.shop import credit
from examples.shop.dependencies import People, Reading, Writing
from examples.shop.people import Account, account_of
from examples.shop.problems import ShopError
from examples.shop.shapes import NewTransfer
from examples.shop.web import forms
from examples.shop.web.pages import page, see
from ringfence import access, current

router = APIRouter(prefix="/transfers", dependencies=[access.depends(access.signed_in)])


@router.get("")
async def transfers(request: Request, db: Reading, people: People) -> Response:
    account = await account_of(people, current.principal().id)
    return await _transfers_page(request, db, account)


@router.post("")
async def send(request: Request, db: Writing, people: People) -> Response:
    account = await account_of(people, current.principal().id)
    form = await forms.read(request, NewTransfer, money=("amount",))
    if form.value is None:
        return await _transfers_page(request, db, account, form=form)
    try:
        await credit.send(db, account, form.value)
    except ShopError as error:
        return await _transfers_page(request, db, account, form=form, refused=error)
    return see("/transfers", done="sent")


async def _transfers_page(
    request: Request,
    db: AsyncSession,
    account: Account,
    *,
    form: forms.Filled[NewTransfer] | None = None,
    refused: ShopError | None = None,
) -> Response:
    return page(
        request,
        "transfers.html",
        status=refused.status if refused else 400 if form else 200,
        welcome=credit.WELCOME,
        balance=await credit.balance(db, account),
        sent=await credit.sent_by(db, account.id),
        form=form,
        refused=refused,
    )
