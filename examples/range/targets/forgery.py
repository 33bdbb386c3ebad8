"""Another site may write in the user's name (guide: "CSRF"), by form or WebSocket."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.websockets import WebSocket

from examples.range.given import fields_of, who, world_of
from examples.range.target import Target
from ringfence import access

_MINE = "SELECT recipient, amount FROM transfers WHERE user_id = ?"


async def transfer(request: Request) -> Response:
    user_id = who(request)
    if user_id is None:
        return JSONResponse({"error": "sign in first"}, 401)
    fields = await fields_of(request)
    world_of(request).rows(
        "INSERT INTO transfers VALUES (?, ?, ?)",
        user_id,
        fields.get("to", "mallory@example.com"),
        int(str(fields["amount"])),
    )
    return JSONResponse({"transferred": fields["amount"]})


async def list_transfers(request: Request) -> Response:
    return JSONResponse(world_of(request).rows(_MINE, who(request)))


async def live(socket: WebSocket) -> None:
    """Send the user's transfers to whichever site opened the socket (CSWSH)."""
    await socket.accept()
    await socket.send_json(world_of(socket).rows(_MINE, who(socket)))
    await socket.close()


TARGETS = (
    Target(
        "POST",
        "/transfer",
        transfer,
        "CSRF",
        access.signed_in,
        body=("to", "amount"),
    ),
    Target(
        "GET", "/transfers", list_transfers, "the user's transfers", access.signed_in
    ),
)
