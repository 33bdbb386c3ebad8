"""Tokens for programs: getting them, refreshing them, taking them back."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from ringfence import current
from ringfence.denial import Denial
from ringfence.exchange import Exchange
from ringfence.identity.accounts import Accounts
from ringfence.identity.answers import describe_family, describe_tokens
from ringfence.identity.bodies import (
    Nothing,
    RefreshRequest,
    RevocationRequest,
    TokenRequest,
)
from ringfence.identity.cause import Cause
from ringfence.identity.entrance import PASSWORD, Entrance, SecondFactorNeeded
from ringfence.identity.factors.verify import SecondFactors
from ringfence.identity.refusals import SIGN_IN_FAILED, invalid
from ringfence.identity.routes.desk import (
    NO_STORE,
    Desk,
    as_json,
    decode,
    root_of,
    see_other,
    wants_page,
)
from ringfence.identity.routes.route import IdentityRoute
from ringfence.identity.sessions import Sessions
from ringfence.identity.tokens.ambient import CookieTokens
from ringfence.identity.tokens.bearer import TokenCheck
from ringfence.identity.tokens.cookies import TokenCookies
from ringfence.identity.tokens.dpop import Proof, ProofRefused, at_the_counter
from ringfence.identity.tokens.refresh import Pair, RefreshTokens
from ringfence.identity.tokens.refusals import (
    NO_SUCH_TOKENS,
    NOT_YOUR_TOKEN,
    REFRESH_INVALID,
    REFRESH_UNPROVED,
    refresh_invalid,
)
from ringfence.stores.contracts import AccountRecord

COOKIE = "cookie"


@dataclass(frozen=True, slots=True)
class TokenDesk:
    """What there is of tokens, for their addresses.

    Args:
        check: tells our tokens, and proofs of keys.
        families: hands tokens out, refreshes and ends them.
        in_cookies: gives them to browsers.
        cookies: hold them there.
    """

    check: TokenCheck
    families: RefreshTokens
    in_cookies: CookieTokens
    cookies: TokenCookies


@dataclass(frozen=True, slots=True)
class TokenRoutes:
    """The addresses of tokens. None of them answers a GET with one (CVE-2021-21241).

    Args:
        desk: answers.
        tokens: what there is of them.
        accounts: decides about accounts.
        sessions: ends the session that a browser gives up for tokens.
        entrance: knows what is still missing after a password.
        factors: checks codes; ``None`` where second factors are switched off.

    Source: RFC 6749, sections 5 and 6; RFC 7009; RFC 9449, section 5; RFC 9700.
    """

    desk: Desk
    tokens: TokenDesk
    accounts: Accounts
    sessions: Sessions
    entrance: Entrance
    factors: SecondFactors | None

    def routes(self) -> list[IdentityRoute]:
        """Return the addresses."""
        route = self.desk.route
        return [
            route("POST", "token", self.begin, "public"),
            route("POST", "token/refresh", self.refresh, "public"),
            route("POST", "token/revoke", self.revoke, "public"),
            route("POST", "token/revoke-all", self.revoke_all, "signed_in"),
            route("GET", "tokens", self.list_tokens, "signed_in"),
            route("DELETE", "tokens", self.end_tokens, "signed_in"),
            *self.desk.ending(
                "tokens",
                self.end_family,
                missing=NO_SUCH_TOKENS,
                afterwards="account?note=ended",
            ),
        ]

    async def begin(self, request: Request, exchange: Exchange) -> Response:
        """Sign in for tokens: with a password, or with the code that was still owed."""
        sent = await decode(request, TokenRequest)
        if isinstance(sent, Denial):
            return self.desk.refuse(request, exchange, sent)
        wanted = sent.value
        pair = await self._begin(wanted, exchange)
        if isinstance(pair, Denial):
            if isinstance(pair, SecondFactorNeeded) and wanted.transport == COOKIE:
                self.entrance.pending.write(exchange, pair.pending)
            return self.desk.refuse(request, exchange, pair)
        if wanted.transport == COOKIE:
            await self.sessions.end_current(exchange)
        return self._answer(exchange, pair, wanted.transport)

    async def _begin(self, wanted: TokenRequest, exchange: Exchange) -> Pair | Denial:
        proof = self._proof(exchange, wanted.transport)
        if isinstance(proof, Denial):
            return proof
        if wanted.grant_type not in {"", "password"}:
            return invalid(grant_type="The only value here is password.")
        proved = await (
            self._by_code(wanted, exchange)
            if wanted.code
            else self._by_password(wanted, exchange)
        )
        if isinstance(proved, Denial):
            return proved
        account, factors = proved
        refused = await self.entrance.weigh(account, factors) or await self._take(
            proof, exchange
        )
        if refused is not None:
            return refused
        key = "" if proof is None else proof.key
        pair = await self.tokens.families.begin(
            account, exchange, factors=factors, key=key
        )
        if not isinstance(pair, Denial):
            self.entrance.remember(exchange, account)
        return pair

    async def _by_password(
        self, wanted: TokenRequest, exchange: Exchange
    ) -> tuple[AccountRecord, frozenset[str]] | Denial:
        account = await self.accounts.authenticate(
            wanted.email, wanted.password, exchange
        )
        if isinstance(account, Denial):
            return account
        return account, frozenset({PASSWORD})

    async def _by_code(
        self, wanted: TokenRequest, exchange: Exchange
    ) -> tuple[AccountRecord, frozenset[str]] | Denial:
        """Check the second half of a sign-in; the first half is in ``pending``."""
        if self.factors is None or wanted.email or wanted.password:
            return invalid(code="Send the code with pending, after the password.")
        pending = self.entrance.pending.read(exchange, wanted.pending)
        account = None if pending is None else await self.entrance.account_of(pending)
        if pending is None or account is None:
            return SIGN_IN_FAILED
        factor = await self.factors.prove(account, wanted.code, exchange)
        if isinstance(factor, Denial):
            return factor
        if not await self.entrance.pending.redeem(pending):
            return SIGN_IN_FAILED
        self.entrance.pending.expire(exchange)
        return account, frozenset(pending.factors) | {factor}

    def _proof(self, exchange: Exchange, transport: str) -> Proof | Denial | None:
        """Return the proof of the key that the tokens are to be bound to, if any."""
        proofs = self.tokens.check.proofs
        if transport not in {"", "body", COOKIE}:
            return invalid(transport="The only values are body and cookie.")
        proof = None if proofs is None else proofs.read(exchange)
        if isinstance(proof, ProofRefused):
            return at_the_counter(proof)
        if proof is None:
            return REFRESH_UNPROVED if self.tokens.check.is_bound else None
        if transport == COOKIE:
            return invalid(
                transport="Tokens that are bound to a key go into no cookie."
            )
        return proof

    async def _take(self, proof: Proof | None, exchange: Exchange) -> Denial | None:
        proofs = self.tokens.check.proofs
        if proof is None or proofs is None:
            return None
        refused = await proofs.take(proof, exchange)
        return None if refused is None else at_the_counter(refused)

    async def refresh(self, request: Request, exchange: Exchange) -> Response:
        """Redeem a refresh token for the next pair."""
        sent = await decode(request, RefreshRequest)
        if isinstance(sent, Denial):
            return self.desk.refuse(request, exchange, sent)
        wanted = sent.value
        pair = await self._refresh(wanted, exchange)
        if isinstance(pair, Denial):
            if wanted.transport == COOKIE and pair.code == REFRESH_INVALID.code:
                self.tokens.cookies.expire(exchange)
            return self.desk.refuse(request, exchange, pair)
        return self._answer(exchange, pair, wanted.transport)

    async def _refresh(
        self, wanted: RefreshRequest, exchange: Exchange
    ) -> Pair | Denial:
        if wanted.grant_type not in {"", "refresh_token"}:
            return invalid(grant_type="The only value here is refresh_token.")
        text = self._presented(exchange, wanted.refresh_token, wanted.transport)
        if isinstance(text, Denial):
            return text
        proof = self._proof(exchange, wanted.transport)
        if isinstance(proof, Denial):
            return proof
        family = self.tokens.families.owned(text)
        if wanted.transport == COOKIE and not self.tokens.in_cookies.is_ours(
            exchange, family
        ):
            return refresh_invalid("not given with the access token beside it")
        # Noise must not fill the store with proofs.
        refused = await self._take(proof, exchange) if family else REFRESH_INVALID
        if refused is not None:
            return refused
        key = "" if proof is None else proof.key
        return await self.tokens.families.rotate(text, exchange, key=key)

    def _presented(
        self, exchange: Exchange, given: str, transport: str
    ) -> bytes | Denial:
        """Return the token of a request: of its body, or of its cookie."""
        if transport != COOKIE:
            return given.encode("utf-8", "replace")
        if given:
            return invalid(transport="The token is in the cookie; send it once.")
        return self.tokens.cookies.refresh(exchange)

    def _answer(self, exchange: Exchange, pair: Pair, transport: str) -> Response:
        answer = describe_tokens(pair, self.sessions.now())
        if transport != COOKIE:
            return as_json(answer)
        self.tokens.in_cookies.give(exchange, pair)
        return as_json(
            {
                "token_type": answer["token_type"],
                "expires_in": answer["expires_in"],
                "csrf_token": current.csrf_token(),
            }
        )

    async def revoke(self, request: Request, exchange: Exchange) -> Response:
        """Take a token back, with all others of its family. Who has it may do that; one
        that is nobody's is as good as taken back (RFC 7009, section 2.2)."""
        sent = await decode(request, RevocationRequest)
        if isinstance(sent, Denial):
            return self.desk.refuse(request, exchange, sent)
        wanted = sent.value
        text = self._presented(exchange, wanted.token, wanted.transport)
        if isinstance(text, Denial):
            return self.desk.refuse(request, exchange, text)
        family = self.tokens.families.owned(text) or self._family_of(text)
        owner = await self.tokens.families.owner(family)
        principal = exchange.principal
        if owner and principal is not None and principal.id != owner:
            return self.desk.refuse(request, exchange, NOT_YOUR_TOKEN)
        if owner:
            await self.tokens.families.end(owner, family, Cause.of(exchange))
        if wanted.transport == COOKIE:
            self.tokens.cookies.expire(exchange)
        return as_json({})

    def _family_of(self, text: bytes) -> str:
        """Return the family of an access token of ours, empty for anything else.

        An expired one ends nothing: whoever finds it in an old log would otherwise sign
        its owner out for weeks.
        """
        verifier = self.tokens.check.verifier
        claims = verifier.known(text)
        if isinstance(claims, Denial):
            return ""
        expired = verifier.check(claims, self.sessions.now())
        return claims.sid if expired is None else ""

    async def revoke_all(self, request: Request, exchange: Exchange) -> Response:
        """Take back everything from before now: tokens, sessions, API keys."""
        sent = await decode(request, Nothing)
        if isinstance(sent, Denial):
            return self.desk.refuse(request, exchange, sent)
        await self.accounts.revoke_all(current.principal().id, Cause.of(exchange))
        self.sessions.forget_cookie(exchange)
        self.tokens.cookies.expire(exchange)
        return Response(status_code=204, headers=NO_STORE)

    async def list_tokens(self, request: Request, exchange: Exchange) -> Response:
        if wants_page(exchange):
            return see_other(root_of(request) + "/auth/account#tokens")
        found = await self.tokens.families.of(current.principal().id)
        return as_json([describe_family(grant, _here(exchange)) for grant in found])

    async def end_tokens(self, request: Request, exchange: Exchange) -> Response:
        owner, cause = current.principal().id, Cause.of(exchange)
        ended = await self.tokens.families.end_all(owner, cause)
        if exchange.ambient:
            self.tokens.cookies.expire(exchange)
        return as_json({"ended": ended})

    async def end_family(self, wanted: str, exchange: Exchange) -> bool:
        if exchange.ambient and exchange.token.sid == wanted:
            self.tokens.cookies.expire(exchange)
        owner, cause = current.principal().id, Cause.of(exchange)
        return await self.tokens.families.end(owner, wanted, cause)


def _here(exchange: Exchange) -> str:
    """Return the family of the token that a request has come with, empty for none."""
    return "" if exchange.token is None else str(exchange.token.sid)
