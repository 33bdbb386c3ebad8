"""The cookie that ties a ceremony to the browser that it was begun in."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from functools import lru_cache

from ringfence.exchange import Exchange

_BYTES = 32
_VALUE = re.compile(rb"[A-Za-z0-9_-]{43}")


class BrowserBinding:
    """Reads and writes a random name of the browser.

    A proof that somebody else has begun is worth nothing in this browser, and one that
    was begun here is worth nothing elsewhere: an attacker can neither sign a visitor in
    as the attacker (login CSRF, CWE-352) nor use a proof that was caught on its way.

    Args:
        lifetime: seconds that it is kept.
        development: plain http on this machine; the cookie is then named after the
            port.

    Source: RFC 6265bis, section 4.1.3.2; WebAuthn Level 3, section 13.4.3.
    """

    def __init__(self, lifetime: int, *, development: bool) -> None:
        self._development = development
        secure = "" if development else "; Secure"
        self._attributes = (
            f"; Max-Age={lifetime}; Path=/{secure}; HttpOnly; SameSite=Strict"
        ).encode()

    def read(self, exchange: Exchange) -> bytes:
        """Return the browser's name, empty if it has none that we would give."""
        header = exchange.headers.get(b"cookie")
        if header is None:
            return b""
        found = {
            value.strip(b" \t") for value in _pattern(self._name(exchange))(header)
        }
        value = found.pop() if len(found) == 1 else b""
        return value if _VALUE.fullmatch(value) else b""

    def keep(self, exchange: Exchange) -> bytes:
        """Return the browser's name, a new one if it has none, and have it kept for
        another while: ceremonies in other tabs go on."""
        value = self.read(exchange) or secrets.token_urlsafe(_BYTES).encode()
        start = self._name(exchange) + b"="
        exchange.response_headers = [
            (name, said)
            for name, said in exchange.response_headers
            if name != b"set-cookie" or not said.startswith(start)
        ]
        exchange.response_headers.append(
            (b"set-cookie", start + value + self._attributes)
        )
        return value

    def _name(self, exchange: Exchange) -> bytes:
        if not self._development:
            return b"__Host-passkey"
        server = exchange.scope.get("server")
        return b"passkey-%d" % ((server[1] if server else None) or 0)


@lru_cache(maxsize=16)
def _pattern(name: bytes) -> Callable[[bytes], list[bytes]]:
    """Return the function that finds every value of a cookie in a ``Cookie`` header."""
    stem = re.escape(name)
    return re.compile(rb"(?:^|;)[ \t]*+" + stem + rb"[ \t]*+=([^;]*+)").findall
