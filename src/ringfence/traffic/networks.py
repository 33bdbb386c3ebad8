"""What is known about networks, found in a few look-ups however many there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from ringfence.traffic.addresses import Address, Network

Known = TypeVar("Known")


class NetworkMap(Generic[Known]):
    """A dictionary a length of prefix; the longest that fits an address tells.

    A list of networks costs a comparison each: with the 22 of a provider, more than
    all the rest of the street.
    """

    __slots__ = ("_by_version",)

    def __init__(self) -> None:
        self._by_version: dict[int, dict[int, dict[int, Known]]] = {4: {}, 6: {}}

    def put(self, network: Network, known: Known) -> None:
        """Add a network, or replace what is known about it."""
        shift = _shift(network)
        by_shift = self._by_version[network.version]
        if shift not in by_shift:
            # The longest prefix first, which is the smallest shift. Made anew, since
            # another thread may be going through the old one.
            by_shift = dict(sorted({**by_shift, shift: {}}.items()))
            self._by_version[network.version] = by_shift
        by_shift[shift][_key(network)] = known

    def get(self, network: Network) -> Known | None:
        """Return what is known about this very network."""
        found = self._by_version[network.version].get(_shift(network))
        return None if found is None else found.get(_key(network))

    def pop(self, network: Network) -> Known | None:
        """Forget a network; return what was known about it."""
        by_shift = self._by_version[network.version]
        shift = _shift(network)
        if shift not in by_shift:
            return None
        known = by_shift[shift].pop(_key(network), None)
        if not by_shift[shift]:
            self._by_version[network.version] = {
                other: networks for other, networks in by_shift.items() if networks
            }
        return known

    def find(self, address: Address) -> Known | None:
        """Return what is known about the smallest network that holds an address."""
        return self.find_number(address.version, int(address))

    def find_number(self, version: int, number: int) -> Known | None:
        """Return the same for an address that is a number already."""
        for shift, known in self._by_version[version].items():
            found = known.get(number >> shift)
            if found is not None:
                return found
        return None

    def is_empty(self) -> bool:
        """Tell whether nothing is known about any network."""
        return not (self._by_version[4] or self._by_version[6])

    def values(self) -> Iterator[Known]:
        """Go through all that is known, in no order."""
        for by_shift in self._by_version.values():
            for known in by_shift.values():
                yield from tuple(known.values())


def _shift(network: Network) -> int:
    return network.max_prefixlen - network.prefixlen


def _key(network: Network) -> int:
    return int(network.network_address) >> _shift(network)
