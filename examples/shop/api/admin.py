from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, status

from examples.shop import people
from examples.shop.api.answers import (
    CONFLICT,
    FORBIDDEN,
    REFUSED,
    SIGNED_OUT,
    STALE,
    UNKNOWN,
)
from examples.shop.dependencies import People, Writing
from examples.shop.shapes import UserView
from ringfence import access, current

router = APIRouter(
    prefix="/admin/users",
    tags=["admin"],
    dependencies=[access.depends(access.role("operator"))],
    responses=REFUSED | SIGNED_OUT | FORBIDDEN,
)


@router.get("", response_model=list[UserView])
async def list_users(
    accounts: People,
    after: Annotated[str, Query(max_length=64, description="The last id seen.")] = "",
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> object:
    return await accounts.list(after=after, limit=limit)


@router.delete(
    "/{user_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=UNKNOWN | CONFLICT | STALE,
)
@access.require(access.fresh(minutes=15))
async def remove_user(user_id: str, db: Writing, accounts: People) -> None:
    account = await people.dismissable(accounts, current.principal(), user_id)
    await accounts.remove(account.id)
    await people.forget(db, account.id)
