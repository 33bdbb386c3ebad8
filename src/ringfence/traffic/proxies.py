"""Whose word about the client counts."""

from __future__ import annotations

import enum
import functools
import ipaddress
from collections.abc import Callable, Iterable
from pathlib import Path

from ringfence.traffic.addresses import LONGEST_ADDRESS, Network, parse_address
from ringfence.traffic.networks import NetworkMap

PROVIDERS = frozenset({"cloudflare"})
"""Names that stand for the published networks of a provider."""

_FOLDER = Path(__file__).with_name("providers")
_ADDRESSES_REMEMBERED = 4_096


class Trust(enum.IntEnum):
    """What an address is to us."""

    STRANGER = 0
    PROVIDER = 1  # shared with its other customers: whom it names is the client
    OWN = 2  # what it names may be a further proxy


Lookup = Callable[[str], tuple[str, Trust] | None]
"""Returns an address in its one spelling and what it is to us, or ``None`` for a text
that is no address."""


def published(provider: str) -> tuple[Network, ...]:
    """Return the networks of a provider, as shipped in ``traffic/providers``."""
    text = (_FOLDER / f"{provider}.txt").read_text("ascii")
    lines = (line.strip() for line in text.splitlines())
    return tuple(
        ipaddress.ip_network(line) for line in lines if line and line[0] != "#"
    )


def lookup(own: Iterable[Network], shared: Iterable[Network]) -> Lookup:
    """Return the function that knows the configured proxies. It remembers the latest
    addresses: to parse one takes microseconds.

    Args:
        own: networks of our own proxies.
        shared: networks of a provider's; an own one inside of them stays our own.
    """
    trusted: NetworkMap[Trust] = NetworkMap()
    for network in shared:
        trusted.put(network, Trust.PROVIDER)
    for network in own:
        trusted.put(network, Trust.OWN)

    @functools.lru_cache(maxsize=_ADDRESSES_REMEMBERED)
    def parsed(text: str) -> tuple[str, Trust] | None:
        address = parse_address(text)
        if address is None:
            return None
        return str(address), trusted.find(address) or Trust.STRANGER

    def look(text: str) -> tuple[str, Trust] | None:
        # Judged first, so that nothing long is remembered.
        return parsed(text) if len(text) <= LONGEST_ADDRESS else None

    return look
