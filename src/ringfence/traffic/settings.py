"""Settings of the street."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from ringfence.errors import SettingsError

FORWARDING_HEADERS = frozenset(
    {
        "cf-connecting-ip",
        "fastly-client-ip",
        "fly-client-ip",
        "forwarded",
        "true-client-ip",
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
        "x-original-forwarded-for",
        "x-original-host",
        "x-original-url",
        "x-real-ip",
        "x-rewrite-url",
    }
)
"""Headers in which proxies tell what they saw, and in which anybody can lie."""

CLIENT_HEADERS = frozenset(
    {
        "cf-connecting-ip",
        "fastly-client-ip",
        "fly-client-ip",
        "true-client-ip",
        "x-client-ip",
        "x-envoy-external-address",
        "x-forwarded-for",
        "x-real-ip",
    }
)
"""Forwarding headers that hold the client's address."""

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
    that may say who the client is. ``none`` states that there is no proxy."""

    forwarding_header: str = "x-forwarded-for"
    """The one header in which those proxies name the client."""

    scheme_header: str = "x-forwarded-proto"
    """The header in which those proxies name the scheme."""

    max_body: int = 1_048_576
    """Largest request body in bytes, 0 for none at all."""

    path_limit: int = 2_048
    """Longest path in bytes, as sent. Longer ones are answered with 414."""

    query_limit: int = 8_192
    """Longest query string in bytes. Longer ones are answered with 414."""

    header_count_limit: int = 100
    """Most header lines. More are answered with 431."""

    header_bytes_limit: int = 32_768
    """Most bytes in all names and values together. More are answered with 431."""

    extra_methods: tuple[str, ...] = ()
    """Methods besides GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS."""

    def __post_init__(self) -> None:
        for host in self.allowed_hosts:
            _check_host(host)
        for proxy in self.proxies:
            _check_proxy(proxy)
        if "none" in self.proxies and len(self.proxies) > 1:
            raise SettingsError(
                "traffic.proxies names proxies and 'none' at once; leave out 'none'"
            )
        _check_forwarding(self.forwarding_header, self.scheme_header)
        for field in (
            "path_limit",
            "query_limit",
            "header_count_limit",
            "header_bytes_limit",
        ):
            if getattr(self, field) < 1:
                raise SettingsError(f"traffic.{field} must be at least 1")
        if self.max_body < 0:
            raise SettingsError(
                "traffic.max_body must be 0 (no bodies) or more, in bytes"
            )
        for method in self.extra_methods:
            _check_method(method)

    @property
    def networks(
        self,
    ) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """The proxies that are networks, parsed."""
        return tuple(
            ipaddress.ip_network(proxy)
            for proxy in self.proxies
            if proxy not in {"none", "unix"}
        )


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


def _check_proxy(proxy: str) -> None:
    if proxy in {"none", "unix"}:
        return
    if proxy == "*":
        raise SettingsError(
            "traffic.proxies: '*' would let every client choose its own address; name "
            "the networks of your proxies, as in '10.0.0.0/8'"
        )
    try:
        network = ipaddress.ip_network(proxy)
    except ValueError as error:
        raise SettingsError(
            f"traffic.proxies: {proxy!r} is no address or network: {error}; write "
            f"'10.1.2.3', '10.0.0.0/8', '2001:db8::/32', 'unix' or 'none'"
        ) from error
    if network.prefixlen == 0:
        raise SettingsError(
            f"traffic.proxies: {proxy!r} is every address there is, so that every "
            f"client could choose its own; name the networks of your proxies"
        )


def _check_forwarding(forwarding_header: str, scheme_header: str) -> None:
    for field, name in (
        ("forwarding_header", forwarding_header),
        ("scheme_header", scheme_header),
    ):
        if name != name.lower() or "_" in name:
            guess = name.lower().replace("_", "-")
            raise SettingsError(f"traffic.{field}: {name!r} must be written {guess!r}")
    if forwarding_header == "forwarded":
        raise SettingsError(
            "traffic.forwarding_header: 'forwarded' (RFC 7239) is not read yet; let "
            "the proxy send 'x-forwarded-for'"
        )
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
