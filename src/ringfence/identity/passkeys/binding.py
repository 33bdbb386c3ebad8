"""The cookie that ties a ceremony to the browser that it was begun in."""

from __future__ import annotations

import re
import secrets

from ringfence.exchange import Exchange
from ringfence.identity.browser_cookie import BrowserCookie

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
        self._cookie = BrowserCookie(
            "passkey", lifetime, development=development, same_site="Strict"
        )

    def read(self, exchange: Exchange) -> bytes:
        """Return the browser's name, empty if it has none that we would give."""
        value = self._cookie.read(exchange)
        return value if _VALUE.fullmatch(value) else b""

    def keep(self, exchange: Exchange) -> bytes:
        """Return the browser's name, a new one if it has none, and have it kept for
        another while: ceremonies in other tabs go on."""
        value = self.read(exchange) or secrets.token_urlsafe(_BYTES).encode()
        self._cookie.write(exchange, value)
        return value
