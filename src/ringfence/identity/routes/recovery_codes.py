"""Making recovery codes, and taking them home."""

from __future__ import annotations

import re
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from ringfence.denial import Denial
from ringfence.exchange import Exchange
from ringfence.identity.accounts import Accounts
from ringfence.identity.bodies import Nothing
from ringfence.identity.factors.bodies import CodesToKeep
from ringfence.identity.factors.refusals import NO_SECOND_FACTOR
from ringfence.identity.factors.verify import SecondFactors
from ringfence.identity.refusals import CHANGED_MEANWHILE, invalid
from ringfence.identity.routes.desk import (
    NO_STORE,
    Desk,
    as_json,
    decode,
    wants_page,
)
from ringfence.identity.routes.owner import owner_of, show_first
from ringfence.identity.routes.route import IdentityRoute
from ringfence.stores.contracts import AccountRecord

_CODES = re.compile(
    r"[0-9A-Z]{4}(?:-[0-9A-Z]{4}){3}(?: [0-9A-Z]{4}(?:-[0-9A-Z]{4}){3}){0,15}"
)


@dataclass(frozen=True, slots=True)
class RecoveryCodeRoutes:
    """An owner's recovery codes.

    Args:
        desk: answers.
        accounts: knows the owner.
        factors: makes them.
        site_name: stands above them in the file.
    """

    desk: Desk
    accounts: Accounts
    factors: SecondFactors
    site_name: str

    def routes(self) -> list[IdentityRoute]:
        """Return the addresses."""
        route = self.desk.route
        return [
            route("GET", "recovery-codes", self.page, "fresh"),
            route("POST", "recovery-codes", self.renew, "fresh"),
            route("POST", "recovery-codes/file", self.file, "signed_in"),
        ]

    async def page(self, request: Request, exchange: Exchange) -> Response:
        """Ask whether new codes are wanted: the old ones end with it."""
        account = await self._owner()
        if isinstance(account, Denial):
            return show_first(self.desk, request, exchange, account)
        held = await self.factors.held(account.id)
        left = len(held.recovery_codes)
        if not wants_page(exchange):
            return as_json({"recovery_codes": left})
        return self.desk.page(request, "recovery-codes-renew", left=left)

    async def renew(self, request: Request, exchange: Exchange) -> Response:
        """Make new codes and show them, this once."""
        sent = await decode(request, Nothing)
        if isinstance(sent, Denial):
            return self.desk.refuse(request, exchange, sent)
        account = await self._owner()
        if isinstance(account, Denial):
            return show_first(self.desk, request, exchange, account)
        codes = await self.factors.renew_codes(account, exchange)
        if not codes:
            return self.desk.refuse(request, exchange, CHANGED_MEANWHILE)
        if wants_page(exchange):
            return self.desk.page(request, "recovery-codes", codes=codes, first=False)
        return as_json({"recovery_codes": codes}, 201)

    async def file(self, request: Request, exchange: Exchange) -> Response:
        """Give the codes that the page shows back as a file, without a script.

        Nothing else can be had from here: what is no recovery code is refused, and a
        browser saves the answer instead of showing it.
        """
        sent = await decode(request, CodesToKeep)
        if isinstance(sent, Denial):
            return self.desk.refuse(request, exchange, sent)
        if not _CODES.fullmatch(sent.value.codes):
            refusal = invalid(codes="Only recovery codes can be had as a file.")
            return self.desk.refuse(request, exchange, refusal)
        lines = (f"Recovery codes for {self.site_name}. Each works once.", "")
        text = "\r\n".join((*lines, *sent.value.codes.split(), ""))
        disposition = 'attachment; filename="recovery-codes.txt"'
        headers = {**NO_STORE, "content-disposition": disposition}
        return Response(text, headers=headers, media_type="text/plain")

    async def _owner(self) -> AccountRecord | Denial:
        account = await owner_of(self.accounts, self.factors)
        if isinstance(account, Denial):
            return account
        held = await self.factors.held(account.id)
        return account if held.is_guarded else NO_SECOND_FACTOR
