"""What is sent is taken as it is: fields nobody asked for, JSON that two parsers read
differently (guide: "JSON APIs", "parameters are not modified")."""

from __future__ import annotations

import json

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from examples.range.given import fields_of, who, world_of
from examples.range.target import Target
from ringfence import accepts, access

MOST = 100  # that may be paid or bid


class Change(msgspec.Struct):
    """What a user may change in their own account: the defence, on the guarded side."""

    name: str | None = None
    email: str | None = None


async def change_account(request: Request) -> Response:
    """``user.update(**body)``: every column that the body names."""
    user_id, world = who(request), world_of(request)
    world.rows("INSERT OR IGNORE INTO users (id) VALUES (?)", user_id)
    columns = [row["name"] for row in world.rows("PRAGMA table_info(users)")]
    for field, value in (await fields_of(request)).items():
        if field in columns:
            world.rows(f"UPDATE users SET {field} = ? WHERE id = ?", value, user_id)
    statement = "SELECT id, name, role FROM users WHERE id = ?"
    return JSONResponse(world.row(statement, user_id))


def _first(pairs: list[tuple[str, object]]) -> dict[str, object]:
    return dict(reversed(pairs))


async def pay(request: Request) -> Response:
    """One service checks the amount, another pays it out, and their parsers differ in
    which of two keys they keep."""
    body = await request.body()
    checked = json.loads(body, object_pairs_hook=_first)
    if checked["amount"] > MOST:
        return JSONResponse({"error": "too much"}, 403)
    paid = json.loads(body)
    return JSONResponse({"paid": paid["amount"]})


async def bid(request: Request) -> Response:
    """No comparison with NaN is true, so that every limit lets it pass."""
    price = (await request.json())["price"]
    if price < 1 or price > MOST:
        return JSONResponse({"error": "out of range"}, 400)
    return PlainTextResponse(f"your bid of {price} stands")


def _count(value: object) -> int:
    if isinstance(value, list):
        return 1 + sum(map(_count, value))
    return 1


async def count(request: Request) -> Response:
    """A call within a call for each bracket."""
    return JSONResponse({"nodes": _count(await request.json())})


TARGETS = (
    Target(
        "PATCH",
        "/account",
        change_account,
        "mass assignment: every column",
        access.signed_in,
        body=("name", "email"),
        marks=(accepts(Change),),
    ),
    Target("POST", "/pay", pay, "duplicate keys", body=("amount",)),
    Target("POST", "/bid", bid, "NaN", body=("price",)),
    Target("POST", "/count", count, "deep JSON"),
)
