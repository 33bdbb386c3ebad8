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
from ringfence import access, current, limit

router = APIRouter(prefix="/transfers", dependencies=[access.depends(access.signed_in)])


@router.get("")
async def transfers(request: Request, db: Reading, people: People) -> Response:
    account = await account_of(people, current.principal().id)
    return page(
        request,
        "transfers.html",
        welcome=credit.WELCOME,
        balance=await credit.balance(db, account),
        sent=await credit.sent(db),
    )


# Credit that is sent is gone, so a session alone is not enough: whoever signed in too
# long ago gives the password once more and is led back to this page. It wants a younger
# proof than sending does, so that there is time to fill in the form.
@router.get("/new")
@access.require(access.fresh(minutes=10))
async def ask(request: Request, db: Reading, people: People) -> Response:
    account = await account_of(people, current.principal().id)
    return await _form_page(request, db, account)


@router.post("")
@limit("30/minute", by="account")
@access.require(access.fresh(minutes=15))
async def send(request: Request, db: Writing, people: People) -> Response:
    account = await account_of(people, current.principal().id)
    form = await forms.read(request, NewTransfer, money=("amount",))
    if form.value is None:
        return await _form_page(request, db, account, form=form)
    try:
        await credit.send(db, account, form.value)
    except ShopError as error:
        return await _form_page(request, db, account, form=form, refused=error)
    return see("/transfers", done="sent")


async def _form_page(
    request: Request,
    db: AsyncSession,
    account: Account,
    *,
    form: forms.Filled[NewTransfer] | None = None,
    refused: ShopError | None = None,
) -> Response:
    return page(
        request,
        "send.html",
        status=refused.status if refused else 400 if form else 200,
        balance=await credit.balance(db, account),
        form=form,
        refused=refused,
    )
