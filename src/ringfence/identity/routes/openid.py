"""Signing in with another provider, and connecting it with an account."""

from __future__ import annotations

from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import Response

from ringfence import current
from ringfence.denial import Denial
from ringfence.exchange import Exchange
from ringfence.identity.accounts import Accounts
from ringfence.identity.answers import describe_account
from ringfence.identity.bodies import Nothing
from ringfence.identity.cause import Cause
from ringfence.identity.destination import same_site_path
from ringfence.identity.entrance import OPENID, Entrance, SecondFactorNeeded
from ringfence.identity.openid.attempt import Attempt, Purpose
from ringfence.identity.openid.client import OpenIdClient
from ringfence.identity.openid.id_token import SKEW, Identity
from ringfence.identity.openid.identities import Identities
from ringfence.identity.openid.refusals import (
    ANOTHER_PERSON,
    NO_SUCH_PROVIDER,
    NOT_CONFIRMED,
    OTHER_SESSION,
)
from ringfence.identity.refusals import SIGN_IN_FAILED
from ringfence.identity.routes.desk import (
    NO_STORE,
    Desk,
    as_json,
    attempt,
    decode,
    next_of,
    root_of,
    see_other,
    wants_page,
)
from ringfence.identity.routes.route import IdentityRoute
from ringfence.identity.sessions import Sessions, current_session
from ringfence.stores.contracts import AccountRecord

# The address of an answer holds the code: nobody is told it. None of these pages has a
# form, whose origin browsers would not tell either.
_UNTOLD = (b"referrer-policy", b"no-referrer")


@dataclass(frozen=True, slots=True)
class OpenIdRoutes:
    """The way to a provider and back.

    Args:
        desk: answers.
        client: sends browsers there, and takes the answers.
        identities: knows whose account it is.
        accounts: knows the accounts.
        sessions: renews and ends sessions.
        entrance: opens them.
    """

    desk: Desk
    client: OpenIdClient
    identities: Identities
    accounts: Accounts
    sessions: Sessions
    entrance: Entrance

    def routes(self) -> list[IdentityRoute]:
        """Return the addresses."""
        route = self.desk.route
        return [
            route("GET", "openid", self.overview, "signed_in"),
            route("GET", "openid/{name}/start", self.start, "public"),
            route("GET", "openid/{name}/callback", self.callback, "public"),
            route("POST", "openid/{name}/link", self.link, "fresh"),
            route("POST", "openid/{name}/unlink", self.unlink, "fresh"),
            route("POST", "openid/{name}/confirm", self.confirm, "signed_in"),
        ]

    async def overview(self, request: Request, exchange: Exchange) -> Response:
        """Show which providers the account is connected with."""
        links = await self.identities.of(current.principal().id)
        emails = {link.issuer: link.email for link in links}
        listed = [
            {
                "name": name,
                "label": provider.settings.label,
                "connected": provider.settings.issuer in emails,
                "email": emails.get(provider.settings.issuer, ""),
            }
            for name, provider in self.client.providers.items()
        ]
        if not wants_page(exchange):
            return as_json(listed)
        return self.desk.page(request, "openid", connections=listed)

    async def start(self, request: Request, exchange: Exchange) -> Response:
        """Send the browser to the provider."""
        wanted = same_site_path(next_of(request), "")
        address = await self.client.begin(
            exchange, request.path_params["name"], "sign-in", next_=wanted
        )
        if isinstance(address, Denial):
            return self._refuse(request, exchange, address)
        return _away(address)

    async def link(self, request: Request, exchange: Exchange) -> Response:
        """Begin to connect the account with an identity at the provider."""
        return await self._begin_here(request, exchange, "link")

    async def confirm(self, request: Request, exchange: Exchange) -> Response:
        """Begin to confirm with the provider that it is still the owner."""
        return await self._begin_here(request, exchange, "confirm")

    async def _begin_here(
        self, request: Request, exchange: Exchange, purpose: Purpose
    ) -> Response:
        sent = await decode(request, Nothing)
        if isinstance(sent, Denial):
            return self.desk.refuse(request, exchange, sent)
        session = current_session(exchange)
        if session is None:
            return self.desk.refuse(request, exchange, OTHER_SESSION)
        name = request.path_params["name"]
        address = await self.client.begin(
            exchange,
            name,
            purpose,
            next_=same_site_path(sent.next, ""),
            account_id=session.account_id,
            session=session.public_id,
        )
        if isinstance(address, Denial):
            return self._refuse(request, exchange, address)
        if not wants_page(exchange):
            return as_json({"location": address})
        # Not by a redirect: `form-action 'self'` holds for where a form is led on to.
        label = self.client.providers[name].settings.label
        page = self.desk.page(request, "openid-onward", address=address, label=label)
        page.headers["refresh"] = f"0; url={address}"
        return page

    async def callback(self, request: Request, exchange: Exchange) -> Response:
        """Take the provider's answer, in the browser that has asked for it."""
        exchange.response_headers.append(_UNTOLD)
        answer = await attempt(
            self.client.answer(
                exchange,
                request.path_params["name"],
                request.query_params.multi_items(),
            )
        )
        if isinstance(answer, Denial):
            return self._refuse(request, exchange, answer)
        begun, identity = answer
        match begun.purpose:
            case "sign-in":
                return await self._sign_in(request, exchange, begun, identity)
            case "link":
                return await self._link(request, exchange, begun, identity)
            case "confirm":
                return await self._confirm(request, exchange, begun, identity)

    async def _sign_in(
        self, request: Request, exchange: Exchange, begun: Attempt, identity: Identity
    ) -> Response:
        account = await attempt(self.identities.account_of(identity, exchange))
        if isinstance(account, Denial):
            return self._refuse(request, exchange, account)
        factors = frozenset({OPENID})
        refused = await self.entrance.admit(account, exchange, factors)
        if isinstance(refused, SecondFactorNeeded):
            return self.desk.refuse(request, exchange, refused, next=begun.next)
        if refused is not None:
            return self._refuse(request, exchange, refused)
        self.sessions.record_sign_in(exchange)
        if wants_page(exchange):
            return see_other(self.desk.destination(request, begun.next))
        return as_json(describe_account(account, factors, current.csrf_token()))

    async def _link(
        self, request: Request, exchange: Exchange, begun: Attempt, identity: Identity
    ) -> Response:
        account = await self._owner(exchange, begun)
        if isinstance(account, Denial):
            return self._refuse(request, exchange, account)
        refused = await self.identities.link(account, identity, exchange)
        if refused is not None:
            return self._refuse(request, exchange, refused)
        return self._done(request, exchange, "linked")

    async def _confirm(
        self, request: Request, exchange: Exchange, begun: Attempt, identity: Identity
    ) -> Response:
        account = await self._owner(exchange, begun)
        if isinstance(account, Denial):
            return self._refuse(request, exchange, account)
        if not await self.identities.is_of(identity, account.id):
            return self._refuse(request, exchange, ANOTHER_PERSON)
        if identity.signed_in < begun.made - SKEW:
            refusal = replace(NOT_CONFIRMED, private="no new sign-in (auth_time)")
            return self._refuse(request, exchange, refusal)
        refused = await self.sessions.confirm(account, exchange, factor=OPENID)
        if refused is not None:
            return self._refuse(request, exchange, refused)
        return see_other(self.desk.destination(request, begun.next))

    async def unlink(self, request: Request, exchange: Exchange) -> Response:
        """Take a connection away, and with it what was opened through it."""
        sent = await decode(request, Nothing)
        if isinstance(sent, Denial):
            return self.desk.refuse(request, exchange, sent)
        provider = self.client.providers.get(request.path_params["name"])
        account = await self.accounts.by_id(current.principal().id)
        if provider is None or account is None:
            refusal = NO_SUCH_PROVIDER if provider is None else SIGN_IN_FAILED
            return self.desk.refuse(request, exchange, refusal)
        issuer = provider.settings.issuer
        refused = await self.identities.unlink(account, issuer, exchange)
        if refused is not None:
            return self.desk.refuse(request, exchange, refused)
        here, cause = current_session(exchange), Cause.of(exchange)
        await self.sessions.end_all(account.id, cause, keep=here)
        return self._done(request, exchange, "unlinked")

    async def _owner(
        self, exchange: Exchange, begun: Attempt
    ) -> AccountRecord | Denial:
        """Return the account of who is signed in, if it is in the very session in which
        this was begun: what an attacker began is not finished by a victim's browser."""
        session = current_session(exchange)
        if (
            session is None
            or session.account_id != begun.account_id
            or session.public_id != begun.session
        ):
            return OTHER_SESSION
        return await self.accounts.by_id(session.account_id) or SIGN_IN_FAILED

    def _done(self, request: Request, exchange: Exchange, note: str) -> Response:
        if wants_page(exchange):
            return see_other(f"{root_of(request)}/auth/openid?note={note}")
        return Response(status_code=204, headers=NO_STORE)

    def _refuse(
        self, request: Request, exchange: Exchange, refusal: Denial
    ) -> Response:
        return self.desk.refuse(request, exchange, refusal, "openid-problem")


def _away(address: str) -> Response:
    """Send the browser to the provider: to an address of its own document, checked."""
    return Response(status_code=303, headers={**NO_STORE, "location": address})
