"""Who passkeys are made for: a domain, and the origins that may ask for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from ringfence.errors import SettingsError
from ringfence.exchange import Exchange

_LOCAL = "localhost"


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """What browsers and this service agree on for one ceremony.

    Args:
        id: the domain that passkeys belong to. A browser offers them to its pages and
            to no others: that is what stops phishing (CWE-1021, CWE-346).
        origins: of the pages that may take part.
        name: what the browser calls the site.
    """

    id: str
    origins: tuple[str, ...]
    name: str


class RelyingParties:
    """Decide where passkeys work.

    The domain is configured, or what all public origins have in common; it is never
    taken from a request, except in development, where only loopback is answered.

    Args:
        public_origins: origins of this service, as in ``https://shop.example``.
        name: what browsers call the site.
        domain: that passkeys belong to; empty: found out.
        development: plain http on this machine.

    Raises:
        SettingsError: no public origin is at or below ``domain``.

    Source: WebAuthn Level 3, sections 4 (RP ID), 13.4.9; WHATWG HTML, "is a registrable
        domain suffix of or is equal to".

    Not covered: origins of unrelated domains (related origin requests); passkeys work
    at those of the one domain.
    """

    def __init__(
        self,
        public_origins: Sequence[str],
        *,
        name: str,
        domain: str = "",
        development: bool = False,
    ) -> None:
        self._name = name
        self._development = development
        origins = {origin.rstrip("/").lower() for origin in public_origins}
        hosts = {origin: _host(origin) for origin in origins}
        self.domain = domain.lower() or _shared(
            [host for host in hosts.values() if _is_name(host)]
        )
        covered = sorted(o for o, host in hosts.items() if _below(host, self.domain))
        self._party = RelyingParty(self.domain, tuple(covered), name)
        if domain and not covered and not development:
            message = (
                f"identity.passkey_domain is {domain!r}, and none of public_origins is "
                "there; browsers would offer no passkey to any page"
            )
            raise SettingsError(message)

    def at(self, exchange: Exchange) -> RelyingParty | None:
        """Return who the relying party is for a request, ``None`` where passkeys do not
        work.

        An address of numbers is no domain: browsers refuse passkeys on ``127.0.0.1``
        and take them on ``localhost``.
        """
        if self._development:
            return self._at_home(exchange)
        host = _without_port(exchange.host)
        covers = self._party.origins and _below(host, self.domain)
        return self._party if covers else None

    def elsewhere(self, exchange: Exchange) -> str:
        """Return the origin at which passkeys would work, where they do not here."""
        if not self._development:
            return self._party.origins[0] if self._party.origins else ""
        _, colon, port = exchange.host.rpartition(":")
        return f"{_scheme(exchange)}://{_LOCAL}{colon}{port if colon else ''}"

    def _at_home(self, exchange: Exchange) -> RelyingParty | None:
        if _without_port(exchange.host) != _LOCAL:
            return None
        origin = f"{_scheme(exchange)}://{exchange.host}"
        return RelyingParty(_LOCAL, (origin,), self._name)


def _scheme(exchange: Exchange) -> str:
    return "https" if exchange.scheme == "https" else "http"


def _host(origin: str) -> str:
    return urlsplit(origin).hostname or ""


def _without_port(host: str) -> str:
    return host if host.endswith("]") else host.rpartition(":")[0] or host


def _is_name(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return bool(host)
    return False


def _below(host: str, domain: str) -> bool:
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def _shared(hosts: Sequence[str]) -> str:
    """Return the host that all others are below, empty if there is none: a parent that
    is nobody's own host may belong to others as well (``co.uk``)."""
    shortest = min(hosts, key=len, default="")
    return shortest if all(_below(host, shortest) for host in hosts) else ""
