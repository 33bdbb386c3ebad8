"""Confirming that it is still you: with a password, a code or a passkey."""

from __future__ import annotations

from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import Response

from ringfence import current
from ringfence.denial import Denial
from ringfence.exchange import Exchange
from ringfence.identity.accounts import Accounts
from ringfence.identity.answers import describe_account, describe_move
from ringfence.identity.bodies import Confirmation
from ringfence.identity.entrance import (
    OPENID,
    PASSWORD,
    SECOND,
)
from ringfence.identity.factors.verify import SecondFactors
from ringfence.identity.refusals import SIGN_IN_FAILED, Invalid, invalid
from ringfence.identity.routes.desk import (
    Desk,
    Voucher,
    as_json,
    attempt,
    decode,
    next_of,
    see_other,
    wants_page,
)
from ringfence.identity.routes.route import IdentityRoute
from ringfence.identity.sessions import Sessions, current_session
from ringfence.identity.tokens.refusals import SESSION_NEEDED
from ringfence.stores.contracts import AccountRecord, LinkStore


@dataclass(frozen=True, slots=True)
class ConfirmRoutes:
    """One more proof by somebody who is signed in (step-up).

    Args:
        desk: answers.
        accounts: checks passwords.
        sessions: renews sessions.
        factors: checks codes; ``None`` where second factors are switched off.
        links: knows which providers can confirm as well.
    """

    desk: Desk
    accounts: Accounts
    sessions: Sessions
    factors: SecondFactors | None
    links: LinkStore

    def routes(self) -> list[IdentityRoute]:
        """Return the addresses."""
        route = self.desk.route
        return [
            route("GET", "confirm", self.confirm_page, "signed_in"),
            route("POST", "confirm", self.confirm, "signed_in"),
        ]

    async def confirm_page(self, request: Request, exchange: Exchange) -> Response:
        wanted = request.query_params.get("factor", "")
        return await self._page(request, exchange, next_of(request), wanted)

    async def confirm(self, request: Request, exchange: Exchange) -> Response:
        """Take the password or a code once more, and renew the session for it."""
        sent = await decode(request, Confirmation)
        if isinstance(sent, Denial):
            return self.desk.refuse(request, exchange, sent)
        proved = await attempt(self._prove(sent.value, exchange))
        if isinstance(proved, Denial):
            if wants_page(exchange):
                wanted = sent.value.factor
                return await self._page(request, exchange, sent.next, wanted, proved)
            return self.desk.refuse(request, exchange, proved)
        account, factor = proved
        refused = await self.sessions.confirm(account, exchange, factor=factor)
        if refused is not None:
            return self.desk.refuse(request, exchange, refused)
        if wants_page(exchange):
            return see_other(self.desk.destination(request, sent.next))
        factors = current.principal().factors
        return as_json(describe_account(account, factors, current.csrf_token()))

    async def _prove(
        self, sent: Confirmation, exchange: Exchange
    ) -> tuple[AccountRecord, str] | Denial:
        """Return whose proof this is, and of what kind."""
        if exchange.credential == "bearer":  # there is nothing that could be renewed
            return SESSION_NEEDED
        if bool(sent.password) == bool(sent.code):
            return invalid(password="Send either the password or a code.")  # noqa: S106 - the name of a field, and what is wrong with it
        owner = current.principal().id
        if sent.password:
            account = await self.accounts.confirm(owner, sent.password, exchange)
            if isinstance(account, Invalid):  # the field has another name here
                account = replace(account, fields=(("password", account.detail),))
            return account if isinstance(account, Denial) else (account, PASSWORD)
        found = await self.accounts.by_id(owner)
        if found is None or self.factors is None:
            return SIGN_IN_FAILED
        among = _named(sent.factor) & SECOND or SECOND
        factor = await self.factors.prove(found, sent.code, exchange, among=among)
        return factor if isinstance(factor, Denial) else (found, factor)

    async def _page(
        self,
        request: Request,
        exchange: Exchange,
        wanted: str,
        factor: str,
        refusal: Denial | None = None,
    ) -> Response:
        account = await self.accounts.by_id(current.principal().id)
        if account is None:
            return self.desk.refuse(request, exchange, SIGN_IN_FAILED)
        named = _named(factor)
        held = {PASSWORD} if account.password_hash else set()
        if self.factors is not None:
            found = await self.factors.held(account.id)
            held |= found.kinds if found.is_guarded else set()
        vouchers = await self._vouchers(account.id)
        held |= {OPENID} if vouchers else set()
        return self.desk.page(
            request,
            "confirm",
            refusal,
            next=wanted,
            factor=",".join(sorted(named)),
            offered=held & (named or SECOND | {PASSWORD, OPENID}),
            vouchers=vouchers,
            email=account.email,
            moved=describe_move(current_session(exchange)),
        )

    async def _vouchers(self, account_id: str) -> list[Voucher]:
        """Return the providers that the account is connected with."""
        if not self.desk.providers:
            return []
        links = await self.links.of_account(account_id)
        issuers = {link.issuer for link in links}
        return [each for each in self.desk.providers if each.issuer in issuers]


def _named(factor: str) -> frozenset[str]:
    """Return the factors that an address names, and nothing that is none."""
    return frozenset(factor.split(",")) & (SECOND | {PASSWORD})
