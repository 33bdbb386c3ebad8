"""Setting up the app that makes one-time codes, and removing it."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from ringfence.denial import Denial
from ringfence.exchange import Exchange
from ringfence.identity.accounts import Accounts
from ringfence.identity.bodies import Nothing
from ringfence.identity.entrance import TOTP
from ringfence.identity.factors.bodies import FactorToRemove, FirstCode
from ringfence.identity.factors.describe import describe_factor
from ringfence.identity.factors.qr import draw
from ringfence.identity.factors.refusals import (
    NO_SUCH_FACTOR,
    TOO_MANY_FACTORS,
)
from ringfence.identity.factors.totp import MOST_APPS, Enrolment
from ringfence.identity.factors.verify import SecondFactors
from ringfence.identity.routes.desk import (
    NO_STORE,
    Desk,
    as_json,
    attempt,
    decode,
    root_of,
    see_other,
    wants_page,
)
from ringfence.identity.routes.owner import owner_of, show_first
from ringfence.identity.routes.route import IdentityRoute
from ringfence.identity.sessions import Sessions
from ringfence.stores.contracts import AccountRecord

_LONGEST_LABEL = 64


@dataclass(frozen=True, slots=True)
class TotpRoutes:
    """An owner's apps. All of it asks for a fresh proof.

    Args:
        desk: answers.
        accounts: knows the owner.
        sessions: renews the session of who has shown a code.
        factors: keeps the apps.
    """

    desk: Desk
    accounts: Accounts
    sessions: Sessions
    factors: SecondFactors

    def routes(self) -> list[IdentityRoute]:
        """Return the addresses."""
        route = self.desk.route
        return [
            route("GET", "totp/enrol", self.enrol_page, "fresh"),
            route("POST", "totp/enrol", self.enrol, "fresh"),
            route("POST", "totp/confirm", self.confirm, "fresh"),
            route("GET", "totp/remove", self.remove_page, "fresh"),
            route("POST", "totp/remove", self.remove, "fresh"),
        ]

    async def enrol_page(self, request: Request, exchange: Exchange) -> Response:
        """Show a fresh secret. Nothing is stored for it, so a GET may."""
        return await self._enrol(request, exchange)

    async def enrol(self, request: Request, exchange: Exchange) -> Response:
        """Return a fresh secret, and what ``totp/confirm`` wants back with a code."""
        sent = await decode(request, Nothing)
        if isinstance(sent, Denial):
            return self.desk.refuse(request, exchange, sent)
        return await self._enrol(request, exchange)

    async def _enrol(self, request: Request, exchange: Exchange) -> Response:
        account = await owner_of(self.accounts, self.factors)
        if isinstance(account, Denial):
            return show_first(self.desk, request, exchange, account)
        held = await self.factors.held(account.id)
        if len(held.totp) >= MOST_APPS:
            return self.desk.refuse(request, exchange, TOO_MANY_FACTORS)
        enrolment = self.factors.totp.enrol(account)
        if wants_page(exchange):
            return self._page(request, enrolment)
        return as_json(
            {
                "enrolment": enrolment.text,
                "secret": enrolment.secret.replace(" ", "").upper(),
                "uri": enrolment.uri,
            }
        )

    async def confirm(self, request: Request, exchange: Exchange) -> Response:
        """Make a factor of the app, now that it has shown a code."""
        sent = await decode(request, FirstCode)
        if isinstance(sent, Denial):
            return self.desk.refuse(request, exchange, sent)
        account = await owner_of(self.accounts, self.factors)
        if isinstance(account, Denial):
            return show_first(self.desk, request, exchange, account)
        first = sent.value
        label = _visible(first.label)[:_LONGEST_LABEL]
        refused = await self.factors.confirm_app(
            account, first.enrolment, first.code, label=label
        )
        if refused is not None:
            return self._refuse(request, exchange, refused, account, first)
        return await self._added(request, exchange, account)

    async def _added(
        self, request: Request, exchange: Exchange, account: AccountRecord
    ) -> Response:
        codes = await self.factors.added(account, TOTP, exchange)
        # What the app has shown counts for this session, too; it is a new one. Should
        # that fail, the codes are shown all the same: there is no other time.
        if exchange.credential != "bearer":
            await attempt(self.sessions.confirm(account, exchange, factor=TOTP))
        if not wants_page(exchange):
            return as_json({"recovery_codes": codes}, 201)
        if codes:
            return self.desk.page(request, "recovery-codes", codes=codes, first=True)
        return see_other(root_of(request) + "/auth/two-step?note=app-added")

    async def remove_page(self, request: Request, exchange: Exchange) -> Response:
        account = await owner_of(self.accounts, self.factors)
        if isinstance(account, Denial):
            return show_first(self.desk, request, exchange, account)
        wanted = request.query_params.get("id", "")
        held = await self.factors.held(account.id)
        for app in held.totp:
            if app.id.hex() == wanted:
                is_last = len(held.totp) + len(held.passkeys) == 1
                described = describe_factor(app)
                return self.desk.page(
                    request, "totp-remove", app=described, is_last=is_last
                )
        return self.desk.refuse(request, exchange, NO_SUCH_FACTOR)

    async def remove(self, request: Request, exchange: Exchange) -> Response:
        """Remove an app; with the last factor its recovery codes go as well."""
        sent = await decode(request, FactorToRemove)
        if isinstance(sent, Denial):
            return self.desk.refuse(request, exchange, sent)
        account = await owner_of(self.accounts, self.factors)
        if isinstance(account, Denial):
            return show_first(self.desk, request, exchange, account)
        try:
            wanted = bytes.fromhex(sent.value.id)
        except ValueError:
            wanted = b""
        if not await self.factors.remove(account, TOTP, wanted, exchange):
            return self.desk.refuse(request, exchange, NO_SUCH_FACTOR)
        if wants_page(exchange):
            return see_other(root_of(request) + "/auth/two-step?note=app-removed")
        return Response(status_code=204, headers=NO_STORE)

    def _refuse(
        self,
        request: Request,
        exchange: Exchange,
        refusal: Denial,
        account: AccountRecord,
        first: FirstCode,
    ) -> Response:
        """Show the same secret again, while it may still be confirmed."""
        enrolment = self.factors.totp.again(account, first.enrolment)
        if enrolment is None or not wants_page(exchange):
            return self.desk.refuse(request, exchange, refusal)
        return self._page(request, enrolment, refusal, first.label)

    def _page(
        self,
        request: Request,
        enrolment: Enrolment,
        refusal: Denial | None = None,
        label: str = "",
    ) -> Response:
        return self.desk.page(
            request,
            "totp",
            refusal,
            enrolment=enrolment,
            qr=draw(enrolment.uri),
            label=label,
        )


def _visible(label: str) -> str:
    """Return a name without what cannot be seen: it turns the words around it on a page
    the other way, or speaks to a terminal, and PostgreSQL keeps no NUL (CWE-20)."""
    seen = (sign if sign.isprintable() else " " for sign in label)
    return " ".join("".join(seen).split())
