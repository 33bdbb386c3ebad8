from __future__ import annotations

from fastapi import APIRouter

from examples.shop import people
from examples.shop.api.answers import REFUSED, SIGNED_OUT, UNKNOWN
from examples.shop.dependencies import People, Reading, Writing
from examples.shop.profiles import Profile, profile_for_staff, profile_of
from examples.shop.shapes import ProfileChange, ProfileView
from ringfence import access, current

router = APIRouter(
    prefix="/users",
    tags=["users"],
    dependencies=[access.depends(access.signed_in)],
    responses=REFUSED | SIGNED_OUT | UNKNOWN,
)


@router.get("/{user_id}/profile", response_model=ProfileView)
@access.require(access.own("user_id") | access.role("staff", "operator"))
async def read_profile(user_id: str, db: Reading, accounts: People) -> Profile:
    account = await people.account_of(accounts, user_id)
    if user_id == current.principal().id:
        return await profile_of(db, account)
    return await profile_for_staff(db, account)


@router.patch("/{user_id}/profile", response_model=ProfileView)
@access.require(access.own("user_id"))
async def change_profile(
    user_id: str, to: ProfileChange, db: Writing, accounts: People
) -> Profile:
    account = await people.account_of(accounts, user_id)
    await people.rename(db, account.id, to.name)
    return await profile_of(db, account)
