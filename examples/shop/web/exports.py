from __future__ import annotations

from fastapi import APIRouter, Request, Response

from examples.shop.api.exports import read_export
from examples.shop.dependencies import Reading, Shelf
from examples.shop.shapes import NewExport
from examples.shop.web import forms
from examples.shop.web.pages import page, see
from ringfence import access, current, limit

router = APIRouter(prefix="/exports", dependencies=[access.depends(access.signed_in)])


@router.get("")
def my_exports(request: Request, shelf: Shelf) -> Response:
    return _exports_page(request, shelf)


@router.post("")
@limit("10/minute", by="account")
async def make(request: Request, db: Reading, shelf: Shelf) -> Response:
    form = await forms.read(request, NewExport)
    if form.value is None:
        return _exports_page(request, shelf, form=form)
    await shelf.make(db, current.principal().id, form.value)
    return see("/exports", done="exported")


router.get("/{name}")(read_export)


def _exports_page(
    request: Request, shelf: Shelf, *, form: forms.Filled[NewExport] | None = None
) -> Response:
    return page(
        request,
        "exports.html",
        status=400 if form else 200,
        exports=shelf.of_owner(current.principal().id),
        form=form,
    )
