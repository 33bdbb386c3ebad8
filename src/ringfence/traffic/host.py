"""Answer only under the names that are ours."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ringfence.denial import Denial
from ringfence.exchange import Exchange, Stage, at_once
from ringfence.traffic.settings import TrafficSettings

# Labels, or an IPv6 address in brackets; no empty label, no trailing dot, so that one
# host has one spelling. Anything else (a slash, "?", "#", "@") would move the path of
# a URL that is built from it: CVE-2026-48710.
_GRAMMAR = re.compile(
    rb"(?P<name>[a-z0-9_][a-z0-9_-]*(?:\.[a-z0-9_][a-z0-9_-]*)*|\[[0-9a-f:.]+\])"
    rb"(?::(?P<port>[0-9]{1,5}))?"
)
_LONGEST_HOST = 259  # a name of 253 characters, a colon and a port
_SPELLINGS_REMEMBERED = 256  # of allowed hosts: with ports, in capitals
_LOOPBACK_NAMES = ("localhost", ".localhost", "127.0.0.1", "[::1]")

_MISSING = Denial(400, "traffic.host_missing", "The Host header is missing.")
_MALFORMED = Denial(400, "traffic.host_malformed", "The Host header is not a host.")
_FOREIGN = Denial(400, "traffic.host_not_allowed", "This host is not served here.")
_FOREIGN_IN_DEVELOPMENT = Denial(
    400,
    "traffic.host_not_local",
    "Development answers as localhost, 127.0.0.1 or [::1] only. In tests: "
    "TestClient(app, base_url='http://localhost', client=('127.0.0.1', 50000)).",
)


def allow_hosts(
    settings: TrafficSettings, *, development: bool, public_origins: tuple[str, ...]
) -> Stage:
    """Return the stage that refuses requests for hosts that are not ours.

    Names are compared as text, never as patterns (CVE-2026-25479: the dot of
    ``example.com`` matched ``exampleXcom``), and only ``Host`` is read, never
    ``X-Forwarded-Host`` (CVE-2026-48061). Development answers loopback names only,
    which stops a web page whose name has been rebound to 127.0.0.1.

    Args:
        settings: ``allowed_hosts``; a leading dot stands for the name and everything
            below it.
        development: loopback names only.
        public_origins: origins of this service; their hosts are allowed.

    Source: RFC 9110, 7.2; RFC 9112, 3.2; CWE-644; CWE-350 (rebinding).
    """
    own = tuple(origin.partition("://")[2].rstrip("/") for origin in public_origins)
    allowed = AllowedHosts(
        _LOOPBACK_NAMES if development else (*settings.allowed_hosts, *own)
    )
    foreign = _FOREIGN_IN_DEVELOPMENT if development else _FOREIGN
    seen = {host.encode(): host for host in allowed.exact}

    def host(exchange: Exchange) -> Denial | None:
        raw = exchange.headers.get(b"host")
        known = seen.get(raw)  # type: ignore[arg-type]  # None is simply not in it
        if known is not None:
            exchange.host = known
            return None
        if not raw:
            # On HTTP/1.0 too: a request for nobody in particular is for nobody here.
            return _MISSING
        text = parse_host(raw)
        if text is None:
            return _MALFORMED
        if not allowed.allow(text):
            return foreign
        if len(seen) < _SPELLINGS_REMEMBERED:
            seen[raw] = text
        exchange.host = text
        return None

    return at_once(host)


def parse_host(raw: bytes) -> str | None:
    """Return the Host header in lower case, or ``None`` if it is not a host."""
    if len(raw) > _LONGEST_HOST:
        return None
    text = raw.lower()
    return text.decode("ascii") if _GRAMMAR.fullmatch(text) else None


class AllowedHosts:
    """Names that may be asked for.

    Args:
        rules: ``shop.example`` (any port), ``shop.example:8443`` (that port),
            ``.shop.example`` (the name and all below it, any port).
    """

    __slots__ = ("_suffixes", "exact")

    def __init__(self, rules: Iterable[str]) -> None:
        texts = tuple(rule.lower() for rule in rules)
        self.exact = frozenset(text.removeprefix(".") for text in texts)
        self._suffixes = tuple(text for text in texts if text.startswith("."))

    def allow(self, host: str) -> bool:
        """Tell whether a host, as ``parse_host`` returned it, is allowed."""
        name = without_port(host)
        return (
            host in self.exact
            or name in self.exact
            or bool(self._suffixes and name.endswith(self._suffixes))
        )


def without_port(host: str) -> str:
    """Return a host without its port; an IPv6 address keeps its brackets."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host
