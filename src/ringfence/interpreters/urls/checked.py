"""A URL that can be read in one way only, and leads to the public internet."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import NoReturn

from ringfence.denial import Denial
from ringfence.errors import InjectionRefusedError
from ringfence.interpreters.addresses import (
    Address,
    not_public,
    readings,
    strict,
)
from ringfence.interpreters.destinations import declared
from ringfence.interpreters.objection import object_to
from ringfence.interpreters.sink import Sink, here

SINK = Sink("url", "ringfence.urls")
SCHEMES = ("https", "http")

_PORTS = {"https": 443, "http": 80, "wss": 443, "ws": 80, "ftp": 21}
_LONGEST = 8_192  # characters, as RFC 9110 section 4.1 asks of recipients
_LONGEST_HOST = 253
_MOST_PORT = 0xFFFF
_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)"
    r"(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?(?:#.*)?",
)
_AUTHORITY = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]@:]+)(?::(?P<port>\d{0,5}))?", re.ASCII
)
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_TOP_LABEL = re.compile(r"[a-z][a-z0-9-]*", re.ASCII)
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2028\u2029\ud800-\udfff]")
_HERE = ("localhost", "local", "internal", "intranet", "lan", "home", "corp")
"""Last labels that no public name has (RFC 6761, RFC 6762, RFC 8375; ICANN)."""


@dataclass(frozen=True, slots=True)
class CheckedUrl:
    """A URL that was checked, put together from its parts again, so that whoever
    follows it reads what was judged.

    Args:
        scheme: lower case.
        host: lower case, in ASCII; an IPv6 address without brackets.
        port: also where the URL says none.
        target: path and query, as they were; at least ``/``.
    """

    scheme: str
    host: str
    port: int
    target: str = "/"

    @property
    def address(self) -> Address | None:
        """The address that the host is; ``None`` for a name."""
        return strict(self.host)

    @property
    def origin(self) -> str:
        """Scheme, host and port, the last where it is unusual."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS.get(self.scheme) else f":{self.port}"
        return f"{self.scheme}://{host}{port}"

    def __str__(self) -> str:
        return self.origin + self.target


def check(
    url: str,
    *,
    schemes: Sequence[str] = SCHEMES,
    hosts: Sequence[str] | None = None,
    private: Sequence[str] = (),
) -> CheckedUrl:
    """Check a URL that comes from outside before anything follows it.

    Args:
        url: absolute, at most 8192 characters.
        schemes: that are taken.
        hosts: the only ones that are taken, ``api.example.com``; with a dot in front,
            ``.example.com``, also all below. ``None`` takes every public host.
        private: destinations besides the public internet, as in
            ``interpreters.egress_private``.

    Returns:
        The parts. What a name stands for is judged when it is dialled: ``transport``
        does that.

    Raises:
        InjectionRefusedError: it leads elsewhere, can be read in two ways, or is no
            URL. The guard answers with 400.

    Source: ASVS 5.0 V1.3.6, V15.3.2; CWE-918; WHATWG URL; RFC 3986.

    Not covered: what a name stands for.
    """
    checked = read_url(url)
    whom = here()
    if whom is not None:
        whom.reached(SINK, "escaped", url)
    if checked.scheme not in schemes:
        unusable(f"it begins with {checked.scheme[:20]!r}")
    allowed = declared(tuple(private))
    address = checked.address
    if hosts is not None and not is_among(checked.host, hosts):
        object_to(SINK, "its host is not among those that are allowed")
    if address is None:
        if not allowed.name(checked.host, checked.port):
            _refuse_local_name(checked.host)
        return checked
    what = not_public(address)
    if what and not allowed.hold(address, checked.port):
        object_to(SINK, f"it leads to an address that is {what}")
    return checked


def read_url(url: str) -> CheckedUrl:
    """Read a URL that every program reads alike.

    Raises:
        InjectionRefusedError: it is none.
    """
    match = _URL.fullmatch(url) if len(url) <= _LONGEST else None
    if match is None or _FORBIDDEN.search(url):
        unusable("it is no absolute URL that everybody reads alike")
    if "@" in match["authority"]:
        object_to(SINK, "it holds a user name, or a host that looks like one")
    authority = _AUTHORITY.fullmatch(match["authority"])
    scheme = match["scheme"].lower()
    port = int(authority["port"] or _PORTS.get(scheme, 0)) if authority else 0
    if authority is None or not 0 < port <= _MOST_PORT:
        unusable("it names no host and port")
    target = match["path"] or "/"
    if match["query"] is not None:
        target += f"?{match['query']}"
    return CheckedUrl(scheme, _host(authority["host"]), port, target)


def is_among(host: str, hosts: Sequence[str]) -> bool:
    """Return whether a host is one of a list, or below one that begins with a dot."""
    return any(
        host == one.lower().removeprefix(".")
        or (one.startswith(".") and host.endswith(one.lower()))
        for one in hosts
    )


def _host(text: str) -> str:
    """Return a host as everybody writes it.

    Stops addresses in spellings that one program takes for a name and another for
    127.0.0.1, and letters that become dots or slashes on the way (CVE-2019-9636).
    """
    if text.startswith("["):
        address = strict(text[1:-1])
        if address is None:
            unusable("what stands in the brackets is no address")
        return str(address)
    usual = strict(text)
    if usual is not None and not isinstance(usual, IPv6Address):
        return str(usual)
    if readings(text):
        object_to(SINK, "it spells an address in an unusual way")
    host = text.lower().removesuffix(".")
    if not host.isascii():
        host = _to_ascii(host)
    labels = host.split(".")
    if len(host) > _LONGEST_HOST or not all(map(_LABEL.fullmatch, labels)):
        unusable("its host is no name")
    if _TOP_LABEL.fullmatch(labels[-1]) is None:
        unusable("its host ends as no name does")
    return host


def _to_ascii(host: str) -> str:
    if any(mark in unicodedata.normalize("NFKC", host) for mark in "/?#@:\\[]% "):
        object_to(SINK, "letters of its host turn into something else")
    try:
        return host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        unusable("its host is no name")


def _refuse_local_name(host: str) -> None:
    if "." not in host or host.rpartition(".")[2] in _HERE:
        object_to(SINK, "its host is a name of the own network")


def unusable(why: str) -> NoReturn:
    """Refuse a URL that is none: a slip of the pen more often than an attack.

    Raises:
        InjectionRefusedError: always.
    """
    denial = Denial(
        400,
        f"interpreters.{SINK.interpreter}",
        "The address that was sent cannot be used.",
        private=f"{SINK.driver}: {why}",
    )
    whom = here()
    exchange = None if whom is None else whom.exchange
    if exchange is not None and exchange.denial is None:
        exchange.denial = denial
    raise InjectionRefusedError(denial)
