"""Passkeys: made, shown, renamed and removed by their owner; signing in with one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ringfence import current
from ringfence.denial import Denial
from ringfence.exchange import Exchange
from ringfence.identity.accounts import Accounts
from ringfence.identity.answers import describe_account
from ringfence.identity.bodies import Nothing
from ringfence.identity.entrance import PASSKEY, Entrance
from ringfence.identity.factors.refusals import PENDING_OVER
from ringfence.identity.factors.verify import SecondFactors
from ringfence.identity.passkeys.authenticators import details_of
from ringfence.identity.passkeys.messages import NewCredential, UsedCredential
from ringfence.identity.passkeys.passkeys import (
    COPIED_COUNTER,
    Passkeys,
    public_id,
)
from ringfence.identity.pending import Pending
from ringfence.identity.refusals import SIGN_IN_FAILED
from ringfence.identity.routes.desk import (
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
from ringfence.stores.contracts import AccountRecord, Factor


class Registration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A passkey that a browser has made, and what its owner calls it."""

    credential: NewCredential
    label: str = ""


class SignIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a passkey has signed."""

    credential: UsedCredential


class Begun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Half a sign-in, where it is not in a cookie."""

    pending: str = ""


class Verification(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a passkey has signed, as one more proof."""

    credential: UsedCredential
    pending: str = ""


class Renaming(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a passkey is to be called."""

    label: str


@dataclass(frozen=True, slots=True)
class _Prover:
    """Who is to prove something: signed in, or half-way there."""

    account: AccountRecord
    pending: Pending | None


@dataclass(frozen=True, slots=True)
class PasskeyRoutes:
    """The addresses of passkeys.

    Args:
        desk: answers.
        accounts: knows the owner.
        factors: knows what the owner has.
        passkeys: decides about passkeys.
        sessions: renews the session of who has proved who they are once more.
        entrance: opens sessions.
    """

    desk: Desk
    accounts: Accounts
    factors: SecondFactors
    passkeys: Passkeys
    sessions: Sessions
    entrance: Entrance

    def routes(self) -> list[IdentityRoute]:
        """Return the addresses."""
        route = self.desk.route
        return [
            route("GET", "passkeys", self.show, "signed_in"),
            route("POST", "passkeys/register/options", self.begin_making, "fresh"),
            route("POST", "passkeys/register", self.make, "fresh"),
            route("POST", "passkeys/login/options", self.begin_sign_in, "public"),
            route("POST", "passkeys/login", self.sign_in, "public"),
            route("POST", "passkeys/verify/options", self.begin_proof, "public"),
            route("POST", "passkeys/verify", self.prove, "public"),
            route("POST", "passkeys/{id}/rename", self.rename, "signed_in"),
            route("POST", "passkeys/{id}/remove", self.remove, "fresh"),
        ]

    async def show(self, request: Request, exchange: Exchange) -> Response:
        if wants_page(exchange):
            return await self._page(request, exchange)
        return as_json(await self._described(exchange))

    async def begin_making(self, request: Request, exchange: Exchange) -> Response:
        sent = await decode(request, Nothing)
        if isinstance(sent, Denial):
            return self.desk.refuse(request, exchange, sent)
        owner = await owner_of(self.accounts, self.factors)
        if isinstance(owner, Denial):
            return self.desk.refuse(request, exchange, owner)
        options = await self.passkeys.begin_registration(owner, exchange)
        return self._options(request, exchange, options)

    async def make(self, request: Request, exchange: Exchange) -> Response:
        sent = await decode(request, Registration)
        if isinstance(sent, Denial):
            return self.desk.refuse(request, exchange, sent)
        owner = await owner_of(self.accounts, self.factors)
        if isinstance(owner, Denial):
            return self.desk.refuse(request, exchange, owner)
        made = await self.passkeys.register(
            owner, sent.value.credential, sent.value.label, exchange
        )
        if isinstance(made, Denial):
            return self.desk.refuse(request, exchange, made)
        # Made here and now with the owner's finger: this session has shown it, too.
        # Should that fail, the codes are shown all the same: there is no other time.
        if exchange.credential != "bearer":
            await attempt(self.sessions.confirm(owner, exchange, factor=PASSKEY))
        codes = {"recovery_codes": made.recovery_codes} if made.recovery_codes else {}
        return as_json({**_describe(made.passkey), **codes}, 201)

    async def begin_sign_in(self, request: Request, exchange: Exchange) -> Response:
        sent = await decode(request, Nothing)
        if isinstance(sent, Denial):
            return self.desk.refuse(request, exchange, sent)
        options = self.passkeys.begin_sign_in(exchange)
        return self._options(request, exchange, options)

    async def sign_in(self, request: Request, exchange: Exchange) -> Response:
        sent = await decode(request, SignIn)
        if isinstance(sent, Denial):
            return self.desk.refuse(request, exchange, sent)
        account = await self.passkeys.sign_in(sent.value.credential, exchange)
        if isinstance(account, Denial):
            return self.desk.refuse(request, exchange, account)
        factors = frozenset({PASSKEY})
        refused = await self.entrance.admit(account, exchange, factors)
        if refused is not None:
            return self.desk.refuse(request, exchange, refused)
        self.sessions.record_sign_in(exchange)
        return self._let_in(account)

    async def begin_proof(self, request: Request, exchange: Exchange) -> Response:
        sent = await decode(request, Begun)
        if isinstance(sent, Denial):
            return self.desk.refuse(request, exchange, sent)
        prover = await self._prover(exchange, sent.value.pending)
        if isinstance(prover, Denial):
            return self.desk.refuse(request, exchange, prover)
        options = await self.passkeys.begin_verification(prover.account, exchange)
        return self._options(request, exchange, options)

    async def prove(self, request: Request, exchange: Exchange) -> Response:
        """Complete half a sign-in; or, for somebody signed in, renew the session."""
        sent = await decode(request, Verification)
        if isinstance(sent, Denial):
            return self.desk.refuse(request, exchange, sent)
        prover = await self._prover(exchange, sent.value.pending)
        if isinstance(prover, Denial):
            return self.desk.refuse(request, exchange, prover)
        account, credential = prover.account, sent.value.credential
        refused = await self.passkeys.verify(
            account, credential, exchange
        ) or await self._accept(prover, exchange)
        if refused is not None:
            return self.desk.refuse(request, exchange, refused)
        return self._let_in(account)

    async def _accept(self, prover: _Prover, exchange: Exchange) -> Denial | None:
        account, pending = prover.account, prover.pending
        if pending is None:
            return await self.sessions.confirm(account, exchange, factor=PASSKEY)
        refused = await self.entrance.complete(pending, account, exchange, PASSKEY)
        if refused is None:
            self.sessions.record_sign_in(exchange)
        return refused

    async def _prover(self, exchange: Exchange, given: str) -> _Prover | Denial:
        """Return who is to prove something: as for codes, half a sign-in first."""
        pending = self.entrance.pending.read(exchange, given)
        if pending is not None:
            half = await self.entrance.account_of(pending)
            return PENDING_OVER if half is None else _Prover(half, pending)
        if exchange.principal is None or given:
            return PENDING_OVER
        account = await self.accounts.by_id(exchange.principal.id)
        return SIGN_IN_FAILED if account is None else _Prover(account, None)

    async def rename(self, request: Request, exchange: Exchange) -> Response:
        sent = await decode(request, Renaming)
        if isinstance(sent, Denial):
            return await self._refuse(request, exchange, sent)
        owner, wanted = current.principal().id, request.path_params["id"]
        refused = await self.passkeys.rename(owner, wanted, sent.value.label)
        if refused is not None:
            return await self._refuse(request, exchange, refused)
        return await self._done(request, exchange, "passkey-renamed")

    async def remove(self, request: Request, exchange: Exchange) -> Response:
        sent = await decode(request, Nothing)
        if isinstance(sent, Denial):
            return await self._refuse(request, exchange, sent)
        owner = await owner_of(self.accounts, self.factors)
        if isinstance(owner, Denial):
            return show_first(self.desk, request, exchange, owner)
        wanted = request.path_params["id"]
        refused = await self.passkeys.remove(owner, wanted, exchange)
        if refused is not None:
            return await self._refuse(request, exchange, refused)
        return await self._done(request, exchange, "passkey-removed")

    def _options(
        self, request: Request, exchange: Exchange, options: dict[str, Any] | Denial
    ) -> Response:
        if isinstance(options, Denial):
            return self.desk.refuse(request, exchange, options)
        return as_json(options)

    def _let_in(self, account: AccountRecord) -> Response:
        factors = current.principal().factors
        return as_json(describe_account(account, factors, current.csrf_token()))

    async def _done(self, request: Request, exchange: Exchange, note: str) -> Response:
        if wants_page(exchange):
            return see_other(f"{root_of(request)}/auth/passkeys?note={note}")
        return as_json(await self._described(exchange))

    async def _refuse(
        self, request: Request, exchange: Exchange, refusal: Denial
    ) -> Response:
        if wants_page(exchange):
            return await self._page(request, exchange, refusal)
        return self.desk.refuse(request, exchange, refusal)

    async def _page(
        self, request: Request, exchange: Exchange, refusal: Denial | None = None
    ) -> Response:
        account = await self.accounts.by_id(current.principal().id)
        if account is None:
            return self.desk.refuse(request, exchange, SIGN_IN_FAILED)
        works = self.passkeys.parties.at(exchange) is not None
        return self.desk.page(
            request,
            "passkeys",
            refusal,
            email=account.email,
            passkeys=await self._described(exchange),
            elsewhere="" if works else self.passkeys.parties.elsewhere(exchange),
            works=works,
        )

    async def _described(self, exchange: Exchange) -> list[Mapping[str, Any]]:
        found = await self.passkeys.of(current.principal().id)
        return [_describe(passkey) for passkey in found]


def _describe(passkey: Factor) -> Mapping[str, Any]:
    """Return what an owner is told about a passkey."""
    details = details_of(passkey)
    return {
        "id": public_id(passkey),
        "label": passkey.label,
        "created": _moment(passkey.created),
        "last_used": _moment(passkey.used) if passkey.used else None,
        "synced": details.backup_eligible,
        "copied": passkey.counter >= COPIED_COUNTER,
        "transports": details.transports,
    }


def _moment(time: float) -> str:
    return datetime.fromtimestamp(int(time), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
