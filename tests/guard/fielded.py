"""An application whose orders have fields that are not for everybody."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import UNSET, Struct, UnsetType
from pydantic import BaseModel, ConfigDict
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from ringfence import Guard, access


@access.fields(
    read={
        "unit_cost": access.role("clerk"),
        "notes": access.nobody,
        "owner_id": access.owner("owner_id"),
    },
    write={"quantity": access.signed_in, "status": access.role("clerk")},
)
@dataclass
class Order:
    id: str
    owner_id: str
    quantity: int = 1
    status: str = "new"
    unit_cost: int = 0
    notes: str = ""


@access.request_of(Order)
class OrderChange(BaseModel):
    model_config = ConfigDict(extra="forbid")

    quantity: int = 1


@access.response_of(Order)
class OrderOut(BaseModel):
    id: str
    unit_cost: int | None = None


@access.request_of(Order)
class StatusChange(Struct, forbid_unknown_fields=True):
    status: str | UnsetType = UNSET


async def answer(request):
    return Response()


def guard(settings):
    routes = access.routes(
        [Route("/orders", answer, methods=["GET"])], access.signed_in
    )
    return Guard(Starlette(routes=routes), settings)
