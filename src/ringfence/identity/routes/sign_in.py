"""Registering, signing in, and signing out."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from ringfence import current
from ringfence.denial import Denial
from ringfence.exchange import Exchange
from ringfence.identity.accounts import Accounts
from ringfence.identity.answers import describe_account
from ringfence.identity.bodies import Credentials, Nothing, Submission
from ringfence.identity.entrance import PASSWORD, Entrance
from ringfence.identity.routes.desk import (
    NO_STORE,
    Desk,
    and_next,
    as_json,
    attempt,
    decode,
    next_of,
    root_of,
    see_other,
    wants_page,
)
from ringfence.identity.routes.route import IdentityRoute
from ringfence.identity.sessions import Sessions
from ringfence.identity.verification import Verification

# Without "cookies": the cookie that makes a device known stays (and the session's is
# ended by its name).
FORGET_CACHE = {**NO_STORE, "clear-site-data": '"cache"'}


@dataclass(frozen=True, slots=True)
class SignInRoutes:
    """The way in by e-mail address and password, and the way out.

    Args:
        desk: answers.
        accounts: decides about accounts.
        sessions: ends sessions.
        entrance: opens them.
        verification: has new addresses proved, where there is mail.
    """

    desk: Desk
    accounts: Accounts
    sessions: Sessions
    entrance: Entrance
    verification: Verification | None = None

    def routes(self) -> list[IdentityRoute]:
        """Return the addresses."""
        route = self.desk.route
        registration = [
            route("GET", "register", self.register_page, "public"),
            route("POST", "register", self.register, "public"),
        ]
        return [
            *(registration if self.desk.registration else []),
            route("GET", "login", self.login_page, "public"),
            route("POST", "login", self.login, "public"),
            route("POST", "logout", self.logout, "public"),
        ]

    async def register_page(self, request: Request, exchange: Exchange) -> Response:
        return self.desk.page(request, "register", next=next_of(request))

    async def register(self, request: Request, exchange: Exchange) -> Response:
        """Answer 202 for a free and for a taken address alike."""
        sent = await decode(request, Credentials)
        if isinstance(sent, Denial):
            return self.desk.refuse(request, exchange, sent, "register")
        refused = await attempt(
            self.accounts.register(sent.value.email, sent.value.password, exchange)
        )
        if refused is not None:
            return self._refuse(request, exchange, refused, "register", sent)
        if self.verification is not None:
            self.verification.registered(sent.value.email, exchange)
        if wants_page(exchange):
            note = "made" if self.verification is None else "registered"
            path = f"/auth/login?note={note}{and_next(sent.next)}"
            return see_other(root_of(request) + path)
        return as_json({"status": "accepted"}, 202)

    async def login_page(self, request: Request, exchange: Exchange) -> Response:
        if exchange.principal is not None:
            return see_other(self.desk.destination(request, next_of(request)))
        return self.desk.page(request, "login", next=next_of(request))

    async def login(self, request: Request, exchange: Exchange) -> Response:
        sent = await decode(request, Credentials)
        if isinstance(sent, Denial):
            return self.desk.refuse(request, exchange, sent, "login")
        account = await attempt(
            self.accounts.authenticate(sent.value.email, sent.value.password, exchange)
        )
        if isinstance(account, Denial):
            return self._refuse(request, exchange, account, "login", sent)
        factors = frozenset({PASSWORD})
        refused = await self.entrance.admit(account, exchange, factors)
        if refused is not None:
            return self._refuse(request, exchange, refused, "login", sent)
        self.sessions.record_sign_in(exchange)
        if wants_page(exchange):
            return see_other(self.desk.destination(request, sent.next))
        return as_json(describe_account(account, factors, current.csrf_token()))

    async def logout(self, request: Request, exchange: Exchange) -> Response:
        sent = await decode(request, Nothing)
        if isinstance(sent, Denial):
            return self.desk.refuse(request, exchange, sent)
        await self.sessions.end_current(exchange)
        if wants_page(exchange):
            path = root_of(request) + "/auth/login?note=signed-out"
            return see_other(path, FORGET_CACHE)
        return Response(status_code=204, headers=FORGET_CACHE)

    def _refuse(
        self,
        request: Request,
        exchange: Exchange,
        refusal: Denial,
        page: str,
        sent: Submission[Credentials],
    ) -> Response:
        """Refuse with what was typed, but never a password."""
        return self.desk.refuse(
            request, exchange, refusal, page, next=sent.next, email=sent.value.email
        )
