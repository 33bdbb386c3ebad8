from __future__ import annotations

from fastapi import APIRouter, Request, Response

from examples.shop import people
from examples.shop.dependencies import People, Writing
from examples.shop.problems import not_found
from examples.shop.web.pages import page, see
from ringfence import access, current

router = APIRouter(
    prefix="/admin/users", dependencies=[access.depends(access.role("operator"))]
)

PAGE = 50


@router.get("")
async def users(request: Request, accounts: People, after: str = "") -> Response:
    listed = await accounts.list(after=after[:64], limit=PAGE + 1)
    return page(
        request,
        "users.html",
        users=listed[:PAGE],
        following=listed[PAGE - 1].id if len(listed) > PAGE else "",
        me=current.principal().id,
    )


@router.post("/{user_id}/unlock")
async def unlock(user_id: str, accounts: People) -> Response:
    """End the lock that wrong passwords have put on an account."""
    if not await accounts.unlock(user_id):
        raise not_found("user")
    return see("/admin/users", done="unlocked")


# The question wants a younger proof than the answer, so that there is time to read it.
@router.get("/{user_id}/remove")
@access.require(access.fresh(minutes=10))
async def ask(request: Request, user_id: str, accounts: People) -> Response:
    account = await people.dismissable(accounts, current.principal(), user_id)
    return page(request, "remove_user.html", account=account)


@router.post("/{user_id}/remove")
@access.require(access.fresh(minutes=15))
async def remove(user_id: str, db: Writing, accounts: People) -> Response:
    account = await people.dismissable(accounts, current.principal(), user_id)
    await accounts.remove(account.id)
    await people.forget(db, account.id)
    return see("/admin/users", done="removed")
