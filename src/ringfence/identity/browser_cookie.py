"""A cookie by which a browser is known again: its name, how it is read and sent."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Literal

from ringfence.exchange import Exchange


class BrowserCookie:
    """Reads and writes one cookie that scripts cannot read.

    In production its name begins with ``__Host-``, so that no sibling domain can plant
    one; in development it is named after the port, as the session's is.

    Args:
        name: what it holds, in one word.
        lifetime: seconds that a browser keeps it.
        development: plain http on this machine.
        same_site: ``Lax`` where a navigation from another site must bring it along.

    Source: RFC 6265bis, section 4.1.3.2; ASVS 5.0 V3.3.1 to V3.3.4; CWE-614, CWE-1004.

    Not covered: whether what it holds is ours; seal it.
    """

    def __init__(
        self,
        name: str,
        lifetime: int,
        *,
        development: bool,
        same_site: Literal["Lax", "Strict"] = "Lax",
    ) -> None:
        self._stem = name
        self._development = development
        secure = "" if development else "; Secure"
        rest = f"; Path=/{secure}; HttpOnly; SameSite={same_site}"
        self._kept = f"; Max-Age={lifetime}{rest}".encode()
        self._gone = f"; Max-Age=0{rest}".encode()

    def name(self, port: int | None) -> str:
        """Return its name at the server's port."""
        if self._development:
            return f"{self._stem}-{port or 0}"
        return f"__Host-{self._stem}"

    def read(self, exchange: Exchange) -> bytes:
        """Return its value, empty if there is none, or several: one was planted."""
        found = self._values(exchange)
        return found.pop() if len(found) == 1 else b""

    def is_there(self, exchange: Exchange) -> bool:
        """Return whether the browser has sent any."""
        return bool(self._values(exchange))

    def write(self, exchange: Exchange, value: bytes) -> None:
        """Have the browser keep a value, in place of anything said before."""
        self._send(exchange, value + self._kept)

    def expire(self, exchange: Exchange) -> None:
        """Have the browser forget it."""
        self._send(exchange, self._gone)

    def _values(self, exchange: Exchange) -> set[bytes]:
        header = exchange.headers.get(b"cookie")
        if header is None:
            return set()
        found = _pattern(self.name(_port(exchange)))(header)
        return {value.strip(b" \t") for value in found}

    def _send(self, exchange: Exchange, rest: bytes) -> None:
        start = self.name(_port(exchange)).encode() + b"="
        exchange.response_headers = [
            (name, said)
            for name, said in exchange.response_headers
            if name != b"set-cookie" or not said.startswith(start)
        ]
        exchange.response_headers.append((b"set-cookie", start + rest))


def _port(exchange: Exchange) -> int | None:
    server = exchange.scope.get("server")
    return server[1] if server else None


@lru_cache(maxsize=64)
def _pattern(name: str) -> Callable[[bytes], list[bytes]]:
    """Return the function that finds every value of a cookie in a ``Cookie`` header."""
    stem = re.escape(name.encode())
    return re.compile(rb"(?:^|;)[ \t]*+" + stem + rb"[ \t]*+=([^;]*+)").findall
