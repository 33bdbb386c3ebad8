"""What an address is, however it is spelled, and whether it is of the internet."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from urllib.parse import unquote

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_LONGEST = 255  # characters of a host
_PARTS = 4
_IPV4_BITS = 32
_LOW = (1 << _IPV4_BITS) - 1
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+", re.ASCII)

# IANA's registries of special addresses, RFC 6890; the words are for the ledger.
_IPV4: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(network), what)
    for network, what in (
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by carriers"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "a cloud's metadata"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "for documentation"),
        ("192.88.99.0/24", "reserved"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "for benchmarks"),
        ("198.51.100.0/24", "for documentation"),
        ("203.0.113.0/24", "for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)
_IPV6: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(network), what)
    for network, what in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("2001::/23", "reserved"),  # Teredo among it
        ("2001:db8::/32", "for documentation"),
        ("3fff::/20", "for documentation"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "private"),
        ("ff00::/8", "multicast"),
    )
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")  # all that has been given out, RFC 4291

# Prefixes in which an IPv4 address stands, and how far from the right it ends.
_EMBEDDING: tuple[tuple[IPv6Network, int, str], ...] = (
    (IPv6Network("::ffff:0:0/96"), 0, "IPv4-mapped"),
    (IPv6Network("::ffff:0:0:0/96"), 0, "translated"),  # RFC 2765
    (IPv6Network("64:ff9b::/96"), 0, "NAT64"),  # RFC 6052
    (IPv6Network("2002::/16"), 80, "6to4"),  # RFC 3056
    (IPv6Network("::/96"), 0, "IPv4-compatible"),
)
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)  # RFC 5214, section 6.1
_NOT_EMBEDDED = (IPv6Address("::"), IPv6Address("::1"))

METADATA: tuple[Network, ...] = tuple(
    ip_network(network)
    for network in (
        "169.254.0.0/16",  # AWS, Google, Azure, Oracle, DigitalOcean, ...; ECS tasks
        "168.63.129.16/32",  # Azure's wire server
        "100.100.100.200/32",  # Alibaba
        "192.0.0.192/32",  # Oracle
        "fd00:ec2::/32",  # AWS
        "fd20:ce::254/128",  # Google
    )
)
"""Where clouds tell a machine its credentials."""


def plain(address: Address) -> Address:
    """Return the IPv4 address that a mapped IPv6 address stands for; others as they
    are, without a zone."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.scope_id is not None:
            return IPv6Address(int(address))
    return address


def not_public(address: Address) -> str:
    """Say what keeps an address from being one of the public internet.

    Looks into addresses that stand for others (IPv4-mapped, 6to4, NAT64, ISATAP): a
    gateway on the way would unwrap them (CVE-2026-43929).

    Returns:
        A few words; empty for a public address.

    Source: RFC 6890, RFC 4291; CWE-918.
    """
    address = plain(address)
    if isinstance(address, IPv4Address):
        return next((what for network, what in _IPV4 if address in network), "")
    what = next((what for network, what in _IPV6 if address in network), "")
    if what:
        return what
    for inner, how in _embedded(address):
        what = not_public(inner)
        if what:
            return f"{what}, as {how}"
        if how in {"NAT64", "IPv4-mapped"}:
            return ""
    return "" if address in _GLOBAL_UNICAST else "reserved"


def is_metadata(address: Address) -> bool:
    """Return whether a cloud may tell credentials there, in any wrapping."""
    address = plain(address)
    if any(address in network for network in METADATA):
        return True
    return isinstance(address, IPv6Address) and any(
        is_metadata(inner) for inner, _ in _embedded(address)
    )


def _embedded(address: IPv6Address) -> Iterator[tuple[IPv4Address, str]]:
    if address in _NOT_EMBEDDED:
        return
    bits = int(address)
    for network, shift, how in _EMBEDDING:
        if address in network:
            yield IPv4Address(bits >> shift & _LOW), how
    if bits >> _IPV4_BITS & _LOW in _ISATAP:
        yield IPv4Address(bits & _LOW), "ISATAP"


def strict(text: str) -> Address | None:
    """Return the address that a text is in its usual form; else ``None``."""
    try:
        return plain(ip_address(text.partition("%")[0]))
    except ValueError:
        return None


def readings(text: str) -> tuple[Address, ...]:
    """Return every address that some program takes a host for.

    Decimal, octal and hexadecimal numbers, fewer than four parts, brackets, zones,
    trailing dots, full-width digits and percent-encoding: what ``inet_aton`` takes, and
    browsers. Where two programs read it otherwise (``010.0.0.1``), both count.

    Returns:
        Each once; nothing for a name.

    Source: WHATWG URL, section 3.5; RFC 6943, section 3.1.1; CVE-2021-29921.
    """
    if not text or len(text) > _LONGEST:
        return ()
    host = unicodedata.normalize("NFKC", unquote(text)).strip().translate(_DOTS)
    host = host.removeprefix("[").partition("]")[0].rstrip(".")
    usual = strict(host)
    found = [] if usual is None else [usual]
    if not found and ":" not in host:
        for octal in (True, False):
            loose = _loose(host, octal=octal)
            if loose is not None and loose not in found:
                found.append(loose)
    return tuple(found)


_DOTS = str.maketrans("。．｡", "...")  # noqa: RUF001 - what IDNA takes for dots


def _loose(host: str, *, octal: bool) -> IPv4Address | None:
    """Read as ``inet_aton`` does: the last part fills what the others leave."""
    parts = host.split(".")
    if len(parts) > _PARTS or not all(map(_NUMBER.fullmatch, parts)):
        return None
    *first, last = (_number(part, octal=octal) for part in parts)
    room = 8 * (_PARTS - len(first))
    if None in (*first, last) or last is None or last >= 1 << room:
        return None
    total = last
    for place, value in enumerate(first):
        if value is None or value > 0xFF:  # noqa: PLR2004 - one byte
            return None
        total |= value << 8 * (_PARTS - 1 - place)
    return IPv4Address(total)


def _number(part: str, *, octal: bool) -> int | None:
    if part[:2] in {"0x", "0X"}:
        return int(part[2:] or "0", 16)
    if octal and part[0] == "0" and len(part) > 1:
        return None if set(part) - set("01234567") else int(part, 8)
    return int(part)
