"""The other half of a sign-in, and what an owner has set up for it."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from ringfence import current
from ringfence.denial import Denial
from ringfence.exchange import Exchange
from ringfence.identity.accounts import Accounts
from ringfence.identity.answers import describe_account
from ringfence.identity.bodies import Submission
from ringfence.identity.entrance import SECOND, Entrance
from ringfence.identity.factors.bodies import Code
from ringfence.identity.factors.describe import describe_held
from ringfence.identity.factors.refusals import PENDING_OVER
from ringfence.identity.factors.verify import SecondFactors
from ringfence.identity.pending import Pending
from ringfence.identity.refusals import SIGN_IN_FAILED
from ringfence.identity.routes.desk import (
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
from ringfence.identity.tokens.refusals import SESSION_NEEDED
from ringfence.stores.contracts import AccountRecord


@dataclass(frozen=True, slots=True)
class SecondFactorRoutes:
    """The page after the password, and the page of what is set up.

    Args:
        desk: answers.
        accounts: knows the owner.
        sessions: renews sessions.
        entrance: opens them.
        factors: checks codes.
    """

    desk: Desk
    accounts: Accounts
    sessions: Sessions
    entrance: Entrance
    factors: SecondFactors

    def routes(self) -> list[IdentityRoute]:
        """Return the addresses."""
        route = self.desk.route
        return [
            route("GET", "second-factor", self.page, "public"),
            route("POST", "totp/verify", self.verify, "public"),
            route("GET", "two-step", self.overview, "signed_in"),
        ]

    async def page(self, request: Request, exchange: Exchange) -> Response:
        """Ask for the second proof, if there was a first one."""
        wanted = next_of(request)
        if await self._begun(exchange) is None:
            if exchange.principal is not None:
                return see_other(self.desk.destination(request, wanted))
            path = "/auth/login" + and_next(wanted, first=True)
            return see_other(root_of(request) + path)
        return await self._page(request, exchange, wanted)

    async def verify(self, request: Request, exchange: Exchange) -> Response:
        """Take a code: the other half of a sign-in, or, of somebody who is signed in,
        one more proof."""
        sent = await decode(request, Code)
        if isinstance(sent, Denial):
            return await self._refuse(request, exchange, sent, "")
        pending = self.entrance.pending.read(exchange, sent.value.pending)
        if pending is not None:
            return await self._complete(request, exchange, sent, pending)
        if exchange.principal is None or sent.value.pending:
            return self._start_again(request, exchange, sent.next)
        return await self._step_up(request, exchange, sent)

    async def overview(self, request: Request, exchange: Exchange) -> Response:
        """Show what is set up."""
        account = await self.accounts.by_id(current.principal().id)
        if account is None:
            return self.desk.refuse(request, exchange, SIGN_IN_FAILED)
        described = describe_held(await self.factors.held(account.id))
        if not wants_page(exchange):
            return as_json(described)
        return self.desk.page(request, "two-step", email=account.email, **described)

    async def _complete(
        self,
        request: Request,
        exchange: Exchange,
        sent: Submission[Code],
        pending: Pending,
    ) -> Response:
        account = await self.entrance.account_of(pending)
        if account is None:
            return self._start_again(request, exchange, sent.next)
        proved = await attempt(self.factors.prove(account, sent.value.code, exchange))
        if isinstance(proved, Denial):
            return await self._refuse(request, exchange, proved, sent.next)
        refused = await self.entrance.complete(pending, account, exchange, proved)
        if refused is not None:
            return self.desk.refuse(request, exchange, refused, next=sent.next)
        self.sessions.record_sign_in(exchange)
        return self._welcome(request, exchange, account, sent.next)

    async def _step_up(
        self, request: Request, exchange: Exchange, sent: Submission[Code]
    ) -> Response:
        if exchange.credential == "bearer":  # there is nothing that could be renewed
            return self.desk.refuse(request, exchange, SESSION_NEEDED)
        account = await self.accounts.by_id(current.principal().id)
        if account is None:
            return self.desk.refuse(request, exchange, SIGN_IN_FAILED)
        proved = await self.factors.prove(account, sent.value.code, exchange)
        if isinstance(proved, Denial):
            return self.desk.refuse(request, exchange, proved)
        refused = await self.sessions.confirm(account, exchange, factor=proved)
        if refused is not None:
            return self.desk.refuse(request, exchange, refused)
        return self._welcome(request, exchange, account, sent.next)

    def _welcome(
        self,
        request: Request,
        exchange: Exchange,
        account: AccountRecord,
        wanted: str,
    ) -> Response:
        if wants_page(exchange):
            return see_other(self.desk.destination(request, wanted))
        factors = current.principal().factors
        return as_json(describe_account(account, factors, current.csrf_token()))

    def _start_again(
        self, request: Request, exchange: Exchange, wanted: str
    ) -> Response:
        """Refuse a second proof without a first one that still holds."""
        self.entrance.pending.expire(exchange)
        return self.desk.refuse(request, exchange, PENDING_OVER, "login", next=wanted)

    async def _refuse(
        self, request: Request, exchange: Exchange, refusal: Denial, wanted: str
    ) -> Response:
        if wants_page(exchange):
            return await self._page(request, exchange, wanted, refusal)
        return self.desk.refuse(request, exchange, refusal)

    async def _page(
        self,
        request: Request,
        exchange: Exchange,
        wanted: str,
        refusal: Denial | None = None,
    ) -> Response:
        account = await self._begun(exchange)
        held = account and await self.factors.held(account.id)
        offered = held.kinds if held else SECOND
        return self.desk.page(
            request, "second-factor", refusal, next=wanted, offered=offered
        )

    async def _begun(self, exchange: Exchange) -> AccountRecord | None:
        """Return whose sign-in has begun in this browser."""
        pending = self.entrance.pending.read(exchange)
        return pending and await self.entrance.account_of(pending)
