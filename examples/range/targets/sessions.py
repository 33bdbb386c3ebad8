"""A home-made sign-in with the usual mistakes (guide: "Authentication", "Session
management", "Secure cookie configuration").

Passwords in clear, answers that tell who has an account, a session id that is counted
up, taken from the visitor and never ended, a cookie without flags, a redirect to
anywhere, secrets in the log and in the refusal.
"""

from __future__ import annotations

import logging

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from examples.range.given import SESSION_COOKIE, fields_of, who, world_of
from examples.range.target import Target
from ringfence import access

_log = logging.getLogger("range")

_SHORTEST_PASSWORD = 6


async def sign_up(request: Request) -> Response:
    fields, world = await fields_of(request), world_of(request)
    if len(str(fields["password"])) < _SHORTEST_PASSWORD:
        return JSONResponse({"error": "too short", "input": fields}, 422)
    if world.row("SELECT 1 AS found FROM users WHERE email = ?", fields["email"]):
        return JSONResponse({"error": "that address has an account"}, 409)
    user_id = str(world.count("users") + 1)
    world.rows(
        "INSERT INTO users (id, email, password) VALUES (?, ?, ?)",
        user_id,
        fields["email"],
        fields["password"],
    )
    return JSONResponse({"id": user_id, "email": fields["email"]}, 201)


async def sign_in(request: Request) -> Response:
    fields, world = await fields_of(request), world_of(request)
    _log.info("sign-in of %s with %s", fields["email"], fields["password"])
    user = world.row("SELECT * FROM users WHERE email = ?", fields["email"])
    if user is None:
        return JSONResponse({"error": "no such user"}, 404)
    if user["password"] != fields["password"]:
        return JSONResponse({"error": "wrong password"}, 401)
    session_id = request.cookies.get(SESSION_COOKIE) or str(world.count("sessions") + 1)
    world.rows("INSERT OR REPLACE INTO sessions VALUES (?, ?)", session_id, user["id"])
    target = str(fields.get("next", request.query_params.get("next", "")))
    response = RedirectResponse(target, 303) if target else JSONResponse(user)
    response.headers["set-cookie"] = f"{SESSION_COOKIE}={session_id}; Path=/"
    return response


async def sign_out(request: Request) -> Response:
    response = JSONResponse({})
    response.delete_cookie(SESSION_COOKIE)
    return response


async def change_password(request: Request) -> Response:
    fields = await fields_of(request)
    world_of(request).rows(
        "UPDATE users SET password = ? WHERE id = ?", fields["password"], who(request)
    )
    return JSONResponse({})


TARGETS = (
    Target(
        "POST", "/signup", sign_up, "tells who is there", body=("email", "password")
    ),
    Target(
        "POST",
        "/signin",
        sign_in,
        "session fixation, guessable ids, open redirect",
        body=("email", "password", "next"),
    ),
    Target("POST", "/signout", sign_out, "the session lives on"),
    Target(
        "POST",
        "/password",
        change_password,
        "other sessions live on",
        access.signed_in,
        body=("password",),
    ),
)
