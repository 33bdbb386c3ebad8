"""Destinations that an operator has declared: addresses, networks, names, ports."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_network

from ringfence.errors import SettingsError
from ringfence.interpreters.addresses import (
    Address,
    Network,
    not_public,
    plain,
    strict,
)

PUBLIC = "public"
_KEPT = 60.0  # seconds that the addresses of a name are believed
_PORT = re.compile(r"(?P<host>\[[^\]]+\](?:/\d+)?|[^:\[\]]+)(?::(?P<port>\d{1,5}))?")
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?", re.IGNORECASE | re.ASCII)
_MOST_PORT = 0xFFFF

_ASKED_AGAIN = 2.0  # seconds after which a name without an answer is asked for again

Resolve = Callable[[str], tuple[Address, ...]]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a declaration: a network or a name, with a port or with any."""

    network: Network | None
    name: str
    port: int | None

    def has_port(self, port: int | None) -> bool:
        return self.port is None or self.port == port


def look_up(name: str) -> tuple[Address, ...]:
    """Return the addresses that the system's resolver has for a name; none if it has
    no answer."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    addresses = (strict(str(address[0])) for *_, address in found)
    return tuple(dict.fromkeys(each for each in addresses if each is not None))


@dataclass(frozen=True)
class Destinations:
    """What one setting declares.

    Args:
        entries: each line of it.
        everything_public: the word ``public`` is among them.
        resolve: asks for the addresses of a name.
    """

    entries: tuple[Entry, ...] = ()
    everything_public: bool = False
    resolve: Resolve = look_up
    _known: dict[str, tuple[float, tuple[Address, ...]]] = field(
        default_factory=dict, repr=False, compare=False
    )

    def hold(self, address: Address, port: int | None) -> bool:
        """Return whether an address with a port is declared, as itself, in a network
        or as what a name stands for now."""
        address = plain(address)
        if self.everything_public and not not_public(address):
            return True
        candidates = [entry for entry in self.entries if entry.has_port(port)]
        if any(
            entry.network is not None and address in entry.network
            for entry in candidates
        ):
            return True
        names = (entry.name for entry in candidates if entry.name)
        return any(address in self._addresses(name) for name in names)

    def name(self, host: str, port: int | None) -> bool:
        """Return whether a host is declared by its name."""
        return any(
            entry.name == host.lower() and entry.has_port(port)
            for entry in self.entries
        )

    def _addresses(self, name: str) -> tuple[Address, ...]:
        now = time.monotonic()
        until, addresses = self._known.get(name, (0.0, ()))
        if now >= until:
            addresses = self.resolve(name)
            self._known[name] = (
                now + (_KEPT if addresses else _ASKED_AGAIN),
                addresses,
            )
        return addresses


def read_entry(text: str) -> Entry:
    """Read ``10.0.0.5``, ``10.0.0.0/8``, ``[fd00::1]:5432``, ``db.internal:5432``.

    Raises:
        ValueError: it is none of these; the message says what it may be.
    """
    try:
        return Entry(ip_network(text), "", None)
    except ValueError:
        match = _PORT.fullmatch(text)
    if match is not None:
        port = None if match["port"] is None else int(match["port"])
        host = match["host"].replace("[", "").replace("]", "")
        if port is None or 0 < port <= _MOST_PORT:
            try:
                return Entry(ip_network(host), "", port)
            except ValueError:
                if _NAME.fullmatch(host) and "/" not in host:
                    return Entry(None, host.lower(), port)
    guess = "; leave out what stands before the host" if "//" in text else ""
    message = (
        f"{text!r} is no destination: write 10.0.0.5:5432, 10.0.0.0/8, "
        f"[fd00::1]:5432 or db.internal:5432{guess}"
    )
    raise ValueError(message)


@lru_cache(maxsize=64)
def declared(lines: tuple[str, ...]) -> Destinations:
    """Return what the lines of a setting declare."""
    entries = tuple(read_entry(line) for line in lines if line != PUBLIC)
    return Destinations(entries, PUBLIC in lines)


def check_lines(name: str, lines: Iterable[str]) -> None:
    """Read a setting at start-up.

    Raises:
        SettingsError: a line is no destination.
    """
    for line in lines:
        if line != PUBLIC:
            try:
                read_entry(line)
            except ValueError as error:
                message = f"{name}: {error}"
                raise SettingsError(message) from None
