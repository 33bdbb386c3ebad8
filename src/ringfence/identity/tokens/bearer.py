"""Who sends a request that carries a token: the other half of the session stage."""

from __future__ import annotations

import re
from collections.abc import Awaitable
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple, Protocol

from ringfence.clock import Clock
from ringfence.denial import Denial
from ringfence.errors import StoreError
from ringfence.exchange import Exchange
from ringfence.identity.api_keys import ApiKeys
from ringfence.identity.refusals import (
    AMBIGUOUS_COOKIE,
    BEARER_UNSUPPORTED,
    TWO_CREDENTIALS,
    unavailable,
)
from ringfence.identity.session_hint import SessionName
from ringfence.identity.tokens.access_token import Claims
from ringfence.identity.tokens.cookies import TokenCookies
from ringfence.identity.tokens.dpop import MISSING, Proof, Proofs
from ringfence.identity.tokens.families import token_names
from ringfence.identity.tokens.refusals import (
    PROOF_NEEDED,
    SCHEME_UNKNOWN,
    TOKEN_REVOKED,
    token_invalid,
)
from ringfence.identity.tokens.verify import TokenVerifier
from ringfence.principal import Principal
from ringfence.stores.contracts import ApiKeyRecord, Reply, RevocationStore, Told

API_KEY_PREFIX = b"rfk_"
NO_NAME = SessionName(b"", "")

# RFC 9110, section 11.4, with exactly one space: what two readers could split
# differently is read by nobody.
_SCHEME = re.compile(rb"([A-Za-z]+) ([A-Za-z0-9._~+/=-]+)\Z")
_BEARER, _DPOP = b"bearer", b"dpop"
_API_KEY = _BEARER + b" " + API_KEY_PREFIX

_MALFORMED = token_invalid("the Authorization header is not a scheme and a token")
_UNBOUND = token_invalid("sent as DPoP, but bound to no key")
_OTHER_KEY = token_invalid("the proof is of another key than the token's")
_KEY_NEEDED = token_invalid("not bound to a key, which is required here")


class Shown(NamedTuple):
    """A token that is good as far as that can be told without asking a store.

    Args:
        claims: what it says.
        names: under which it may have been taken back.
        proof: of the key that it is bound to, if it is.
        is_ambient: it came in a cookie, which a browser adds by itself.
    """

    claims: Claims
    names: tuple[bytes, bytes]
    proof: Proof | None = None
    is_ambient: bool = False


class ForeignCheck(Protocol):
    """Recognises access tokens of other issuers. See ``foreign.ForeignTokens``."""

    def is_theirs(self, token: bytes) -> bool:
        """Return whether a token says that it is of one of them."""

    async def principal(self, token: bytes) -> Principal | Denial:
        """Return whom a token means, if it is good now."""


class Theirs(NamedTuple):
    """A token of another issuer that has let a request in.

    Args:
        sub: whom it means here.
        token: as it came, to be asked about again.
        sid: none of ours.
    """

    sub: str
    token: bytes
    sid: str = ""


@dataclass(frozen=True, slots=True)
class TokenCheck:
    """What tells a good token from others. Only where tokens are switched on.

    Args:
        verifier: tells whether a token is ours, and good now.
        revocations: tells what was taken back.
        proofs: checks proofs of keys; ``None`` where tokens are never bound.
        is_bound: whether every token must be bound to a key.
    """

    verifier: TokenVerifier
    revocations: RevocationStore
    proofs: Proofs | None
    is_bound: bool = False

    def in_header(
        self, exchange: Exchange, header: bytes, now: float
    ) -> Shown | Denial:
        """Return what a token in the header says, if it is good as far as can be told
        at once.

        Args:
            exchange: of the request.
            header: ``Authorization``.
            now: Unix seconds.
        """
        found = _SCHEME.match(header)
        if found is None:
            return _MALFORMED
        scheme, token = found[1].lower(), found[2]
        if scheme not in (_BEARER, _DPOP):
            return SCHEME_UNKNOWN
        claims = self._good(token, now)
        if isinstance(claims, Denial):
            return claims
        proof = self._proof(exchange, token, scheme, claims)
        if isinstance(proof, Denial):
            return proof
        return Shown(claims, token_names(claims), proof)

    def in_cookie(self, token: bytes, now: float) -> Shown | Denial:
        """Return the same for a token in a cookie. We put none there that is bound to a
        key, and a proof would have to come in a header.

        Args:
            token: the cookie's value.
            now: Unix seconds.
        """
        claims = self._good(token, now)
        if isinstance(claims, Denial):
            return claims
        if claims.cnf is not None or self.is_bound:
            return PROOF_NEEDED
        return Shown(claims, token_names(claims), is_ambient=True)

    def _good(self, token: bytes, now: float) -> Claims | Denial:
        claims = self.verifier.known(token)
        if isinstance(claims, Denial):
            return claims
        return self.verifier.check(claims, now) or claims

    def _proof(
        self, exchange: Exchange, token: bytes, scheme: bytes, claims: Claims
    ) -> Proof | Denial | None:
        bound = claims.cnf
        if scheme == _BEARER:
            if bound is not None:  # a downgrade: the thief has no key
                return PROOF_NEEDED
            return _KEY_NEEDED if self.is_bound else None
        if bound is None or self.proofs is None:
            return _UNBOUND
        proof = self.proofs.read(exchange, token)
        if proof is None:
            return MISSING
        if isinstance(proof, Denial):
            return proof
        return proof if proof.key == bound.jkt else _OTHER_KEY


class Credentials:
    """Finds out who sends a request without a session: by an access token in the
    ``Authorization`` header, with a proof of its key where it is bound to one; by an
    access token in a cookie; by an API key.

    Exactly one credential: where two were allowed, the server and a proxy could each
    believe another one. One in the header must be good. One in a cookie, which browsers
    add to everything, leaves the request signed out where it is not; why is said where
    a policy asks for somebody.

    Whatever can change is asked on every use: expiry, audience, the proof, and whether
    the token, its family or everything of its account was taken back.

    Args:
        tokens: tells a good one; ``None`` where tokens are switched off.
        cookies: carry access tokens.
        clock: tells the time.
        api_keys: tell whose API key it is; ``None`` where there are none.
        foreign: recognises tokens of other issuers; ``None`` where none is trusted.

    Source: RFC 6750, sections 2.1, 2.3 and 3; RFC 9449, section 7; RFC 9700, sections
    2.2 and 4.3.2; RFC 9068, section 4; CWE-287, CWE-613.

    Not covered: tokens in the query or in a form, which are not read at all.
    """

    def __init__(
        self,
        tokens: TokenCheck | None,
        cookies: TokenCookies,
        *,
        clock: Clock,
        api_keys: ApiKeys | None = None,
        foreign: ForeignCheck | None = None,
    ) -> None:
        self._foreign = foreign
        self._tokens = tokens
        self.cookies = cookies
        self._clock = clock
        self._api_keys = api_keys

    def is_ambient(self, exchange: Exchange) -> bool:
        """Return whether a request's cookies hold an access token, of whatever kind."""
        return self._tokens is not None and self.cookies.access(exchange) != b""

    def named(self, exchange: Exchange) -> SessionName:
        """Return the name of a good token, and whose it is; both empty for anything
        else. Nothing is asked for it."""
        shown = self._shown(exchange)
        if not isinstance(shown, Shown):
            return NO_NAME
        return SessionName(shown.names[0], shown.claims.sub)

    def authenticate(
        self, exchange: Exchange
    ) -> Denial | Awaitable[Denial | None] | None:
        """Find out who sends a request that has no session cookie."""
        header = exchange.headers.get(b"authorization")
        if header is not None and _is_api_key(header):
            return self._by_key(exchange, header[len(_API_KEY) - len(API_KEY_PREFIX) :])
        shown = self._shown(exchange)
        if isinstance(shown, Shown):
            return self._admit(exchange, shown)
        if shown is not None and header is not None and self._foreign is not None:
            theirs = self._theirs(exchange, header)
            if theirs:
                return self._ask_issuer(exchange, theirs, self._foreign)
        if shown is None or header is not None or shown is AMBIGUOUS_COOKIE:
            return shown
        # The cookies stay: what is refused may be the token from before a change of
        # roles or of keys, and the refresh token beside it still good; or the request
        # was overtaken by one that has brought new ones, under the same names.
        exchange.lapsed = shown
        return None

    def _by_key(
        self, exchange: Exchange, key: bytes
    ) -> Denial | Awaitable[Denial | None]:
        if self._api_keys is None:
            return BEARER_UNSUPPORTED
        if self.is_ambient(exchange):
            return TWO_CREDENTIALS
        return self._ask_for_key(exchange, key, self._api_keys)

    async def _ask_for_key(
        self, exchange: Exchange, key: bytes, keys: ApiKeys
    ) -> Denial | None:
        try:
            principal = await keys.authenticate(key, exchange)
        except StoreError as error:
            return unavailable(str(error))
        if isinstance(principal, Denial):
            return principal
        exchange.credential = "bearer"
        exchange.principal = principal
        return None

    def _theirs(self, exchange: Exchange, header: bytes) -> bytes:
        """Return a token that says to be of another issuer that is trusted, empty for
        anything else. It is the only credential, and never bound to a key by us."""
        found = _SCHEME.match(header)
        if found is None or found[1].lower() != _BEARER or self.is_ambient(exchange):
            return b""
        if self._foreign is None or (
            self._tokens is not None and self._tokens.is_bound
        ):
            return b""
        return found[2] if self._foreign.is_theirs(found[2]) else b""

    async def _ask_issuer(
        self, exchange: Exchange, token: bytes, foreign: ForeignCheck
    ) -> Denial | None:
        principal = await foreign.principal(token)
        if isinstance(principal, Denial):
            return principal
        exchange.token = Theirs(principal.id, token)
        exchange.credential = "bearer"
        exchange.principal = principal
        return None

    def _shown(self, exchange: Exchange) -> Shown | Denial | None:
        """Return what a request shows besides sessions and API keys; judged once."""
        if exchange.shown is None:
            exchange.shown = (self._judge(exchange),)
        said: Shown | Denial | None = exchange.shown[0]
        return said

    def _judge(self, exchange: Exchange) -> Shown | Denial | None:
        header = exchange.headers.get(b"authorization")
        tokens = self._tokens
        if tokens is None:
            return None if header is None else BEARER_UNSUPPORTED
        ambient = self.cookies.access(exchange)
        if isinstance(ambient, Denial):
            return ambient
        if header is None:
            return tokens.in_cookie(ambient, self._clock()) if ambient else None
        if ambient:
            return TWO_CREDENTIALS
        return tokens.in_header(exchange, header, self._clock())

    def _admit(
        self, exchange: Exchange, shown: Shown
    ) -> Denial | Awaitable[Denial | None] | None:
        tokens, claims = self._tokens, shown.claims
        if tokens is None:
            return BEARER_UNSUPPORTED
        if shown.proof is None:
            try:
                told = _told(exchange)
                epoch = tokens.revocations.recall(shown.names, claims.sub, told)
            except StoreError as error:
                return unavailable(str(error))
            if epoch == claims.ver:
                self._enter(exchange, shown)
                return None
        return self._ask(tokens, exchange, shown)

    async def _ask(
        self, tokens: TokenCheck, exchange: Exchange, shown: Shown
    ) -> Denial | None:
        claims = shown.claims
        try:
            epoch = await tokens.revocations.standing(
                shown.names, claims.sub, _told(exchange)
            )
            if epoch != claims.ver:
                refused: Denial | None = TOKEN_REVOKED
            elif shown.proof is not None and tokens.proofs is not None:
                refused = await tokens.proofs.take(shown.proof, exchange)
            else:
                refused = None
        except StoreError as error:
            return unavailable(str(error))
        if refused is None:
            self._enter(exchange, shown)
        elif shown.is_ambient:
            exchange.lapsed = refused
            return None
        return refused

    def _enter(self, exchange: Exchange, shown: Shown) -> None:
        """Say who is there."""
        claims = shown.claims
        exchange.token = claims
        exchange.credential = "session" if shown.is_ambient else "bearer"
        if shown.is_ambient:
            exchange.ambient = ambient_of(claims.sid)
        exchange.principal = principal_of(claims)

    def left(self, exchange: Exchange) -> Claims | None:
        """Return what the access token in a request's cookies says, expired or not: for
        whoever signs out, or in anew."""
        if self._tokens is None:
            return None
        token = self.cookies.access(exchange)
        if not token or isinstance(token, Denial):
            return None
        claims = self._tokens.verifier.known(token)
        return None if isinstance(claims, Denial) else claims

    async def holds(self, claims: Claims | Theirs | ApiKeyRecord) -> bool:
        """Return whether what was opened with a token or a key may stay open.

        Raises:
            StoreError: the store cannot be asked.
        """
        if isinstance(claims, ApiKeyRecord):
            return self._api_keys is not None and await self._api_keys.holds(claims)
        tokens = self._tokens
        if isinstance(claims, Theirs):
            if self._foreign is None:
                return False
            return not isinstance(await self._foreign.principal(claims.token), Denial)
        if tokens is None or tokens.verifier.check(claims, self._clock()) is not None:
            return False
        names = token_names(claims)
        return await tokens.revocations.standing(names, claims.sub) == claims.ver


def _is_api_key(header: bytes) -> bool:
    return header[: len(_API_KEY)].lower() == _API_KEY


def principal_of(claims: Claims) -> Principal:
    """Return who a token speaks for."""
    return Principal(
        claims.sub,
        frozenset(claims.role),
        frozenset(claims.amr),
        float(claims.auth_time),
        credential="token",
        tenant=claims.tenant,
    )


def ambient_of(family: str) -> bytes:
    """Return what the CSRF tokens of a family are bound to.

    Args:
        family: its ``sid``; the same for all tokens that come from one sign-in.
    """
    return sha256(b"ringfence csrf sid 1\x00" + family.encode()).digest()


def _told(exchange: Exchange) -> Told | None:
    """Return what the store of copies has said about a request's token.

    Raises:
        StoreError: it was asked and has not answered.
    """
    reply = exchange.reply
    if isinstance(reply, StoreError):
        raise StoreError(str(reply)) from reply
    return reply.told if isinstance(reply, Reply) else None
