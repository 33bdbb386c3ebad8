from __future__ import annotations

from fastapi import APIRouter, Response, status

from examples.shop.api.answers import (
    CONFLICT,
    REFUSED,
    SIGNED_OUT,
    TOO_OFTEN,
    UNKNOWN,
    problem,
)
from examples.shop.dependencies import Reading, Shelf
from examples.shop.exports import Export
from examples.shop.shapes import ExportView, NewExport
from ringfence import access, current, limit

router = APIRouter(
    prefix="/exports",
    tags=["exports"],
    dependencies=[access.depends(access.signed_in)],
    responses=REFUSED | SIGNED_OUT,
)

BAD_NAME = problem(400, "No name of a plain file.")


@router.get("", response_model=list[ExportView])
def list_exports(shelf: Shelf) -> list[Export]:
    return shelf.of_owner(current.principal().id)


@router.post(
    "",
    response_model=ExportView,
    status_code=status.HTTP_201_CREATED,
    responses=BAD_NAME | CONFLICT | TOO_OFTEN,
)
@limit("10/minute", by="account")
async def make_export(
    new: NewExport, db: Reading, shelf: Shelf, response: Response
) -> Export:
    """Your orders as a packed spreadsheet, under a name of your own."""
    made = await shelf.make(db, current.principal().id, new)
    response.headers["Location"] = "/api/exports"
    return made


@router.get("/{name}", response_class=Response, responses=BAD_NAME | UNKNOWN)
def read_export(name: str, shelf: Shelf) -> Response:
    content = shelf.read(current.principal().id, name)
    headers = {"content-disposition": "attachment"}
    return Response(content, media_type="application/gzip", headers=headers)
