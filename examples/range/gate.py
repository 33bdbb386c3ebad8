"""The range's own fence: who may reach it at all, with the guard on or off.

The range is code execution by design, and a developer's browser visits other sites
while it runs. So each request must come from loopback, name the range's exact address,
come from no foreign page, and carry the secret of this run.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

KEY_HEADER = "x-range-key"
KEY_COOKIE = "range_key"

_POLICY_VIOLATION = 1008


class Gate:
    """Let only the tester of this run through.

    Args:
        app: the range, guarded or not.
        port: the port it listens on; ``127.0.0.1:port`` and ``localhost:port`` are
            the only hosts.
        key: the secret of this run.
        origins: pages that may send requests, besides the range's own; ``null`` is an
            opaque origin (a sandboxed frame).
    """

    def __init__(
        self, app: ASGIApp, *, port: int, key: str, origins: Iterable[str] = ()
    ) -> None:
        self.app = app
        self.hosts = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})
        self.key = key.encode()
        own = {f"{scheme}://{host}" for scheme in ("http", "ws") for host in self.hosts}
        self.origins = frozenset({*own, *origins})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        reason = self._refuse(scope)
        if reason is None:
            await self.app(_without_key(scope), receive, send)
        elif scope["type"] == "http":
            response = PlainTextResponse(f"The range refuses: {reason}.\n", 403)
            await response(scope, receive, send)
        else:
            await WebSocketClose(_POLICY_VIOLATION, reason)(scope, receive, send)

    def _refuse(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        if not _is_loopback(scope):
            return "it answers to loopback only"
        if headers.getlist("host") not in ([host] for host in self.hosts):
            return "the Host is not its own"
        if not self._origin_agrees(headers):
            return "the page that asks is not one of its test origins"
        given = headers.get(KEY_HEADER) or _cookies(headers).get(KEY_COOKIE, "")
        if not hmac.compare_digest(given.encode(), self.key):
            return f"send this run's key as {KEY_HEADER} or as cookie {KEY_COOKIE}"
        return None

    def _origin_agrees(self, headers: Headers) -> bool:
        if "origin" in headers:
            return headers["origin"] in self.origins
        if headers.get("sec-fetch-site") not in {"cross-site", "same-site"}:
            return True
        # A plain link or image says where it comes from by its Referer only.
        referer = urlsplit(headers.get("referer", ""))
        return f"{referer.scheme}://{referer.netloc}" in self.origins


def _is_loopback(scope: Scope) -> bool:
    client = scope.get("client")
    return client is not None and ip_address(client[0]).is_loopback


def _cookies(headers: Headers) -> dict[str, str]:
    try:
        found = SimpleCookie("; ".join(headers.getlist("cookie")))
    except CookieError:
        return {}
    return {name: morsel.value for name, morsel in found.items()}


def _without_key(scope: Scope) -> Scope:
    """Keep the key out of the targets, which print and leak what they see."""
    kept = []
    for name, value in scope["headers"]:
        if name == KEY_HEADER.encode():
            continue
        if name == b"cookie" and KEY_COOKIE.encode() in value:
            pairs = [pair.strip() for pair in value.split(b";")]
            prefix = KEY_COOKIE.encode() + b"="
            rest = [pair for pair in pairs if not pair.startswith(prefix)]
            if rest:
                kept.append((name, b"; ".join(rest)))
            continue
        kept.append((name, value))
    return {**scope, "headers": kept}
