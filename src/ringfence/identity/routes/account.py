"""An owner's own account: what is known of it, and its password."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from ringfence import current
from ringfence.denial import Denial
from ringfence.exchange import Exchange
from ringfence.identity.accounts import Accounts
from ringfence.identity.answers import (
    describe_account,
    describe_family,
    describe_move,
    describe_session,
)
from ringfence.identity.bodies import PasswordChange
from ringfence.identity.entrance import Entrance
from ringfence.identity.refusals import SIGN_IN_FAILED
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
from ringfence.identity.tokens.refresh import RefreshTokens


@dataclass(frozen=True, slots=True)
class AccountRoutes:
    """What an owner sees and changes of the account.

    Args:
        desk: answers.
        accounts: decides about accounts.
        sessions: knows where the owner is signed in.
        entrance: opens the new session after a change of password.
        families: knows which programs have tokens; ``None`` where there are none.
    """

    desk: Desk
    accounts: Accounts
    sessions: Sessions
    entrance: Entrance
    families: RefreshTokens | None = None

    def routes(self) -> list[IdentityRoute]:
        """Return the addresses."""
        route = self.desk.route
        return [
            route("GET", "me", self.me, "any_scope"),
            route("GET", "account", self.account_page, "signed_in"),
            route("POST", "password/change", self.change_password, "signed_in"),
        ]

    async def me(self, request: Request, exchange: Exchange) -> Response:
        account = await self.accounts.by_id(current.principal().id)
        if account is None:  # removed while this request was on its way
            return self.desk.refuse(request, exchange, SIGN_IN_FAILED)
        principal = current.principal()
        told = describe_account(account, principal.factors, current.csrf_token())
        if principal.scopes is None:
            return as_json(told)
        return as_json({**told, "scopes": sorted(principal.scopes)})

    async def account_page(self, request: Request, exchange: Exchange) -> Response:
        return await self._page(request, exchange)

    async def change_password(self, request: Request, exchange: Exchange) -> Response:
        """Change the password; every session ends, and this browser gets a new one."""
        sent = await decode(request, PasswordChange)
        if isinstance(sent, Denial):
            return await self._refuse(request, exchange, sent)
        account = await self.accounts.change_password(
            current.principal().id,
            current=sent.value.current_password,
            new=sent.value.new_password,
            exchange=exchange,
        )
        if isinstance(account, Denial):
            return await self._refuse(request, exchange, account)
        factors = current.principal().factors
        if exchange.credential == "bearer":  # a program signs in anew for its tokens
            return as_json(describe_account(account, factors, ""))
        refused = await self.entrance.admit(account, exchange, factors)
        if refused is not None:
            return self.desk.refuse(request, exchange, refused)
        if wants_page(exchange):
            return see_other(root_of(request) + "/auth/account?note=changed")
        return as_json(describe_account(account, factors, current.csrf_token()))

    async def _page(
        self, request: Request, exchange: Exchange, refusal: Denial | None = None
    ) -> Response:
        account = await self.accounts.by_id(current.principal().id)
        if account is None:
            return self.desk.refuse(request, exchange, SIGN_IN_FAILED)
        here = current_session(exchange)
        found = await self.sessions.of(account.id)
        grants = [] if self.families is None else await self.families.of(account.id)
        return self.desk.page(
            request,
            "account",
            refusal,
            email=account.email,
            moved=describe_move(here),
            sessions=[describe_session(session, here) for session in found],
            programs=[describe_family(grant, "") for grant in grants],
        )

    async def _refuse(
        self, request: Request, exchange: Exchange, refusal: Denial
    ) -> Response:
        if wants_page(exchange):
            return await self._page(request, exchange, refusal)
        return self.desk.refuse(request, exchange, refusal)
