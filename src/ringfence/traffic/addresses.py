"""Addresses in one spelling, and the networks that count as one client."""

from __future__ import annotations

import ipaddress
import re

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

UNIX = "unix"
"""The client of a connection over a socket file, which has no address."""

LONGEST_ADDRESS = 64  # characters of an address with port
IPV6_PREFIX = 64  # bits; what one subscriber gets at the least (RFC 6177, RFC 7934)

_SPELLING = re.compile(
    r"\[(?P<six>[0-9a-fA-F:.]+)\](?::[0-9]{1,5})?"
    r"|(?P<four>[0-9.]+):[0-9]{1,5}"
    r"|(?P<bare>[0-9a-fA-F:.]+)"
)
# A translator's IPv6 side (RFC 6052): all of IPv4 in what would count as one network.
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")
_IPV4_BITS = 0xFFFF_FFFF


def parse_address(text: str) -> Address | None:
    """Return an address, or ``None`` for a text that is none.

    A port is cut off, an IPv4 address in IPv6 clothes is undressed, so that no
    spelling is a second identity (CVE-2026-45364).
    """
    match = _SPELLING.fullmatch(text[: LONGEST_ADDRESS + 1])
    if match is None or len(text) > LONGEST_ADDRESS:
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


def network_of(client: str, ipv6_prefix: int = IPV6_PREFIX) -> str:
    """Return the network that counts as one client: an IPv4 address as it is, an IPv6
    address grouped, since whoever has one has 2**64 of them (CVE-2026-45364).

    IPv4 behind a translator (``64:ff9b::/96``) counts as IPv4; what is no address
    (``unix``) stays as it is.

    Args:
        client: as ``exchange.client`` has it.
        ipv6_prefix: bits that make one client, 48 to 64.

    Source: RFC 6052, 2.1; RFC 6177.
    """
    if ":" not in client:
        return client
    address = parse_address(client)
    if not isinstance(address, ipaddress.IPv6Address):
        return client if address is None else str(address)
    if address in _TRANSLATED:
        return str(ipaddress.IPv4Address(int(address) & _IPV4_BITS))
    return str(ipaddress.IPv6Network((address, ipv6_prefix), strict=False))


def parse_network(text: str, ipv6_prefix: int = IPV6_PREFIX) -> Network:
    """Return the network that a text stands for; an IPv6 address, like everywhere,
    for all that its subscriber has (write ``/128`` for that one alone).

    Raises:
        ValueError: it is no network, or has bits set behind its prefix.
    """
    if "/" not in text and ":" in text:
        ipaddress.ip_address(text)
        text = network_of(text, ipv6_prefix)
    network = ipaddress.ip_network(text)
    if isinstance(network, ipaddress.IPv6Network):
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            bits = max(0, network.prefixlen - (128 - 32))
            return ipaddress.ip_network((mapped, bits))
    return network


def is_loopback(text: str) -> bool:
    """Tell whether an address, as found by ``client_ip``, is this machine."""
    if text == UNIX:
        return True
    address = parse_address(text)
    return address is not None and address.is_loopback
