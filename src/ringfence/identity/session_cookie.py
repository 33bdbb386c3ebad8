"""The session cookie: its name, how it is read, written and ended."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from ringfence.denial import Denial
from ringfence.exchange import Exchange
from ringfence.identity.refusals import AMBIGUOUS_COOKIE

_PRODUCTION_NAME = "__Host-session"

Finder = Callable[[bytes], list[bytes]]


class SessionCookie:
    """Reads and writes the cookie that carries a session's token.

    In production it is ``__Host-session``, which a browser accepts only over https,
    from this very host and for all its paths: a sibling domain cannot plant one. A
    browser drops that name on plain http, and it does not tell ports apart; so in
    development it is ``session-8000``, after the port, and never read in production.

    Args:
        development: plain http on this machine.

    Source: RFC 6265bis, section 4.1.3.2; ASVS 5.0 V3.3.1 to V3.3.4; CWE-1004, CWE-614.
    """

    def __init__(self, *, development: bool) -> None:
        self._development = development
        secure = "" if development else "; Secure"
        self._attributes = f"; Path=/{secure}; HttpOnly; SameSite=Lax".encode()
        self._gone = b"=; Max-Age=0" + self._attributes

    def name(self, exchange: Exchange) -> str:
        """Return the cookie's name for this request."""
        if not self._development:
            return _PRODUCTION_NAME
        server = exchange.scope.get("server")
        return _name_on_port(server[1] if server else None)

    def read(self, exchange: Exchange) -> bytes | Denial:
        r"""Return the token that the request carries, empty if it carries none.

        Two session cookies with different values are refused: nobody could tell which
        of them was planted. Only spaces and tabs are stripped; a server that strips
        more takes ``\u2000__Host-session`` for the real one, which a sibling domain may
        set.
        """
        header = exchange.headers.get(b"cookie")
        if header is None:
            return b""
        values = self._finder(exchange)(header)
        if not values:
            return b""
        if len(values) > 1 and len({value.strip(b" \t") for value in values}) > 1:
            return AMBIGUOUS_COOKIE
        return values[0].strip(b" \t")

    def _finder(self, exchange: Exchange) -> Finder:
        if not self._development:
            return _in_production
        server = exchange.scope.get("server")
        return _on_port(server[1] if server else None)

    def write(self, exchange: Exchange, token: str) -> None:
        """Send the token with the response, in place of anything said before."""
        self._send(exchange, f"={token}".encode() + self._attributes)

    def expire(self, exchange: Exchange) -> None:
        """Have the browser forget the cookie."""
        self._send(exchange, self._gone)

    def _send(self, exchange: Exchange, rest: bytes) -> None:
        start = self.name(exchange).encode() + b"="
        exchange.response_headers = [
            (name, value)
            for name, value in exchange.response_headers
            if name != b"set-cookie" or not value.startswith(start)
        ]
        exchange.response_headers.append((b"set-cookie", start[:-1] + rest))


def _name_on_port(port: int | None) -> str:
    return f"session-{port or 0}"


def _find(name: str) -> Finder:
    """Return the function that finds every value of a cookie in a ``Cookie`` header.

    Done for every request, and other cookies may be long: what is written as browsers
    do is found without looking at each of their characters.
    """
    stem = name.encode()
    start = stem + b"="
    pattern = rb"(?:^|;)[ \t]*+" + re.escape(stem) + rb"[ \t]*+=([^;]*+)"
    find_all = re.compile(pattern).findall

    def find(header: bytes) -> list[bytes]:
        count = header.count(stem)
        if count == 1:
            before, found, after = header.partition(start)
            if found and (not before or before.endswith(b"; ")):
                return [after.partition(b";")[0]]
        return find_all(header) if count else []

    return find


_in_production = _find(_PRODUCTION_NAME)


@lru_cache(maxsize=16)
def _on_port(port: int | None) -> Finder:
    return _find(_name_on_port(port))
