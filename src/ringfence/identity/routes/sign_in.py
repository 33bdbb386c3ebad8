"""Registering, signing in, signing out, and confirming that it is still you."""

from __future__ import annotations

from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import Response

from ringfence import current
from ringfence.denial import Denial
from ringfence.exchange import Exchange
from ringfence.identity.accounts import Accounts
from ringfence.identity.answers import describe_account, describe_move
from ringfence.identity.bodies import Confirmation, Credentials, Nothing, Submission
from ringfence.identity.entrance import PASSWORD, Entrance, SecondFactorNeeded
from ringfence.identity.refusals import SIGN_IN_FAILED, Invalid
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
        sessions: ends and renews sessions.
        verification: has new addresses proved, where there is mail.
        entrance: opens them.
    """

    desk: Desk
    accounts: Accounts
    sessions: Sessions
    verification: Verification | None = None
    entrance: Entrance

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
            route("GET", "confirm", self.confirm_page, "signed_in"),
            route("POST", "confirm", self.confirm, "signed_in"),
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
        if self.verification is not None:
            self.verification.registered(sent.value.email, exchange)
        )
        if refused is not None:
            return self._refuse(request, exchange, refused, "register", sent)
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
        if isinstance(refused, SecondFactorNeeded) and wants_page(exchange):
            path = "/auth/second-factor" + and_next(sent.next, first=True)
            return see_other(root_of(request) + path)
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

    async def confirm_page(self, request: Request, exchange: Exchange) -> Response:
        return await self._confirm_page(request, exchange, next_of(request))

    async def confirm(self, request: Request, exchange: Exchange) -> Response:
        """Take the password once more, and renew the session for it."""
        sent = await decode(request, Confirmation)
        if isinstance(sent, Denial):
            return self.desk.refuse(request, exchange, sent)
        account = await attempt(
            self.accounts.confirm(current.principal().id, sent.value.password, exchange)
        )
        if isinstance(account, Denial):
            return await self._refuse_confirmation(request, exchange, account, sent)
        refused = await self.sessions.confirm(account, exchange, factor=PASSWORD)
        if refused is not None:
            return self.desk.refuse(request, exchange, refused)
        if wants_page(exchange):
            return see_other(self.desk.destination(request, sent.next))
        factors = current.principal().factors
        return as_json(describe_account(account, factors, current.csrf_token()))

    async def _refuse_confirmation(
        self,
        request: Request,
        exchange: Exchange,
        refusal: Denial,
        sent: Submission[Confirmation],
    ) -> Response:
        if isinstance(refusal, Invalid):  # the field has another name here
            refusal = replace(refusal, fields=(("password", refusal.detail),))
        if wants_page(exchange):
            return await self._confirm_page(request, exchange, sent.next, refusal)
        return self.desk.refuse(request, exchange, refusal)

    async def _confirm_page(
        self,
        request: Request,
        exchange: Exchange,
        wanted: str,
        refusal: Denial | None = None,
    ) -> Response:
        account = await self.accounts.by_id(current.principal().id)
        if account is None:
            return self.desk.refuse(request, exchange, SIGN_IN_FAILED)
        return self.desk.page(
            request,
            "confirm",
            refusal,
            next=wanted,
            email=account.email,
            moved=describe_move(current_session(exchange)),
        )

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
