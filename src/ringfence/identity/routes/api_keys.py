"""The API keys of an owner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ringfence import current
from ringfence.denial import Denial
from ringfence.exchange import Exchange
from ringfence.identity.accounts import Accounts
from ringfence.identity.answers import moment
from ringfence.identity.api_keys import (
    LONGEST_DAYS,
    NO_SUCH_KEY,
    USUAL_DAYS,
    ApiKeys,
    NewApiKey,
)
from ringfence.identity.cause import Cause
from ringfence.identity.factors.verify import SecondFactors
from ringfence.identity.refusals import invalid
from ringfence.identity.routes.desk import Desk, as_json, decode, wants_page
from ringfence.identity.routes.owner import owner_of, show_first
from ringfence.identity.routes.route import IdentityRoute
from ringfence.stores.contracts import ApiKeyRecord

_LONGEST_NUMBER = 6  # digits


class KeyToMake(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a new key is for: ``scopes`` as a list, or in a form with spaces between."""

    label: str
    scopes: list[str] | str
    days: int | str = USUAL_DAYS


@dataclass(frozen=True, slots=True)
class ApiKeyRoutes:
    """Keys for programs that work for an owner. Making one asks for a fresh proof: who
    has found an unlocked browser would else take a key home (CWE-306).

    Args:
        desk: answers.
        keys: makes, lists and ends them.
        accounts: knows the owner.
        factors: knows what the owner has; ``None`` where second factors are off.
    """

    desk: Desk
    keys: ApiKeys
    accounts: Accounts
    factors: SecondFactors | None

    def routes(self) -> list[IdentityRoute]:
        """Return the addresses."""
        route = self.desk.route
        return [
            route("GET", "api-keys", self.list_keys, "signed_in"),
            route("POST", "api-keys", self.make_key, "fresh"),
            *self.desk.ending(
                "api-keys",
                self.end_key,
                missing=NO_SUCH_KEY,
                afterwards="api-keys?note=key-ended",
            ),
        ]

    async def list_keys(self, request: Request, exchange: Exchange) -> Response:
        if wants_page(exchange):
            return await self._page(request)
        return as_json(await self._described())

    async def make_key(self, request: Request, exchange: Exchange) -> Response:
        sent = await decode(request, KeyToMake)
        if isinstance(sent, Denial):
            return await self._refuse(request, exchange, sent)
        # A key asks for no second factor ever after: who has not shown the one that
        # the account has since must not take it along (CWE-308).
        if self.factors is not None:
            owner = await owner_of(self.accounts, self.factors)
            if isinstance(owner, Denial):
                return show_first(self.desk, request, exchange, owner)
        wanted = sent.value
        made = await self._made(wanted, Cause.of(exchange))
        if isinstance(made, Denial):
            return await self._refuse(request, exchange, made, wanted)
        if wants_page(exchange):
            return await self._page(request, made=made)
        return as_json({**describe_key(made.record), "key": made.key}, 201)

    async def _made(self, wanted: KeyToMake, cause: Cause) -> NewApiKey | Denial:
        days = _number(wanted.days)
        if days is None:
            return invalid(days="Write a number.")
        scopes = wanted.scopes
        return await self.keys.make(
            current.principal().id,
            wanted.label,
            scopes.split() if isinstance(scopes, str) else scopes,
            cause,
            days=days,
        )

    async def end_key(self, wanted: str, exchange: Exchange) -> bool:
        owner = current.principal().id
        return await self.keys.end(owner, wanted, Cause.of(exchange))

    async def _described(self) -> list[dict[str, Any]]:
        found = await self.keys.of(current.principal().id)
        return [describe_key(key) for key in found]

    async def _page(
        self,
        request: Request,
        refusal: Denial | None = None,
        *,
        made: NewApiKey | None = None,
        wanted: KeyToMake | None = None,
    ) -> Response:
        typed = wanted or KeyToMake("", "")
        scopes = typed.scopes
        return self.desk.page(
            request,
            "api_keys",
            refusal,
            keys=await self._described(),
            made="" if made is None else made.key,
            offered=sorted(self.keys.scopes),
            label=typed.label,
            scopes=scopes if isinstance(scopes, str) else " ".join(scopes),
            days=typed.days,
            longest=LONGEST_DAYS,
        )

    async def _refuse(
        self,
        request: Request,
        exchange: Exchange,
        refusal: Denial,
        wanted: KeyToMake | None = None,
    ) -> Response:
        if wants_page(exchange):
            return await self._page(request, refusal, wanted=wanted)
        return self.desk.refuse(request, exchange, refusal)


def describe_key(key: ApiKeyRecord) -> dict[str, Any]:
    """Return what an owner is told about a key; never the key itself."""
    return {
        "id": key.id,
        "label": key.label,
        "hint": key.hint,
        "scopes": sorted(key.scopes),
        "created": moment(key.created),
        "expires": moment(key.expires),
        "last_used": moment(key.used) if key.used else None,
    }


def _number(typed: int | str) -> int | None:
    if isinstance(typed, int):
        return typed
    plain = typed.isascii() and typed.isdigit() and len(typed) <= _LONGEST_NUMBER
    return int(typed) if plain else None
