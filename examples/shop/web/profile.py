from __future__ import annotations

from fastapi import APIRouter, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from examples.shop import people
from examples.shop.dependencies import People, Reading, Writing
from examples.shop.profiles import profile_of
from examples.shop.shapes import ProfileChange
from examples.shop.web import forms
from examples.shop.web.pages import page, see
from ringfence import access, current

router = APIRouter(prefix="/profile", dependencies=[access.depends(access.signed_in)])


@router.get("")
async def profile(request: Request, db: Reading, accounts: People) -> Response:
    return await _profile_page(request, db, accounts)


@router.post("")
async def rename(request: Request, db: Writing, accounts: People) -> Response:
    form = await forms.read(request, ProfileChange)
    if form.value is None:
        return await _profile_page(request, db, accounts, form=form)
    await people.rename(db, current.principal().id, form.value.name)
    return see("/profile", done="renamed")


async def _profile_page(
    request: Request,
    db: AsyncSession,
    accounts: people.Accounts,
    *,
    form: forms.Filled[ProfileChange] | None = None,
) -> Response:
    account = await people.account_of(accounts, current.principal().id)
    return page(
        request,
        "profile.html",
        status=400 if form else 200,
        profile=await profile_of(db, account),
        roles=sorted(account.roles),
        form=form,
    )
