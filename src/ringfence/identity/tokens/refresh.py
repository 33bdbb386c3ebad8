"""Refresh tokens: used once each, in families that end when one is used again."""

from __future__ import annotations

import asyncio
import inspect
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple, TypeVar

import msgspec

from ringfence.audit.events import (
    Event,
    RefreshRepeated,
    RefreshReused,
    SessionConfirmed,
    SessionsEnded,
    SignedIn,
)
from ringfence.clock import Clock
from ringfence.denial import Denial
from ringfence.exchange import Exchange
from ringfence.identity.cause import Cause
from ringfence.identity.device import describe_device
from ringfence.identity.refusals import SIGN_IN_FAILED
from ringfence.identity.tokens.access_token import AccessTokens
from ringfence.identity.tokens.families import family_name, family_of, public_id
from ringfence.identity.tokens.refresh_token import RefreshToken, RefreshTokenForm
from ringfence.identity.tokens.refusals import (
    REFRESH_INVALID,
    REFRESH_REPEATED,
    REFRESH_REUSED,
    REFRESH_UNPROVED,
    refresh_invalid,
)
from ringfence.identity.tokens.settings import LONGEST
from ringfence.secrets.sealed import Seal
from ringfence.stores.contracts import (
    AccountRecord,
    Grant,
    GrantStore,
    RevocationStore,
    Rotated,
    Rotation,
    counter_key,
)

_ID_BYTES = 16
_TAKEN_BACK = LONGEST + 60.0
"""Seconds for which tokens stay taken back: longer than any lasts, also one from before
the setting was lowered."""
_CLIENT = "first-party"  # RFC 9068 wants a client; here it is the owner's own program

REUSED = "refresh_reused"
"""What the owner is told of: the kind of notice."""

Told = Callable[[str, str], Awaitable[None] | None]
"""Tells the owner of an account, by its id, what has happened, by its kind."""

_Result = TypeVar("_Result")


class Pair(NamedTuple):
    """What a program gets for a sign-in, or for a refresh token.

    Args:
        access: the access token.
        refresh: the refresh token that goes on from here.
        expires: of the access token, Unix seconds.
        ends: of the refresh token unless it is used before, Unix seconds.
        family: what both belong to, as lists name it.
        is_bound: both are worth nothing without the DPoP key.
    """

    access: str
    refresh: str
    expires: float
    ends: float
    family: str
    is_bound: bool


@dataclass(frozen=True, slots=True)
class RefreshLifetime:
    """When refresh tokens end by themselves. Seconds.

    Args:
        idle: without a redemption.
        absolute: after the sign-in, in any case.
        grace: for how long an answer is repeated once; 0 for never.
    """

    idle: float
    absolute: float
    grace: float


class RefreshTokens:
    """Hands out refresh tokens, and takes each of them once.

    A refresh token that is presented a second time is in two hands: one of them is a
    thief's, and nobody knows which. So its family ends, with all access tokens that
    came from it, and the owner is told.

    But an answer may be lost on its way, and an honest client asks again. For a few
    seconds, and once, the token that was just redeemed gets the very same answer again:
    no second generation comes about, and so a thief who is that quick shares a token
    with the owner, whose next refreshes end both. The answer is kept sealed under a key
    that only the old token gives.

    The same answer goes to the same client only: to the same DPoP key; without one, to
    the same network (IPv6: /64) with the same ``User-Agent``.

    Args:
        form: writes and reads the tokens.
        grants: keeps the families.
        revocations: keeps which access tokens were taken back.
        access: issues access tokens.
        lifetime: when refresh tokens end by themselves.
        record: takes the events.
        told: tells the owner of a token in two hands.
        ended: told of an account and a family of its that has ended.
        clock: tells the time.

    Source: RFC 9700, sections 2.2.2 and 4.14; RFC 6819, section 5.2.2.3; CWE-294,
    CWE-367, CWE-613.

    Not covered: who has stolen a refresh token, and uses it before its owner does, has
    access until the owner's next refresh. Bind tokens to a key (DPoP) against that.
    """

    def __init__(  # noqa: PLR0913 - what it decides with, each by its name
        self,
        form: RefreshTokenForm,
        grants: GrantStore,
        revocations: RevocationStore,
        access: AccessTokens,
        lifetime: RefreshLifetime,
        *,
        record: Callable[[Event], None],
        told: Told,
        ended: Callable[[str, str], None],
        clock: Clock,
    ) -> None:
        self._form = form
        self._grants = grants
        self._revocations = revocations
        self._access = access
        self._lifetime = lifetime
        self._record = record
        self._told = told
        self._ended = ended
        self._clock = clock
        self._running: set[asyncio.Task[object]] = set()

    async def begin(
        self,
        account: AccountRecord,
        exchange: Exchange,
        *,
        factors: frozenset[str],
        key: str = "",
        replaces: str = "",
    ) -> Pair | Denial:
        """Begin a family for an account that has just proved who it is.

        Args:
            account: as it was when the proof was checked.
            exchange: of the request.
            factors: what was proved.
            key: thumbprint of the DPoP key that the tokens are bound to.
            replaces: a family of this account that ends with this, and whose absolute
                end stays.
        """
        now = self._clock()
        ends = now + self._lifetime.absolute
        earlier = await self._grant(account.id, replaces)
        if earlier is not None:
            ends = min(ends, earlier.ends)
        token = self._form.write(secrets.token_bytes(_ID_BYTES), 0)
        grant = Grant(
            id=token.family,
            account_id=account.id,
            token_hash=token.hash,
            generation=0,
            created=now,
            used=now,
            expires=now + self._lifetime.idle,
            ends=ends,
            factors=factors,
            proved=now,
            key=key,
            address=exchange.client,
            device=describe_device(exchange.headers.get(b"user-agent", b"")),
            roles=account.roles,
            epoch=account.epoch,
            tenant=account.tenant,
        )
        if not await self._grants.add(grant, epoch=account.epoch):
            return SIGN_IN_FAILED
        cause = Cause.of(exchange)
        kind = SignedIn if earlier is None else SessionConfirmed
        self._record(
            kind(request_id=cause.request_id, client=cause.client, account=account.id)
        )
        if earlier is not None:
            await self._take_back(account.id, replaces)
            await self._grants.end(account.id, earlier.id)
        return self._pair(grant, token, now)

    async def _grant(self, account_id: str, family: str) -> Grant | None:
        """Return a family of this account, ``None`` if it has none that is called so.

        The account is part of the question: another's cannot be ended by naming it
        (CWE-639).
        """
        found = family_of(family) if family else None
        grant = None if found is None else await self._grants.find(found)
        return grant if grant is not None and grant.account_id == account_id else None

    async def rotate(
        self, text: bytes, exchange: Exchange, *, key: str = ""
    ) -> Pair | Denial:
        """Redeem a refresh token for the next pair.

        Roles, tenant and epoch in the new access token are those of now.

        Args:
            text: the token as it came.
            exchange: of the request.
            key: thumbprint of the DPoP key whose proof was checked, empty for none.
        """
        token = self._form.read(text)
        if token is None:
            return REFRESH_INVALID
        # Whoever hangs up in the middle must not keep a family from being ended.
        return await self._to_its_end(self._redeem(token, exchange, key))

    async def _to_its_end(self, work: Coroutine[object, object, _Result]) -> _Result:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _redeem(
        self, token: RefreshToken, exchange: Exchange, key: str
    ) -> Pair | Denial:
        grant = await self._grants.find(token.family)
        if grant is None:
            return refresh_invalid("its family has ended")
        if grant.key != key:
            # Not a use: the key is not there, so nothing is learned of who has stolen
            # what, and who has only the token must not be able to end the family.
            return refresh_invalid("bound to another key") if key else REFRESH_UNPROVED
        now = self._clock()
        following = self._form.write(token.family, token.generation + 1)
        pair = self._pair(grant, following, now)
        rotated = await self._grants.rotate(
            token.family,
            token.hash,
            Rotation(
                token_hash=following.hash,
                expires=now + self._lifetime.idle,
                answer=_seal_of(token).seal(_write(pair), token.family),
                binding=_binding(exchange, key),
                at=now,
                grace=self._lifetime.grace,
            ),
        )
        return await self._told_of(rotated, token, pair, exchange)

    async def _told_of(
        self, rotated: Rotated, token: RefreshToken, pair: Pair, exchange: Exchange
    ) -> Pair | Denial:
        if rotated.outcome == "rotated":
            return pair
        if rotated.outcome == "gone":
            return refresh_invalid("expired, or its account must not be used")
        if rotated.outcome == "reused":
            await self._end_reused(rotated.account_id, token, Cause.of(exchange))
            return REFRESH_REUSED
        if rotated.outcome == "again":
            return REFRESH_REPEATED
        opened = _seal_of(token).open(rotated.answer, token.family)
        if opened is None:
            return refresh_invalid("the answer in the store is not ours")
        self._record(
            RefreshRepeated(
                request_id=exchange.request_id,
                client=exchange.client,
                account=rotated.account_id,
                family=public_id(token.family),
            )
        )
        return _read(opened)

    async def _end_reused(
        self, account_id: str, token: RefreshToken, cause: Cause
    ) -> None:
        """Take back what came from a family that the store has ended."""
        family = public_id(token.family)
        self._record(
            RefreshReused(
                request_id=cause.request_id,
                client=cause.client,
                account=account_id,
                family=family,
                generation=token.generation,
            )
        )
        await self._take_back(account_id, family)
        told = self._told(account_id, REUSED)
        if inspect.isawaitable(told):
            await told

    async def _take_back(self, account_id: str, family: str) -> None:
        """Make every access token of a family worthless."""
        await self._revocations.revoke(family_name(family), account_id, _TAKEN_BACK)
        self._ended(account_id, family)

    def _pair(self, grant: Grant, token: RefreshToken, now: float) -> Pair:
        family = public_id(grant.id)
        access = self._access.issue(
            grant.account_id,
            roles=grant.roles,
            factors=grant.factors,
            auth_time=grant.proved,
            epoch=grant.epoch,
            family=family,
            client_id=_CLIENT,
            key=grant.key,
            tenant=grant.tenant,
        )
        return Pair(
            access=access,
            refresh=token.text.decode(),
            expires=int(now) + self._access.lifetime,
            ends=min(now + self._lifetime.idle, grant.ends),
            family=family,
            is_bound=bool(grant.key),
        )

    def owned(self, text: bytes) -> str:
        """Return the family of a refresh token that is or was one of ours, as lists
        name it; empty if it is none."""
        token = self._form.read(text)
        return "" if token is None else public_id(token.family)

    async def owner(self, family: str) -> str:
        """Return the id of the account whose family this is, empty if it has ended."""
        found = family_of(family)
        grant = None if found is None else await self._grants.find(found)
        return "" if grant is None else grant.account_id

    async def of(self, account_id: str) -> list[Grant]:
        """Return the account's families that can still be used, the latest first."""
        now = self._clock()
        found = await self._grants.of_account(account_id)
        return [grant for grant in found if now < min(grant.expires, grant.ends)]

    async def end(self, account_id: str, family: str, cause: Cause) -> bool:
        """End one family of this account with its access tokens; return whether it had
        such a family."""
        grant = await self._grant(account_id, family)
        if grant is None:
            return False
        # Access tokens first: who is told that it has failed can do it again.
        await self._take_back(account_id, family)
        ended = await self._grants.end(account_id, grant.id)
        if ended:
            self._record_ended(account_id, 1, cause)
        return ended

    async def end_all(self, account_id: str, cause: Cause) -> int:
        """End all families of this account with their access tokens; return how many.
        Sessions of browsers stay."""
        for grant in await self._grants.of_account(account_id):
            await self._take_back(account_id, public_id(grant.id))
        count = await self._grants.end_all(account_id)
        self._record_ended(account_id, count, cause)
        return count

    def _record_ended(self, account_id: str, count: int, cause: Cause) -> None:
        self._record(
            SessionsEnded(
                request_id=cause.request_id,
                client=cause.client,
                account=account_id,
                count=count,
                reason="tokens of programs ended by their owner",
            )
        )

    async def stop(self) -> None:
        """Let what has begun come to its end. Idempotent."""
        if self._running:
            await asyncio.wait(self._running)


def _seal_of(token: RefreshToken) -> Seal:
    key = token.answer_key()
    return Seal(lambda: (key,))


def _binding(exchange: Exchange, key: str) -> bytes:
    """Return the hash of what the redeemer is known by."""
    if key:
        return sha256(counter_key("key", key)).digest()
    agent = exchange.headers.get(b"user-agent", b"")
    return sha256(counter_key("client", exchange.network, agent)).digest()


_write = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder(Pair).decode
