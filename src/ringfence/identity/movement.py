"""Noticing that a session is used from elsewhere, as a stolen cookie is."""

from __future__ import annotations

from typing import Literal, NamedTuple

MoveEffect = Literal["note", "confirm", "end"]


class Place(NamedTuple):
    """Where a request comes from.

    Args:
        network: the client's address, IPv6 grouped to /64.
        device: a short description of the browser: its family and its system.
    """

    network: str
    device: str


def has_moved(before: Place, now: Place) -> bool:
    """Return whether a session is in other hands, as far as that can be seen.

    Stops the quiet use of a stolen cookie: a thief has another network *and* another
    device. One alone is everyday life: a phone leaves the house, a browser asks for
    the desktop's page.

    Source: ASVS 5.0 V6.3.5; CWE-613.

    Not covered: a thief who sends the same ``User-Agent``, or sits in the same network.
    """
    return before.network != now.network and before.device != now.device
