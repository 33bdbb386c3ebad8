"""Nobody asks who may do what: BOLA, BFLA, mass assignment (guide: "Authorization")."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from examples.range.given import fields_of, who, world_of
from examples.range.target import Target
from ringfence import access


def _found(row: object) -> Response:
    if row is None:
        return JSONResponse({"error": "not found"}, 404)
    return JSONResponse(row)


async def read_order(request: Request) -> Response:
    order_id = request.path_params["id"]
    return _found(world_of(request).row("SELECT * FROM orders WHERE id = ?", order_id))


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
    Target("GET", "/orders/{id}", read_order, "BOLA: no owner asked", access.signed_in),
    Target(
        "GET",
        "/users/{id}/profile",
        read_profile,
        "horizontal escalation",
        access.signed_in,
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
