"""Nobody asks who may do what: BOLA, BFLA, mass assignment (guide: "Authorization")."""

from __future__ import annotations

from secrets import token_hex

from sqlalchemy import select, update
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from examples.range.given import fields_of, session_of, who, world_of
from examples.range.orders import Order
from examples.range.target import Target
from ringfence import access


def _found(row: object) -> Response:
    if row is None:
        return JSONResponse({"error": "not found"}, 404)
    return JSONResponse(row)


async def place_order(request: Request) -> Response:
    """Whose it is says the request, if it wants to."""
    fields, session = await fields_of(request), session_of(request)
    user_id = fields.get("user_id") or who(request) or ""
    order = Order(id=token_hex(8), user_id=str(user_id), item=str(fields.get("item")))
    session.add(order)
    session.commit()
    return JSONResponse(order.shown(), 201)


async def list_orders(request: Request) -> Response:
    found = session_of(request).scalars(select(Order).order_by(Order.id))
    return JSONResponse([order.shown() for order in found])


async def read_order(request: Request) -> Response:
    order = session_of(request).get(Order, request.path_params["id"])
    return _found(None if order is None else order.shown())


async def change_order(request: Request) -> Response:
    fields, session = await fields_of(request), session_of(request)
    changing = update(Order).where(Order.id == request.path_params["id"])
    changed = session.execute(
        changing.values(item=str(fields["item"])).returning(Order.id)
    )
    order_id = changed.scalar()
    session.commit()
    return _found(None if order_id is None else {"id": order_id})


async def read_profile(request: Request) -> Response:
    statement = "SELECT id, email, name, role FROM users WHERE id = ?"
    return _found(world_of(request).row(statement, request.path_params["id"]))


async def write_profile(request: Request) -> Response:
    user_id, world = who(request), world_of(request)
    world.rows("INSERT OR IGNORE INTO users (id) VALUES (?)", user_id)
    for field, value in (await fields_of(request)).items():
        if field in {"email", "name", "role"}:  # role too: that is the hole
            world.rows(f"UPDATE users SET {field} = ? WHERE id = ?", value, user_id)
    return _found(world.row("SELECT id, name, role FROM users WHERE id = ?", user_id))


async def list_users(request: Request) -> Response:
    return JSONResponse(world_of(request).rows("SELECT id, email, role FROM users"))


async def delete_user(request: Request) -> Response:
    fields = await fields_of(request)
    world_of(request).rows("DELETE FROM users WHERE id = ?", fields["id"])
    return JSONResponse({"deleted": fields["id"]})


TARGETS = (
    Target("GET", "/orders", list_orders, "BOLA: a list of all", access.signed_in),
    Target(
        "POST",
        "/orders",
        place_order,
        "BOLA: the owner stands in the request",
        access.signed_in,
        body=("item", "user_id"),
    ),
    Target("GET", "/orders/{id}", read_order, "BOLA: no owner asked", access.signed_in),
    Target(
        "POST",
        "/orders/{id}",
        change_order,
        "BOLA: an update by id alone",
        access.signed_in,
        body=("item",),
    ),
    Target(
        "GET",
        "/users/{id}/profile",
        read_profile,
        "horizontal escalation",
        access.own("id") | access.role("admin"),
    ),
    Target(
        "POST",
        "/profile",
        write_profile,
        "mass assignment",
        access.signed_in,
        body=("name", "role"),
    ),
    Target(
        "GET", "/admin/users", list_users, "BFLA: no role asked", access.role("admin")
    ),
    Target(
        "POST",
        "/admin/deleteUser",
        delete_user,
        "vertical escalation; a stolen cookie is enough",
        access.role("admin") & access.fresh(minutes=10),
        body=("id",),
    ),
)
