"""Keep one client from taking every place."""

from __future__ import annotations

from ringfence.denial import Denial
from ringfence.exchange import Exchange, Stage, at_once

_TOO_MANY = Denial(
    429,
    "traffic.too_many_open",
    "Too many requests from this address are being answered. Try again shortly.",
    headers=((b"retry-after", b"5"),),
    brief=True,
)


class InFlight:
    """Counts the requests of each client that are being answered.

    A limit on requests a minute stops nobody who sends few and never lets them end:
    bodies that come as slowly as is allowed, event streams, WebSockets. A server has so
    many places, and without this one address could take them all (CWE-400, CWE-770).

    Args:
        most: of one ``exchange.network`` at once, 0 for no bound.

    Source: ASVS 5.0 V2.4.1.

    Not covered: an attacker with many networks. Connections on which nothing has been
    asked: the server sees to those.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: dict[str, int] = {}

    @property
    def clients(self) -> int:
        """How many clients are being answered."""
        return len(self._open)

    def stage(self) -> Stage | None:
        """Return the stage that counts a request in; who has let one in calls ``leave``
        when it is over.

        Returns:
            ``None`` where there is no bound.
        """
        if not self._most:
            return None
        counts, last = self._open, self._most - 1

        def in_flight(exchange: Exchange) -> Denial | None:
            network = exchange.network
            count = counts.get(network, 0)
            if count > last:
                return _TOO_MANY
            counts[network] = count + 1
            exchange.in_flight = True
            return None

        return at_once(in_flight)

    def leave(self, exchange: Exchange) -> None:
        """Count a request out that was counted in."""
        network = exchange.network
        left = self._open[network] - 1
        if left:
            self._open[network] = left
        else:
            del self._open[network]
