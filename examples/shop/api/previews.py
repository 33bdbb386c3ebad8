from __future__ import annotations

from fastapi import APIRouter

from examples.shop import previews
from examples.shop.api.answers import REFUSED, SIGNED_OUT, TOO_OFTEN, problem
from examples.shop.shapes import NewPreview, PreviewView
from ringfence import access, limit

router = APIRouter(
    prefix="/preview",
    tags=["previews"],
    dependencies=[access.depends(access.signed_in)],
    responses=REFUSED | SIGNED_OUT,
)

NOWHERE = problem(400, "An address that leads where it must not.")
NO_PAGE = problem(502, "There was no page.")


@router.post("", response_model=PreviewView, responses=NOWHERE | NO_PAGE | TOO_OFTEN)
@limit("10/minute", by="account")
async def preview(new: NewPreview) -> object:
    """The title of a page on the internet."""
    return await previews.of(new.url)
