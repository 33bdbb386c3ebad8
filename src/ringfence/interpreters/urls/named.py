"""Which hosts a request names: where it could lead a program that follows it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import unquote

from ringfence.interpreters.addresses import Address, readings, strict
from ringfence.interpreters.untrusted import Input

_LOOPBACK = (IPv4Address("127.0.0.1"), IPv6Address("::1"))
_DEFAULT_PORTS = {
    "dict": 2628,
    "ftp": 21,
    "ftps": 990,
    "http": 80,
    "https": 443,
    "ldap": 389,
    "ldaps": 636,
    "mongodb": 27017,
    "mysql": 3306,
    "postgres": 5432,
    "postgresql": 5432,
    "redis": 6379,
    "smtp": 25,
    "ws": 80,
    "wss": 443,
}
_WEB_PORTS = (80, 443)
_LEAST_DIGITS = 8  # of an address as one number; 10.0.0.0 has nine, and a page two
_MOST_PORT = 0xFFFF
# Said by proxies and by the connection itself; traffic/ has judged them, and a handler
# follows none of them.
_NOT_FOLLOWED = frozenset(
    {
        *("host", "forwarded", "via", "x-forwarded-for", "x-forwarded-host"),
        *("x-forwarded-server", "x-real-ip", "x-client-ip", "true-client-ip"),
        *("cf-connecting-ip", "fastly-client-ip", "x-cluster-client-ip"),
    }
)
# What parsers drop before they look (WHATWG URL, section 4.4).
_DROPPED = str.maketrans("", "", "\t\r\n")
_DOTS = str.maketrans("。", ".")  # what remains of full-width dots after NFKC
_URL = re.compile(
    # Begins where a run of slashes does: else a body of slashes would take for ever.
    r"(?:(?<![a-z0-9+.-])([a-z][a-z0-9+.-]*+):|(?<![/\\]))[/\\]{2,}+"
    r"([^/?#\s\"'<>]+)"
    r"|(?<![a-z0-9+.-])(https?|wss?|ftp):[/\\]?(?![/\\])([^/?#\s\"'<>]+)",
    re.IGNORECASE,
)
# What any of the following has: most values are passed over at once.
_CANDIDATE = re.compile(
    r"[.:\\]|[^\x00-\x7f]|//|^\s*0x|^\s*\d{8,}|^\s*localhost", re.IGNORECASE
)
_BARE = re.compile(r"([^\s/?#\\]{1,320})(?=$|[/?#\\])")
_MAIL = re.compile(r"[^@:/\s]+@[^@:/\s\[\]]+")
_NAME = re.compile(r"(?:[^\W_](?:[\w-]*[^\W_])?\.)+[^\W\d_][\w-]*\.?|localhost\.?")
_HOST_AND_PORT = re.compile(r"(\[[^\]]*\]|[^:]*)(?::(\d*))?")


@dataclass(frozen=True, slots=True)
class Named:
    """A host that an input names.

    Args:
        host: folded; brackets and the last dot are off. With a dot in front it is the
            end of one.
        ports: that it can be about; empty for any.
        addresses: that the host is, whoever reads it; empty for a name.
        given: the input.
        exactly: it says host and port, as a URL does.
    """

    host: str
    ports: tuple[int, ...]
    addresses: tuple[Address, ...]
    given: Input
    exactly: bool

    def is_host(self, folded: str) -> bool:
        """Return whether it names a host, or the end of it."""
        return folded == self.host or (
            self.host.startswith(".") and folded.endswith(self.host)
        )

    def is_about(self, port: int | None) -> bool:
        """Return whether it can be about a port, where one is known."""
        return port is None or not self.ports or port in self.ports


def hosts_of(inputs: Iterable[Input]) -> tuple[Named, ...]:
    r"""Return every host that inputs name: in URLs, also within a text, or alone.

    Where parsers differ (``http://a@b\@c/``), each part that one of them takes for the
    host counts. What follows an ``@`` in a mail address is a host only to the web: a
    mail address leads nobody to a database.

    Not covered: names of one label that stand alone (``redis``), since these are words;
    hosts that are put together from several inputs.
    """
    found: dict[tuple[str, tuple[int, ...]], Named] = {}
    for given in inputs:
        if given.place == "header" and given.name in _NOT_FOLLOWED:
            continue
        for named in _hosts(given):
            known = found.get((named.host, named.ports))
            if known is None or (given.name and not known.given.name):
                found[named.host, named.ports] = named
    return tuple(found.values())


def fold_host(host: str) -> str:
    """Return a host as it is compared: without regard to case, compatibility forms,
    Punycode, brackets, zone and last dot."""
    folded = unicodedata.normalize("NFKC", host).casefold().translate(_DOTS)
    folded = folded.strip("[]").partition("%")[0].rstrip(".")
    if "xn--" not in folded:
        return folded
    return ".".join(map(_label, folded.split(".")))


def _label(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        return label[4:].encode("ascii").decode("punycode").casefold()
    except UnicodeError:
        return label


def _hosts(given: Input) -> Iterator[Named]:
    if _CANDIDATE.search(given.text) is None:
        return
    text = given.text.translate(_DROPPED)
    if "//" in text or ":" in text or "\\" in text:
        for match in _URL.finditer(text):
            scheme = (match[1] or match[3] or "").lower()
            yield from _in_authority(match[2] or match[4], scheme, given)
    bare = _BARE.match(text.strip())
    if bare is not None:
        yield from _alone(bare[1], given)


def _in_authority(authority: str, scheme: str, given: Input) -> Iterator[Named]:
    usual = _DEFAULT_PORTS.get(scheme)
    halves = unquote(authority).split("\\")
    for part in {piece for half in halves for piece in half.split("@")}:
        match = _HOST_AND_PORT.match(part)
        if match is None or not match[1]:
            continue
        port = _port(match[2]) or usual
        ports = () if port is None else (port,)
        yield _named(match[1], ports, given, exactly=port is not None)


def _alone(text: str, given: Input) -> Iterator[Named]:
    """Read a value that is a host, maybe with a port, and nothing else."""
    whole = strict(text)
    if whole is not None:
        yield _named(text, (), given)
        return
    is_mail = _MAIL.fullmatch(text) is not None
    match = _HOST_AND_PORT.fullmatch(text.rpartition("@")[2])
    if match is None or not _is_host(match[1]):
        return
    port = _port(match[2])
    ports = _WEB_PORTS if is_mail else () if port is None else (port,)
    yield _named(match[1], ports, given, exactly=port is not None)


def _is_host(text: str) -> bool:
    if text.isdigit():
        return len(text) >= _LEAST_DIGITS
    folded = fold_host(text)
    if _NAME.fullmatch(folded.removeprefix(".")) is not None:
        return True
    # Prices and versions are short spellings of addresses, too: 10.5, 1.2.3.
    return bool(readings(text)) and (
        ":" in text or "x" in folded or folded.count(".") == 3  # noqa: PLR2004 - dots
    )


def _port(text: str | None) -> int | None:
    if not text or not text.isascii() or len(text) > 5:  # noqa: PLR2004 - 65535
        return None
    port = int(text)
    return port if 0 < port <= _MOST_PORT else None


def _named(
    host: str, ports: tuple[int, ...], given: Input, *, exactly: bool = False
) -> Named:
    folded = fold_host(host)
    is_here = folded == "localhost" or folded.endswith(".localhost")
    addresses = _LOOPBACK if is_here else readings(host)
    return Named(folded, ports, addresses, given, exactly)
