"""What a request gives to a target: its body, and whose it says it is."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy.orm import Session
from starlette.requests import HTTPConnection, Request

from examples.range.world import World
from ringfence import current

SESSION_COOKIE = "session_id"

Who = Callable[[HTTPConnection], str | None]
OpenSession = Callable[[], Session]


def world_of(connection: HTTPConnection) -> World:
    world: World = connection.app.state.world
    return world


def who(connection: HTTPConnection) -> str | None:
    """Return the user's id, as the side that is running knows it."""
    ask: Who = connection.app.state.who
    return ask(connection)


def session_of(connection: HTTPConnection) -> Session:
    """Return a session of SQLAlchemy's: anybody's on one side, and on the other that of
    whoever asks."""
    open_session: OpenSession = connection.app.state.open_session
    return open_session()


def whose_cookie(connection: HTTPConnection) -> str | None:
    """The unguarded side: the range's own session table decides."""
    row = world_of(connection).row(
        "SELECT user_id FROM sessions WHERE id = ?",
        connection.cookies.get(SESSION_COOKIE, ""),
    )
    return None if row is None else str(row["user_id"])


def whose_principal(connection: HTTPConnection) -> str | None:
    """The guarded side: the guard knows. Only behind ``access.signed_in``."""
    return current.principal().id


async def fields_of(request: Request) -> dict[str, object]:
    """Return the body's fields, whatever the content type says (CVE-2021-32677)."""
    if "form" in request.headers.get("content-type", ""):
        async with request.form() as form:
            return dict(form)
    body: dict[str, object] = await request.json()
    return body
