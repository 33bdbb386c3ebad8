"""Where an owner is signed in, and ending that."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from ringfence import current
from ringfence.denial import Denial
from ringfence.exchange import Exchange
from ringfence.identity.answers import describe_session
from ringfence.identity.bodies import SessionsToEnd
from ringfence.identity.cause import Cause
from ringfence.identity.refusals import NO_SUCH_SESSION, invalid
from ringfence.identity.routes.desk import (
    Desk,
    as_json,
    decode,
    root_of,
    see_other,
    wants_page,
)
from ringfence.identity.routes.route import IdentityRoute
from ringfence.identity.sessions import Sessions, current_session


@dataclass(frozen=True, slots=True)
class SessionRoutes:
    """The sessions of an owner.

    Args:
        desk: answers.
        sessions: lists and ends them.
    """

    desk: Desk
    sessions: Sessions

    def routes(self) -> list[IdentityRoute]:
        """Return the addresses."""
        route = self.desk.route
        return [
            route("GET", "sessions", self.list_sessions, "signed_in"),
            route("DELETE", "sessions", self.end_sessions, "signed_in"),
            route("POST", "sessions/end", self.end_sessions_form, "signed_in"),
            *self.desk.ending(
                "sessions",
                self.end_session,
                missing=NO_SUCH_SESSION,
                afterwards="account?note=ended",
            ),
        ]

    async def list_sessions(self, request: Request, exchange: Exchange) -> Response:
        if wants_page(exchange):
            return see_other(root_of(request) + "/auth/account#sessions")
        found = await self.sessions.of(current.principal().id)
        here = current_session(exchange)
        return as_json([describe_session(session, here) for session in found])

    async def end_session(self, wanted: str, exchange: Exchange) -> bool:
        here = current_session(exchange)
        if here is not None and here.public_id == wanted:
            self._leave(exchange)
        owner, cause = current.principal().id, Cause.of(exchange)
        return await self.sessions.end(owner, wanted, cause)

    async def end_sessions(self, request: Request, exchange: Exchange) -> Response:
        keep = request.query_params.get("keep", "")
        return await self._end_all(request, exchange, keep)

    async def end_sessions_form(self, request: Request, exchange: Exchange) -> Response:
        sent = await decode(request, SessionsToEnd)
        if isinstance(sent, Denial):
            return self.desk.refuse(request, exchange, sent)
        return await self._end_all(request, exchange, sent.value.keep)

    def _leave(self, exchange: Exchange) -> None:
        """Leave nothing in this browser: its own session is among those that end."""
        self.sessions.forget_cookie(exchange)
        exchange.response_headers.append((b"clear-site-data", b'"cache"'))

    async def _end_all(
        self, request: Request, exchange: Exchange, keep: str
    ) -> Response:
        if keep not in {"", "current"}:
            refusal = invalid(keep="The only value is current.")
            return self.desk.refuse(request, exchange, refusal)
        here = current_session(exchange) if keep else None
        owner, cause = current.principal().id, Cause.of(exchange)
        ended = await self.sessions.end_all(owner, cause, keep=here)
        if not keep:
            self._leave(exchange)
        if not wants_page(exchange):
            return as_json({"ended": ended})
        path = "/auth/account?note=ended" if keep else "/auth/login?note=signed-out"
        return see_other(root_of(request) + path)
