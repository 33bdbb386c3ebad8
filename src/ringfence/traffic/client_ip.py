"""Find out who the client is, and over which scheme, without believing just anybody."""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Callable

from ringfence.denial import Answer, Denial
from ringfence.exchange import Exchange, Scope, Stage
from ringfence.traffic.settings import FORWARDING_HEADERS, TrafficSettings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

UNIX = "unix"
"""The client of a connection over a socket file, which has no address."""

_FORWARDING = frozenset(name.encode() for name in FORWARDING_HEADERS)
_SECURE_SCHEMES = frozenset({"https", "wss"})
_LOOPBACK = frozenset({"127.0.0.1", "::1"})
_LONGEST_CHAIN = 32  # proxies; the rest is one text that is no address
_LONGEST_ADDRESS = 64  # characters of an address with port
_SPELLING = re.compile(
    r"\[(?P<six>[0-9a-fA-F:.]+)\](?::[0-9]{1,5})?"
    r"|(?P<four>[0-9.]+):[0-9]{1,5}"
    r"|(?P<bare>[0-9a-fA-F:.]+)"
)
_ADDRESSES_REMEMBERED = 4_096

_FORWARDED_IN_DEVELOPMENT = Denial(
    403,
    "traffic.forwarded_in_development",
    "Development answers this machine only, and a proxy stands in between. For use "
    "behind a proxy unset RINGFENCE_ENV and name the proxy in RINGFENCE_PROXIES.",
)
_REMOTE_IN_DEVELOPMENT = Denial(
    403,
    "traffic.remote_in_development",
    "Development answers this machine only. In tests say which machine it is: "
    "TestClient(app, base_url='http://localhost', client=('127.0.0.1', 50000)).",
)
_BAD_CHAIN = Denial(
    400, "traffic.bad_forwarding", "A forwarding header cannot be understood."
)


def locate(settings: TrafficSettings, *, development: bool) -> Stage:
    """Return the stage that finds the client's address and scheme.

    A forwarding header counts only if the peer is one of ``settings.proxies``; then it
    is read from the right, where the nearest proxy wrote, up to the first address that
    is no proxy. What stands further left was written by the client and may be a lie
    (CVE-2025-46814). All other forwarding headers are taken out of the request, so
    that the application cannot be told another story (CVE-2026-48061); the application
    sees the address and scheme found here.

    Development refuses forwarding headers and peers other than this machine: a proxy
    in front of 127.0.0.1 is not development.

    Source: CWE-290, CWE-348; ASVS 5.0 V4.1.3.
    """
    # Text of IPv6 addresses is worth remembering: parsing one takes microseconds.
    remember = functools.lru_cache(maxsize=_ADDRESSES_REMEMBERED)
    canonical = remember(canonical_peer)

    def peer_of(exchange: Exchange) -> str:
        client = exchange.scope.get("client")
        if not client or not client[0] or client[0].startswith("/"):
            return UNIX
        host: str = client[0]
        return canonical(host) if ":" in host else host

    if development:
        return _local_only(peer_of)
    direct = _direct(peer_of)
    if not settings.networks and UNIX not in settings.proxies:
        return direct
    return _behind_proxies(settings, peer_of, remember(_lookup(settings)), direct)


def _local_only(peer_of: Callable[[Exchange], str]) -> Stage:
    async def client_ip(exchange: Exchange) -> Denial | None:
        if not _FORWARDING.isdisjoint(exchange.headers):
            return _FORWARDED_IN_DEVELOPMENT
        scope = exchange.scope
        client = scope.get("client")
        if client is not None and client[0] in _LOOPBACK:
            exchange.client = client[0]
        else:
            peer = peer_of(exchange)
            if not is_loopback(peer):
                return _REMOTE_IN_DEVELOPMENT
            exchange.client = peer
        exchange.scheme = "http" if scope.get("scheme") == "http" else _scheme(scope)
        return None

    return client_ip


def _direct(peer_of: Callable[[Exchange], str]) -> Stage:
    async def client_ip(exchange: Exchange) -> Denial | None:
        if not _FORWARDING.isdisjoint(exchange.headers):
            _drop_forwarding(exchange, keep=frozenset())
        exchange.client = peer_of(exchange)
        exchange.scheme = _scheme(exchange.scope)
        return None

    return client_ip


def _behind_proxies(
    settings: TrafficSettings,
    peer_of: Callable[[Exchange], str],
    look: Lookup,
    direct: Stage,
) -> Stage:
    client_header = settings.forwarding_header.encode()
    scheme_header = settings.scheme_header.encode()
    kept = frozenset({client_header, scheme_header})
    unix_trusted = UNIX in settings.proxies

    async def client_ip(exchange: Exchange) -> Denial | Answer | None:
        peer = peer_of(exchange)
        seen = (peer, unix_trusted) if peer == UNIX else look(peer)
        if seen is None or not seen[1]:
            return await direct(exchange)
        headers = exchange.headers
        client = judge_chain(headers.get(client_header), peer, look)
        scheme = judge_scheme(headers.get(scheme_header), _scheme(exchange.scope))
        if client is None or scheme is None:
            return _BAD_CHAIN
        if not _FORWARDING.isdisjoint(headers):
            _drop_forwarding(exchange, keep=kept)
        exchange.client = client
        exchange.scheme = scheme
        _tell_application(exchange.scope, client, scheme)
        return None

    return client_ip


Lookup = Callable[[str], "tuple[str, bool] | None"]
"""Returns an address in its canonical spelling and whether it is a trusted proxy, or
``None`` for a text that is no address."""


def _lookup(settings: TrafficSettings) -> Lookup:
    networks = settings.networks

    def look(text: str) -> tuple[str, bool] | None:
        address = parse_address(text)
        if address is None:
            return None
        return str(address), any(address in network for network in networks)

    return look


def judge_chain(value: bytes | None, peer: str, look: Lookup) -> str | None:
    """Return the client's address, or ``None`` if the header cannot be understood.

    Args:
        value: the forwarding header, its lines joined with commas; ``None`` if absent.
        peer: the address at the other end of the connection, a trusted proxy.
        look: tells whether an address is one of the proxies.
    """
    if value is None:
        return peer  # the proxy itself asks, for its health check
    client = peer
    for entry in reversed(value.decode("latin-1").rsplit(",", _LONGEST_CHAIN)):
        seen = look(entry.strip(" \t"))
        if seen is None:
            return None
        client, trusted = seen
        if not trusted:
            break
    return client


def judge_scheme(value: bytes | None, otherwise: str) -> str | None:
    """Return the scheme that the proxy saw, or ``None`` if it cannot be understood.

    A list is what several proxies saw; they must agree, since a guess would turn
    ``Secure`` cookies and origins to one side or the other.
    """
    if value is None:
        return otherwise
    schemes = {part.strip() for part in value.lower().split(b",")}
    if schemes == {b"https"}:
        return "https"
    return "http" if schemes == {b"http"} else None


def parse_address(text: str) -> Address | None:
    """Return an address, or ``None`` for a text that is none.

    A port is cut off, an IPv4 address in IPv6 clothes is undressed, so that no
    spelling is a second identity (CVE-2026-45364).
    """
    match = _SPELLING.fullmatch(text[:_LONGEST_ADDRESS])
    if match is None:
        return None
    try:
        address = ipaddress.ip_address(match[match.lastgroup or 0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or address
    return address


def canonical_peer(host: str) -> str:
    """Return the peer's IPv6 address in its one spelling, without its zone."""
    address = parse_address(host.partition("%")[0])
    return host if address is None else str(address)


def is_loopback(peer: str) -> bool:
    """Tell whether a peer is this machine; a socket file is."""
    if peer == UNIX:
        return True
    address = parse_address(peer)
    return address is not None and address.is_loopback


def _scheme(scope: Scope) -> str:
    return "https" if scope.get("scheme", "http") in _SECURE_SCHEMES else "http"


def _tell_application(scope: Scope, client: str, scheme: str) -> None:
    scope["client"] = (client, 0)
    if scope["type"] == "websocket":
        scheme = "wss" if scheme == "https" else "ws"
    scope["scheme"] = scheme


def _drop_forwarding(exchange: Exchange, *, keep: frozenset[bytes]) -> None:
    dropped = _FORWARDING - keep
    exchange.scope["headers"] = [
        line for line in exchange.scope["headers"] if line[0] not in dropped
    ]
    for name in dropped & exchange.headers.keys():
        del exchange.headers[name]
