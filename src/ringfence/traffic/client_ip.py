"""Find out who the client is, and over which scheme, without believing just anybody."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from ringfence.denial import Denial
from ringfence.exchange import Exchange, Scope, Stage, at_once
from ringfence.traffic.addresses import (
    UNIX,
    canonical_peer,
    is_loopback,
    network_of,
)
from ringfence.traffic.forwarded import read_forwarded
from ringfence.traffic.proxies import Lookup, Trust, lookup
from ringfence.traffic.rewritten_peer import PEER_REWRITTEN, is_rewritten
from ringfence.traffic.settings import (
    CHAINS,
    FORWARDING_HEADERS,
    TrafficSettings,
)

_FORWARDING = frozenset(name.encode() for name in FORWARDING_HEADERS)
_SECURE_SCHEMES = frozenset({"https", "wss"})
_LOOPBACK = frozenset({"127.0.0.1", "::1"})
_LONGEST_CHAIN = 32  # proxies; the rest is one text that is no address
_ADDRESSES_REMEMBERED = 4_096
_LONGEST_REMEMBERED = 128  # bytes of a header

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
    """Return the stage that finds the client's address, its network and the scheme.

    A forwarding header counts only if the peer is one of ``settings.proxies``; then it
    is read from the right, where the nearest proxy wrote, up to the first address that
    is no proxy. What stands further left was written by the client and may be a lie
    (CVE-2025-46814). All other forwarding headers are taken out of the request, so
    that the application cannot be told another story (CVE-2026-48061); the application
    sees the address and scheme found here.

    Limits are kept by ``exchange.network``, in which IPv6 is grouped: else one
    subscriber has a budget for each of 2**64 addresses (CVE-2026-45364).

    Development refuses forwarding headers and peers other than this machine: a proxy
    in front of 127.0.0.1 is not development.

    Source: CWE-290, CWE-348; RFC 7239; ASVS 5.0 V4.1.3.

    Not covered: an attacker inside a network that is named as a proxy.
    """
    # Text of IPv6 addresses is worth remembering: parsing one takes microseconds.
    remember = functools.lru_cache(maxsize=_ADDRESSES_REMEMBERED)
    canonical = remember(canonical_peer)
    group = remember(functools.partial(network_of, ipv6_prefix=settings.ipv6_prefix))

    def peer_of(exchange: Exchange) -> str:
        client = exchange.scope.get("client")
        if not client or not client[0] or client[0].startswith("/"):
            return UNIX
        host: str = client[0]
        return canonical(host) if ":" in host else host

    def settle(exchange: Exchange, client: str, scheme: str) -> None:
        exchange.client = client
        exchange.network = group(client) if ":" in client else client
        exchange.scheme = scheme

    if development:
        return at_once(_as_before(_local_only(peer_of, settle)))
    direct = _as_before(_direct(peer_of, settle, settings.public_scheme))
    if set(settings.proxies) <= {"none"}:
        return at_once(direct)
    return at_once(_behind_proxies(settings, peer_of, settle, direct))


Decide = Callable[[Exchange], Denial | None]
PeerOf = Callable[[Exchange], str]
Settle = Callable[[Exchange, str, str], None]


def _as_before(decide: Decide) -> Decide:
    """Return what says the same again to a peer that says nothing of other clients, as
    long as that was no refusal: it depends on the peer and its scheme alone."""
    known: dict[tuple[str, str], tuple[str, str, str]] = {}

    def client_ip(exchange: Exchange) -> Denial | None:
        scope = exchange.scope
        client = scope.get("client")
        if not client or not _FORWARDING.isdisjoint(exchange.headers):
            return decide(exchange)
        key = client[0], scope.get("scheme", "")
        found = known.get(key)
        if found is not None:
            exchange.client, exchange.network, exchange.scheme = found
            return None
        denial = decide(exchange)
        if denial is None:
            if len(known) >= _ADDRESSES_REMEMBERED:
                known.clear()
            known[key] = exchange.client, exchange.network, exchange.scheme
        return denial

    return client_ip


def _local_only(peer_of: PeerOf, settle: Settle) -> Decide:
    def client_ip(exchange: Exchange) -> Denial | None:
        if not _FORWARDING.isdisjoint(exchange.headers):
            return _FORWARDED_IN_DEVELOPMENT
        scope = exchange.scope
        scheme = "http" if scope.get("scheme") == "http" else _scheme(scope)
        client = scope.get("client")
        if client is not None and client[0] in _LOOPBACK:
            settle(exchange, client[0], scheme)
            return None
        peer = peer_of(exchange)
        if not is_loopback(peer):
            return _REMOTE_IN_DEVELOPMENT
        settle(exchange, peer, scheme)
        return None

    return client_ip


def _direct(peer_of: PeerOf, settle: Settle, public_scheme: str) -> Decide:
    def client_ip(exchange: Exchange) -> Denial | None:
        if not _FORWARDING.isdisjoint(exchange.headers):
            if is_rewritten(exchange.scope):
                return PEER_REWRITTEN
            _drop_forwarding(exchange, _FORWARDING)
        settle(exchange, peer_of(exchange), public_scheme or _scheme(exchange.scope))
        return None

    return client_ip


def _behind_proxies(
    settings: TrafficSettings, peer_of: PeerOf, settle: Settle, direct: Decide
) -> Decide:
    look = lookup(settings.own_networks, settings.shared_networks)
    read = _reader(settings, look)
    unix_trust = Trust.OWN if UNIX in settings.proxies else Trust.STRANGER
    kept = {settings.forwarding_header.encode()}
    if not (settings.public_scheme or settings.forwarding_header == "forwarded"):
        kept.add(settings.scheme_header.encode())
    dropped = _FORWARDING - kept

    def client_ip(exchange: Exchange) -> Denial | None:
        peer = peer_of(exchange)
        seen = (peer, unix_trust) if peer == UNIX else look(peer)
        if seen is None or seen[1] is Trust.STRANGER:
            return direct(exchange)
        headers, scope = exchange.headers, exchange.scope
        told = read(headers, peer, seen[1])
        if told is None:
            return _BAD_CHAIN
        if is_rewritten(scope) and not _FORWARDING.isdisjoint(headers):
            return PEER_REWRITTEN
        if not dropped.isdisjoint(headers):
            _drop_forwarding(exchange, dropped)
        client, scheme = told.client, told.scheme or _scheme(scope)
        settle(exchange, client, scheme)
        _tell_application(scope, client, scheme)
        return None

    return client_ip


class Told(NamedTuple):
    """What the proxies say.

    Args:
        client: its address.
        scheme: ``http`` or ``https``; empty if they do not say.
    """

    client: str
    scheme: str


Reader = Callable[[Mapping[bytes, bytes], str, Trust], Told | None]
Judge = Callable[[bytes, Trust], Told | None]


def _reader(settings: TrafficSettings, look: Lookup) -> Reader:
    """Return what reads the one configured header, and the scheme beside it."""
    name = settings.forwarding_header.encode()
    scheme_name = settings.scheme_header.encode()
    fixed = settings.public_scheme
    if name == b"forwarded":
        judge: Judge = functools.partial(judge_forwarded, look=look)
        scheme_name = b""  # the same header tells
    elif settings.forwarding_header in CHAINS:
        judge = functools.partial(judge_chain, look=look)
    else:
        judge = functools.partial(judge_single, look=look)
    known = functools.lru_cache(maxsize=_ADDRESSES_REMEMBERED)(judge)

    def read(headers: Mapping[bytes, bytes], peer: str, trust: Trust) -> Told | None:
        value = headers.get(name)
        if value is None:
            told: Told | None = Told(peer, "")  # the proxy itself, for its health check
        elif len(value) <= _LONGEST_REMEMBERED:
            told = known(value, trust)
        else:
            told = judge(value, trust)
        if told is None:
            return None
        if fixed:
            return Told(told.client, fixed)
        scheme = headers.get(scheme_name) if scheme_name else None
        if scheme is None:
            return told
        judged = judge_scheme(scheme)
        return None if judged is None else Told(told.client, judged)

    return read


def judge_chain(value: bytes, trust: Trust, *, look: Lookup) -> Told | None:
    """Return the client's address, or ``None`` if the header cannot be understood.

    Args:
        value: the forwarding header, its lines joined with commas.
        trust: in the peer, who has written last.
        look: tells what an address is to us.
    """
    entries = reversed(value.decode("latin-1").rsplit(",", _LONGEST_CHAIN))
    walked = _walk((entry.strip(" \t") for entry in entries), trust, look)
    return None if walked is None else Told(walked[0], "")


def judge_single(value: bytes, trust: Trust, *, look: Lookup) -> Told | None:
    """Return the client's address from a header that holds just one."""
    del trust  # whoever is trusted at all wrote the whole header
    seen = look(value.decode("latin-1").strip(" \t"))
    return None if seen is None else Told(seen[0], "")


def judge_forwarded(value: bytes, trust: Trust, *, look: Lookup) -> Told | None:
    """Return what RFC 7239's header says of the client, or ``None`` if it cannot be
    understood.

    A proxy of ours that says ``unknown``, or hides its client behind an obfuscated
    name, leaves nobody to hold to a limit: that is refused too. The scheme is the one
    in the very element that names the client; further right stands how our proxies
    talk among themselves.
    """
    hops = read_forwarded(value.decode("latin-1"))
    if hops is None:
        return None
    walked = _walk((hop.node for hop in reversed(hops)), trust, look)
    if walked is None:
        return None
    client, passed = walked
    scheme = hops[-passed].scheme
    return Told(client, scheme) if scheme in {"", "http", "https"} else None


def _walk(entries: Iterable[str], trust: Trust, look: Lookup) -> tuple[str, int] | None:
    """Go from the nearest proxy to the first address that is not ours; return it with
    how many entries that took.

    Whom a provider names is the client, whoever it is: another of its customers can
    send requests from its addresses too, and would else choose an address at will.
    """
    client, passed = "", 0
    for entry in entries:
        seen = look(entry)
        if seen is None:
            return None
        client, further = seen
        passed += 1
        if trust is Trust.PROVIDER or further is Trust.STRANGER:
            break
        trust = further
    return client, passed


def judge_scheme(value: bytes) -> str | None:
    """Return the scheme that the proxy saw, or ``None`` if it cannot be understood.

    A list is what several proxies saw; they must agree, since a guess would turn
    ``Secure`` cookies and origins to one side or the other.
    """
    if value == b"https":
        return "https"
    schemes = {part.strip() for part in value.lower().split(b",")}
    if schemes == {b"https"}:
        return "https"
    return "http" if schemes == {b"http"} else None


def _scheme(scope: Scope) -> str:
    return "https" if scope.get("scheme", "http") in _SECURE_SCHEMES else "http"


def _tell_application(scope: Scope, client: str, scheme: str) -> None:
    scope["client"] = (client, 0)
    if scope["type"] == "websocket":
        scheme = "wss" if scheme == "https" else "ws"
    scope["scheme"] = scheme


def _drop_forwarding(exchange: Exchange, dropped: frozenset[bytes]) -> None:
    exchange.scope["headers"] = [
        line for line in exchange.scope["headers"] if line[0] not in dropped
    ]
    for name in dropped & exchange.headers.keys():
        del exchange.headers[name]
