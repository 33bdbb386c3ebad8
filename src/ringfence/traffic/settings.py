"""Settings of the street."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ringfence.errors import SettingsError
from ringfence.traffic.addresses import IPV6_PREFIX, UNIX, Network, parse_network
from ringfence.traffic.proxies import PROVIDERS, published
from ringfence.traffic.rate import parse_optional_rate

FORWARDING_HEADERS = frozenset(
    {
        "cf-connecting-ip",
        "cf-connecting-ipv6",
        "cf-pseudo-ipv4",
        "client-ip",
        "cloudfront-viewer-address",
        "do-connecting-ip",
        "fastly-client-ip",
        "fly-client-ip",
        "forwarded",
        "forwarded-for",
        "true-client-ip",
        "x-appengine-user-ip",
        "x-azure-clientip",
        "x-azure-socketip",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-envoy-external-address",
        "x-forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-proto",
        "x-forwarded-scheme",
        "x-forwarded-server",
        "x-forwarded-ssl",
        "x-host",
        "x-original-forwarded-for",
        "x-original-host",
        "x-original-url",
        "x-originating-ip",
        "x-real-ip",
        "x-remote-addr",
        "x-remote-ip",
        "x-rewrite-url",
        "x-vercel-forwarded-for",
    }
)
"""Headers in which proxies tell what they saw, and in which anybody can lie."""

CLIENT_HEADERS = frozenset(
    {
        "cf-connecting-ip",
        "fastly-client-ip",
        "fly-client-ip",
        "forwarded",
        "true-client-ip",
        "x-client-ip",
        "x-envoy-external-address",
        "x-forwarded-for",
        "x-real-ip",
    }
)
"""Forwarding headers that hold the client's address."""

CHAINS = frozenset({"forwarded", "x-forwarded-for"})
"""Those to which each proxy appends what it saw; the others hold one address."""

# What Cloudflare writes itself; all other headers it passes on as the visitor wrote
# them.
_WRITTEN_BY_CLOUDFLARE = frozenset({"cf-connecting-ip", "x-forwarded-for"})

_HERE = tuple(
    map(ipaddress.ip_network, ("127.0.0.0/8", "0.0.0.0/32", "::1/128", "::/128"))
)
_WIDEST_BLOCKED = {4: 8, 6: 16}  # bits of prefix

# The least and the most of each number, and what it counts.
_RANGES: Mapping[str, tuple[float, float, str]] = {
    "ipv6_prefix": (48, 64, "bits of an address that are one client"),
    "max_body": (0, 2**40, "bytes, 0 for no body at all"),
    "max_fields": (1, 100_000, "fields of a form"),
    "max_files": (0, 100_000, "files in a form"),
    "max_part_header": (256, 65_536, "bytes"),
    "max_file_name": (1, 4_096, "bytes"),
    "body_grace": (0.1, 3_600, "seconds"),
    "body_rate": (1, 1_000_000, "bytes a second"),
    "body_seconds": (1, 86_400, "seconds"),
    "max_message": (1, 2**30, "bytes or characters"),
    "max_open": (0, 100_000, "requests of one client, 0 for no bound"),
    "path_limit": (1, 65_536, "bytes"),
    "query_limit": (0, 65_536, "bytes"),
    "header_count_limit": (1, 1_000_000, "lines"),
    "header_bytes_limit": (1, 2**30, "bytes"),
}

_HOST = re.compile(
    r"\.?[a-z0-9_](?:[a-z0-9_-]*)(?:\.[a-z0-9_][a-z0-9_-]*)*(?::[0-9]{1,5})?"
    r"|\[[0-9a-f:.]+\](?::[0-9]{1,5})?"
)
_TOKEN = re.compile(r"[A-Z][A-Z0-9-]*")


@dataclass(frozen=True, slots=True)
class TrafficSettings:
    """What may reach the backend at all.

    Raises:
        SettingsError: a value that cannot be right; says which and the likely fix.
    """

    allowed_hosts: tuple[str, ...] = ()
    """Names under which the backend may be asked for, besides those of
    ``public_origins``: ``shop.example`` exactly, ``.shop.example`` with everything
    below it, with ``:8443`` that port only."""

    proxies: tuple[str, ...] = ()
    """Networks (CIDR), single addresses, or ``unix`` for a socket file, of the proxies
    that may say who the client is; ``cloudflare`` stands for the networks that it
    publishes. ``none`` states that there is no proxy."""

    cloudflare_networks: tuple[str, ...] = ()
    """What ``cloudflare`` stands for, where the networks that this version was shipped
    with are outdated: those of https://www.cloudflare.com/ips-v4 and ips-v6."""

    forwarding_header: str = "x-forwarded-for"
    """The one header in which those proxies name the client: ``x-forwarded-for`` or
    ``forwarded`` (RFC 7239), to which each proxy appends, or one that holds a single
    address, such as ``x-real-ip``. The proxy must write it itself: one that passes it
    on as it came lets every client choose its address."""

    scheme_header: str = "x-forwarded-proto"
    """The header in which those proxies name the scheme; with ``forwarded`` its
    ``proto`` is read instead."""

    public_scheme: Literal["", "https"] = ""
    """``https`` if every client comes by https, whatever a header says; unset takes it
    from the proxies, or else from the connection."""

    ipv6_prefix: int = IPV6_PREFIX
    """Bits of an IPv6 address that count as one client, 48 to 64. Some providers give
    each customer 2**16 networks of 64 bits, which 48 would hold together."""

    blocked: tuple[str, ...] = ()
    """Addresses and networks whose requests are refused for good; an IPv6 address
    stands for its network (``ipv6_prefix``). Those that are blocked for a while are
    added at run time (``guard.blocklist``)."""

    max_body: int = 1_048_576
    """Largest request body in bytes, 0 for none at all, to 2**40."""

    max_fields: int = 1_000
    """Most fields of a form, files included, 1 to 100000. More are answered with
    413."""

    max_files: int = 100
    """Most files in a form, 0 to 100000. More are answered with 413."""

    max_part_header: int = 4_096
    """Most bytes of header above one part of a form, 256 to 65536."""

    max_file_name: int = 255
    """Longest name of a file in a form, in bytes, 1 to 4096: what file systems take."""

    body_grace: float = 10.0
    """Seconds that a client may let us wait for its body before its rate counts, 0.1
    to 3600. Slower bodies are answered with 408."""

    body_rate: int = 500
    """Least bytes a second of a body once the grace is used up, 1 to 1000000. The
    slowest mobile networks manage some thousands."""

    body_seconds: float = 300.0
    """Most seconds that a client may let us wait for its body in all, 1 to 86400."""

    max_message: int = 1_048_576
    """Largest WebSocket message, in bytes or characters, 1 to 2**30."""

    path_limit: int = 2_048
    """Longest path in bytes, as sent, 1 to 65536. Longer ones are answered with 414."""

    query_limit: int = 8_192
    """Longest query string in bytes, 0 to 65536. Longer ones are answered with 414."""

    header_count_limit: int = 100
    """Most header lines, 1 to 1000000. More are answered with 431."""

    header_bytes_limit: int = 32_768
    """Most bytes in all names and values together, 1 to 2**30. More are answered
    with 431."""

    extra_methods: tuple[str, ...] = ()
    """Methods besides GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS."""

    max_open: int = 250
    """Most requests of one client address (IPv6: network) that are answered at once,
    WebSockets and streams among them, 1 to 100000; 0 for no bound. A quarter of the
    places of ``ringfence serve``, so that one client cannot take them all, and more
    than the people of a large office have open together."""

    limits_address: str = "3000/minute"
    """How often one client address (IPv6: network) may ask, whatever for; ``none`` for
    no limit. Wide enough for 200 people behind one address who make 15 requests a
    minute each, and for what they ask at once on a morning; one that sends a flood is
    held to 50 a second."""

    limits_ipv6_site: str = "30000/minute"
    """How often all networks of one IPv6 site (/48) may ask together. One customer can
    have 65,536 networks, and would have as many budgets."""

    limits_account: str = "1200/minute"
    """How often one account may ask, from wherever: 20 a second, which is more than a
    person with several windows needs."""

    limits_global: str = "none"
    """How often everybody may ask together. Unset, since only the operator knows what
    the machine bears, and a flood that uses it up shuts out everybody."""

    def __post_init__(self) -> None:
        for host in self.allowed_hosts:
            _check_host(host)
        _check_proxies(self.proxies)
        proxies = self.networks
        for network in self.blocked:
            _check_blocked(network, proxies, self.ipv6_prefix)
        _check_forwarding(self.forwarding_header, self.scheme_header)
        _check_cloudflare(
            self.proxies, self.cloudflare_networks, self.forwarding_header
        )
        if self.public_scheme not in {"", "https"}:
            raise SettingsError("traffic.public_scheme must be 'https' or unset")
        for field, (least, most, meaning) in _RANGES.items():
            value = getattr(self, field)
            if not least <= value <= most:
                bound = f"at least {least}" if value < least else f"at most {most}"
                raise SettingsError(
                    f"traffic.{field} must be {bound} ({meaning}), not {value}"
                )
        for method in self.extra_methods:
            _check_method(method)
        for field in ("address", "ipv6_site", "account", "global"):
            name = f"limits_{field}"
            parse_optional_rate(getattr(self, name), f"traffic.{name}")

    @property
    def networks(self) -> tuple[Network, ...]:
        """The proxies that are networks, parsed; the providers' among them."""
        return (*self.own_networks, *self.shared_networks)

    @property
    def own_networks(self) -> tuple[Network, ...]:
        """The networks of proxies that only we use."""
        words = PROVIDERS | {"none", UNIX}
        return tuple(
            ipaddress.ip_network(proxy) for proxy in self.proxies if proxy not in words
        )

    @property
    def shared_networks(self) -> tuple[Network, ...]:
        """The networks of a provider, whose other customers use them too."""
        if "cloudflare" not in self.proxies:
            return ()
        given = tuple(map(ipaddress.ip_network, self.cloudflare_networks))
        return given or published("cloudflare")


def _check_host(host: str) -> None:
    where = f"traffic.allowed_hosts: {host!r}"
    if host == "*" or "*" in host:
        raise SettingsError(
            f"{where} would accept every name (CVE-2026-48710 and cache poisoning "
            f"begin so); write the name, or '.shop.example' for all below it"
        )
    if "://" in host:
        raise SettingsError(f"{where} is an origin; leave out the scheme and slashes")
    if host != host.lower():
        raise SettingsError(f"{where} must be lower case: {host.lower()!r}")
    if not _HOST.fullmatch(host):
        raise SettingsError(
            f"{where} is no host name; write it as in 'shop.example', "
            f"'.shop.example' or 'shop.example:8443' (an international name in its "
            f"'xn--' form)"
        )


def _check_proxies(proxies: tuple[str, ...]) -> None:
    for proxy in proxies:
        _check_proxy(proxy)
    if "none" in proxies and len(proxies) > 1:
        raise SettingsError(
            "traffic.proxies names proxies and 'none' at once; leave out 'none'"
        )


def _check_proxy(proxy: str) -> None:
    if proxy in PROVIDERS or proxy in {"none", UNIX}:
        return
    if proxy == "*":
        raise SettingsError(
            "traffic.proxies: '*' would let every client choose its own address; name "
            "the networks of your proxies, as in '10.0.0.0/8'"
        )
    _check_network(proxy, "traffic.proxies")


def _check_network(text: str, where: str) -> None:
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise SettingsError(
            f"{where}: {text!r} is no address or network: {error}; write "
            f"'10.1.2.3', '10.0.0.0/8', '2001:db8::/32', 'cloudflare', 'unix' or "
            f"'none'"
        ) from error
    if network.prefixlen == 0:
        raise SettingsError(
            f"{where}: {text!r} is every address there is, so that every "
            f"client could choose its own; name the networks of your proxies"
        )


def _check_blocked(text: str, proxies: tuple[Network, ...], prefix: int) -> None:
    try:
        network = parse_network(text, prefix)
    except ValueError as error:
        raise SettingsError(
            f"traffic.blocked: {text!r} is no address or network: {error}"
        ) from error
    fault = why_not_blocked(network, proxies)
    if fault:
        raise SettingsError(f"traffic.blocked: {text!r} {fault}")


def why_not_blocked(network: Network, proxies: tuple[Network, ...]) -> str:
    """Return why nobody can mean to block a network, ``""`` if somebody can."""
    if network.prefixlen < _WIDEST_BLOCKED[network.version]:
        return "is a large part of the Internet; block a smaller network"
    if any(network.version == own.version and network.overlaps(own) for own in _HERE):
        return "holds this very machine"
    for proxy in proxies:
        if network.version == proxy.version and network.overlaps(proxy):
            return (
                f"holds the proxy {proxy}, through which others come; block the "
                "clients that it names"
            )
    return ""


def _check_forwarding(forwarding_header: str, scheme_header: str) -> None:
    for field, name in (
        ("forwarding_header", forwarding_header),
        ("scheme_header", scheme_header),
    ):
        if name != name.lower() or "_" in name:
            guess = name.lower().replace("_", "-")
            raise SettingsError(f"traffic.{field}: {name!r} must be written {guess!r}")
    if forwarding_header not in CLIENT_HEADERS:
        raise SettingsError(
            f"traffic.forwarding_header: {forwarding_header!r} is not one of "
            f"{', '.join(sorted(CLIENT_HEADERS))}"
        )
    if scheme_header not in {"x-forwarded-proto", "x-forwarded-scheme"}:
        raise SettingsError(
            f"traffic.scheme_header: {scheme_header!r} is neither 'x-forwarded-proto' "
            f"nor 'x-forwarded-scheme'"
        )


def _check_cloudflare(
    proxies: tuple[str, ...], networks: tuple[str, ...], forwarding_header: str
) -> None:
    for network in networks:
        _check_network(network, "traffic.cloudflare_networks")
    if "cloudflare" not in proxies:
        if networks:
            raise SettingsError(
                "traffic.cloudflare_networks is set, but traffic.proxies does not name "
                "'cloudflare'"
            )
        return
    if forwarding_header not in _WRITTEN_BY_CLOUDFLARE:
        raise SettingsError(
            f"traffic.forwarding_header: Cloudflare passes {forwarding_header!r} on as "
            f"the visitor wrote it; write 'x-forwarded-for', or 'cf-connecting-ip'"
        )
    if forwarding_header == "cf-connecting-ip" and len(proxies) > 1:
        raise SettingsError(
            "traffic.forwarding_header: 'cf-connecting-ip' does not say who brought it "
            "to your own proxies, which may be a visitor that came around Cloudflare; "
            "write 'x-forwarded-for', in which each proxy stands"
        )


def _check_method(method: str) -> None:
    if method in {"TRACE", "CONNECT"}:
        raise SettingsError(
            f"traffic.extra_methods: {method} is never served (cross-site tracing, "
            f"tunnels)"
        )
    if not _TOKEN.fullmatch(method):
        raise SettingsError(
            f"traffic.extra_methods: {method!r} must be in capitals, as in 'PROPFIND'"
        )
