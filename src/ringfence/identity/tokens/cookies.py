"""Tokens in cookies that scripts cannot read, for browsers that ask for them."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from ringfence.denial import Denial
from ringfence.exchange import Exchange
from ringfence.identity.refusals import AMBIGUOUS_COOKIE

REFRESH_PATH = "/auth/token"

_Find = Callable[[bytes], list[bytes]]


class TokenCookies:
    """Reads and writes the cookies of an access token and its refresh token.

    In production they are ``__Host-access``, and ``__Secure-refresh`` for the one
    address below which it is needed: no other request carries it, and no log of one
    can hold it. In development they are named after the port, as the session's is.

    The access token's cookie outlives the token: so a script is told that it has
    expired, and not that nobody has signed in.

    Args:
        development: plain http on this machine.

    Source: RFC 6265bis, section 4.1.3; ASVS 5.0 V3.3.1 to V3.3.4; CWE-1004, CWE-614.
    """

    def __init__(self, *, development: bool) -> None:
        self._development = development
        self._secure = "" if development else "; Secure"

    def access(self, exchange: Exchange) -> bytes | Denial:
        """Return the access token that a request's cookies hold, empty for none."""
        return _only(exchange, self._name(exchange, "__Host-access"))

    def refresh(self, exchange: Exchange) -> bytes | Denial:
        """Return the refresh token that they hold, empty for none."""
        return _only(exchange, self._name(exchange, "__Secure-refresh"))

    def write(
        self, exchange: Exchange, *, access: str, refresh: str, seconds: float
    ) -> None:
        """Have the browser keep both.

        Args:
            exchange: of the request.
            access: the access token.
            refresh: the refresh token.
            seconds: until the refresh token ends.
        """
        self._send(exchange, access, refresh, max(0, int(seconds)))

    def expire(self, exchange: Exchange) -> None:
        """Have the browser forget both."""
        self._send(exchange, "", "", 0)

    def _send(
        self, exchange: Exchange, access: str, refresh: str, seconds: int
    ) -> None:
        root = exchange.scope.get("root_path", "")
        rest = f"; Max-Age={seconds}{self._secure}; HttpOnly"
        self._put(exchange, "__Host-access", f"{access}; Path=/{rest}; SameSite=Lax")
        self._put(
            exchange,
            "__Secure-refresh",
            f"{refresh}; Path={root}{REFRESH_PATH}{rest}; SameSite=Strict",
        )

    def _put(self, exchange: Exchange, production: str, rest: str) -> None:
        """Send a cookie in place of anything said about it before."""
        start = self._name(exchange, production).encode() + b"="
        exchange.response_headers = [
            (name, said)
            for name, said in exchange.response_headers
            if name != b"set-cookie" or not said.startswith(start)
        ]
        exchange.response_headers.append((b"set-cookie", start + rest.encode()))

    def _name(self, exchange: Exchange, production: str) -> str:
        if not self._development:
            return production
        server = exchange.scope.get("server")
        return f"{production.rpartition('-')[2]}-{(server[1] if server else None) or 0}"


def _only(exchange: Exchange, name: str) -> bytes | Denial:
    """Return a cookie's value. Two different ones are refused: nobody could tell which
    of them was planted."""
    header = exchange.headers.get(b"cookie")
    if header is None:
        return b""
    values = {value.strip(b" \t") for value in _finder(name)(header)}
    if len(values) > 1:
        return AMBIGUOUS_COOKIE
    return values.pop() if values else b""


@lru_cache(maxsize=32)
def _finder(name: str) -> _Find:
    """Return the function that finds every value of a cookie in a ``Cookie`` header."""
    stem = re.escape(name.encode())
    return re.compile(rb"(?:^|;)[ \t]*+" + stem + rb"[ \t]*+=([^;]*+)").findall
