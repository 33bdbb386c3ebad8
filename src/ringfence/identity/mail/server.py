"""Which server takes the letters, and how it is reached."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote, urlsplit

from ringfence.errors import SettingsError

Way = Literal["tls", "starttls", "plain"]

_SCHEMES: dict[str, tuple[Way, int]] = {
    "smtps": ("tls", 465),  # RFC 8314, section 3.3
    "smtp": ("starttls", 587),  # RFC 6409
    "smtp+starttls": ("starttls", 587),
    "smtp+plain": ("plain", 25),
}


@dataclass(frozen=True, slots=True)
class MailServer:
    """A server that takes letters.

    Args:
        host: its name or address.
        port: of TCP.
        way: TLS from the first byte, after ``STARTTLS``, or none.
        user: to sign in with, empty for none.
        password: likewise.
    """

    host: str
    port: int
    way: Way
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def is_near(self) -> bool:
        """Whether it is on this machine."""
        return is_loopback(self.host)


def parse_server(url: str) -> MailServer:
    """Return the server that a URL names.

    ``smtp://`` means STARTTLS, which must succeed: a server that does not offer it gets
    nothing, or whoever sits on the way would only have to cut the offer out
    (STRIPTLS, CWE-757). On this machine, where nobody sits on the way, it means clear
    text; ``smtp+starttls://`` asks for TLS there, too. ``smtp+plain://`` is clear text
    to another machine, which production refuses.

    Args:
        url: ``smtps://user:password@host:465``, say; what is special in a password is
            percent-encoded.

    Raises:
        SettingsError: it names none. The message never has the password.

    Source: RFC 8314; RFC 3207, section 6; ASVS 5.0 V12.3.1.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise SettingsError(_WRONG) from None
    known = _SCHEMES.get(parts.scheme)
    host = parts.hostname
    rest = parts.path.strip("/") or parts.query or parts.fragment
    if known is None or not host or rest or not url.isprintable():
        raise SettingsError(_WRONG)
    way, usual = known
    if parts.scheme == "smtp" and is_loopback(host):
        way, usual = "plain", 25
    return MailServer(
        host,
        port or usual,
        way,
        unquote(parts.username or ""),
        unquote(parts.password or ""),
    )


_WRONG = (
    "mail.server is no URL that ringfence knows; write smtp://user:password@host:587 "
    "or smtps://user:password@host:465, with percent-encoding for what is special in "
    "the password"
)


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
