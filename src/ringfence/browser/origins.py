"""How browsers write an origin, and what was meant where it is written otherwise."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
_PATTERN = re.compile(r"[*^$\\|()]|\A\.|//\.")
_SOCKETS = {"ws": "http", "wss": "https"}
_OPAQUE = ("about:", "blob:", "data:", "file:", "javascript:")
_ONLY = "an origin is scheme, host and port only, in lower case, no default port"


def fault_of(origin: str) -> str:
    """Return what is wrong with a configured origin, and the likely fix; ``""`` if
    browsers write it just so.

    Origins are compared as they are, byte by byte: whatever a comparison would have to
    forgive (case, a prefix, a suffix, a pattern), somebody could register.

    Args:
        origin: as in ``https://app.example`` or ``http://localhost:3000``.

    Source: RFC 6454, 6.2; WHATWG HTML, serialization of an origin; WHATWG URL, host
    parsing; CWE-346, CWE-942.
    """
    if origin == "null":
        return (
            "'null' is what sandboxed frames and local files send, anybody's among "
            "them; write the origin of the page"
        )
    if origin.lower().startswith(_OPAQUE):
        return f"{origin!r} has no origin that could be told from others; serve it"
    if _PATTERN.search(origin):
        return (
            f"{origin!r} is a pattern, which trusts names that others can get; write "
            "each origin in full"
        )
    guess = canonical(origin)
    if not guess:
        return f"{origin!r} is no origin; write one such as https://app.example"
    return "" if guess == origin else f"{origin!r}: {_ONLY}; write {guess!r}"


def canonical(origin: str) -> str:
    """Return an origin as browsers would write it, ``""`` where that cannot be told."""
    text = origin.strip().lower()
    if not _SCHEME.match(text):
        text = text.lstrip("/")
        text = f"{'http' if _is_loopback(text) else 'https'}://{text}"
    try:
        parts = urlsplit(text)
        port = parts.port
        host = _canonical_host(parts.hostname or "")
    except ValueError:
        return ""
    if not host:
        return ""
    scheme = _SOCKETS.get(parts.scheme, parts.scheme)
    shown = "" if port in {None, _DEFAULT_PORTS.get(scheme)} else f":{port}"
    return f"{scheme}://{host}{shown}"


def _canonical_host(host: str) -> str:
    if ":" in host:
        if "%" in host:  # a zone is this machine's business only
            return ""
        return f"[{ipaddress.IPv6Address(host)}]"
    host = host.removesuffix(".")
    if not host.isascii():
        host = host.encode("idna").decode("ascii")
    if _NUMBER.fullmatch(host):  # browsers read it as an address
        return str(ipaddress.IPv4Address(host))
    return host if _NAME.fullmatch(host) else ""


def _is_loopback(text: str) -> bool:
    return text.startswith(("localhost", "127.", "[::1]"))
