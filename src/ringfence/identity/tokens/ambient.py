"""Tokens that a browser keeps in cookies: what a session is to the others."""

from __future__ import annotations

from ringfence.clock import Clock
from ringfence.denial import Denial
from ringfence.exchange import Exchange
from ringfence.identity.cause import Cause
from ringfence.identity.tokens.bearer import Credentials, ambient_of
from ringfence.identity.tokens.refresh import Pair, RefreshTokens
from ringfence.identity.tokens.refusals import SESSION_NEEDED
from ringfence.principal import Principal
from ringfence.stores.contracts import AccountRecord


class CookieTokens:
    """Gives tokens to browsers, renews them after a proof, and takes them back.

    Args:
        credentials: reads the cookies.
        families: hands out and ends the tokens.
        clock: tells the time.
    """

    def __init__(
        self, credentials: Credentials, families: RefreshTokens, *, clock: Clock
    ) -> None:
        self._credentials = credentials
        self._families = families
        self._clock = clock

    def give(self, exchange: Exchange, pair: Pair) -> None:
        """Have the browser keep a pair, in place of what it came with; forms that are
        shown now are bound to it."""
        self._credentials.cookies.write(
            exchange,
            access=pair.access,
            refresh=pair.refresh,
            seconds=pair.ends - self._clock(),
        )
        exchange.ambient = ambient_of(pair.family)
        exchange.lapsed = None

    def is_ours(self, exchange: Exchange, family: str) -> bool:
        """Return whether a refresh token that came in a cookie is the one that was
        given with the access token beside it, expired or not.

        A sibling domain can plant the cookie of a refresh token, which has a path and
        so no ``__Host-`` before its name, but not that of an access token. Without this
        its own refresh token would sign a visitor in as somebody else (login CSRF).

        Args:
            exchange: of the request.
            family: of the refresh token.

        Source: RFC 6265bis, section 4.1.3; CWE-352, CWE-384.
        """
        if not self._credentials.is_ambient(exchange):
            return False
        claims = self._credentials.left(exchange)
        # One that cannot be read any more was signed with a key that is gone.
        return claims is None or claims.sid == family

    async def renew(
        self, account: AccountRecord, exchange: Exchange, *, factor: str
    ) -> Denial | None:
        """Give new tokens to an owner who has just proved who they are once more. Those
        from before end, so that stolen ones do not become fresh with the owner's proof.

        Source: ASVS 5.0 V7.2.4, V7.5.1; RFC 9470.
        """
        claims = exchange.token
        if claims is None or not exchange.ambient:
            return SESSION_NEEDED
        factors = frozenset(claims.amr) | {factor}
        pair = await self._families.begin(
            account, exchange, factors=factors, replaces=claims.sid
        )
        if isinstance(pair, Denial):
            return pair
        self.give(exchange, pair)
        exchange.principal = Principal(
            account.id,
            account.roles,
            factors,
            self._clock(),
            credential="token",
            tenant=account.tenant,
        )
        return None

    async def leave(self, exchange: Exchange) -> bool:
        """End the tokens that a request came with, in a cookie or as its credential;
        return whether there were any."""
        claims = exchange.token or self._credentials.left(exchange)
        if self._credentials.is_ambient(exchange):
            self._credentials.cookies.expire(exchange)
        exchange.token, exchange.ambient = None, b""
        if claims is None:
            return False
        return await self._families.end(claims.sub, claims.sid, Cause.of(exchange))
