"""Forgotten passwords, and proving an address: what letters lead to."""

from __future__ import annotations

from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import Response

from ringfence.denial import Denial
from ringfence.exchange import Exchange
from ringfence.identity.bodies import AddressProof, Forgotten, NewPassword
from ringfence.identity.recovery import Recovery
from ringfence.identity.refusals import LINK_VOID, PASSWORD_WRONG, Invalid
from ringfence.identity.routes.desk import (
    Desk,
    as_json,
    attempt,
    decode,
    root_of,
    see_other,
    wants_page,
)
from ringfence.identity.routes.route import IdentityRoute
from ringfence.identity.verification import Verification


@dataclass(frozen=True, slots=True)
class RecoveryRoutes:
    """A new password by mail.

    The pages that links lead to change nothing when they are opened: mail servers and
    previews open every link before its reader does.

    Args:
        desk: answers.
        recovery: sends and takes the links.
    """

    desk: Desk
    recovery: Recovery

    def routes(self) -> list[IdentityRoute]:
        """Return the addresses."""
        route = self.desk.route
        return [
            route("GET", "password/forgot", self.forgot_page, "public"),
            route("POST", "password/forgot", self.forgot, "public"),
            route("GET", "password/reset", self.reset_page, "public"),
            route("POST", "password/reset", self.reset, "public"),
        ]

    async def forgot_page(self, request: Request, exchange: Exchange) -> Response:
        return self.desk.page(request, "forgot")

    async def forgot(self, request: Request, exchange: Exchange) -> Response:
        """Answer 202 for every address."""
        sent = await decode(request, Forgotten)
        if isinstance(sent, Denial):
            return self.desk.refuse(request, exchange, sent, "forgot")
        email = sent.value.email
        refused = await attempt(self.recovery.ask(email, exchange))
        if refused is not None:
            return self.desk.refuse(request, exchange, refused, "forgot", email=email)
        if wants_page(exchange):
            return see_other(root_of(request) + "/auth/password/forgot?note=sent")
        return as_json({"status": "accepted"}, 202)

    async def reset_page(self, request: Request, exchange: Exchange) -> Response:
        return self.desk.page(request, "reset", token="")

    async def reset(self, request: Request, exchange: Exchange) -> Response:
        """Set a new password; nobody is signed in by that."""
        sent = await decode(request, NewPassword)
        if isinstance(sent, Denial):
            return self.desk.refuse(request, exchange, sent, "reset", token="")
        token = sent.value.token
        account = await attempt(
            self.recovery.reset(token, sent.value.new_password, exchange)
        )
        if isinstance(account, Denial):
            shown = _still_good(token, account)
            return self.desk.refuse(request, exchange, account, "reset", token=shown)
        if wants_page(exchange):
            return see_other(root_of(request) + "/auth/login?note=reset")
        return as_json({"status": "reset"})


@dataclass(frozen=True, slots=True)
class VerificationRoutes:
    """Proving an address.

    Args:
        desk: answers.
        verification: sends and takes the links.
    """

    desk: Desk
    verification: Verification

    def routes(self) -> list[IdentityRoute]:
        """Return the addresses."""
        route = self.desk.route
        return [
            route("GET", "email/verify", self.verify_page, "public"),
            route("POST", "email/verify", self.verify, "public"),
        ]

    async def verify_page(self, request: Request, exchange: Exchange) -> Response:
        return self.desk.page(request, "verify", token="")

    async def verify(self, request: Request, exchange: Exchange) -> Response:
        """Note that the address is its owner's, who then signs in."""
        sent = await decode(request, AddressProof)
        if isinstance(sent, Denial):
            return self.desk.refuse(request, exchange, sent, "verify", token="")
        token = sent.value.token
        account = await attempt(
            self.verification.prove(token, sent.value.password, exchange)
        )
        if isinstance(account, Denial):
            if account.code == PASSWORD_WRONG.code and isinstance(account, Invalid):
                fields = (("password", "This is not the password of the account."),)
                account = replace(account, detail=fields[0][1], fields=fields)
            shown = _still_good(token, account)
            return self.desk.refuse(request, exchange, account, "verify", token=shown)
        if wants_page(exchange):
            return see_other(root_of(request) + "/auth/login?note=verified")
        return as_json({"status": "verified"})


def _still_good(token: str, refusal: Denial) -> str:
    """Return the code for the form that is shown again, unless it is what was wrong."""
    return "" if refusal is LINK_VOID else token
