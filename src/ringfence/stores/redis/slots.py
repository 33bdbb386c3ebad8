"""Which node of a cluster holds which slot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ringfence.stores.redis.address import Address
from ringfence.stores.redis.packing import pack

SLOTS: Final = 16_384
CLUSTER_SLOTS: Final = pack((b"CLUSTER", b"SLOTS"))


def read_slots(answer: Sequence[Any], asked: Address) -> list[Address | None]:
    """Read the answer to ``CLUSTER SLOTS``.

    Args:
        answer: ranges, each with its primary and then its replicas.
        asked: who answers; some nodes do not know by which name they are reached.

    Returns:
        The primary of each slot, ``None`` where there is none.
    """
    table: list[Address | None] = [None] * SLOTS
    for first, last, primary, *_ in answer:
        host, port = primary[0], primary[1]
        name = host.decode() if host else asked.host
        holder = Address(asked.host if name == "?" else name, port)
        table[first : last + 1] = [holder] * (last - first + 1)
    return table


def redirection(text: str, asked: Address) -> Address:
    """Read where ``MOVED 3999 127.0.0.1:6381`` or ``ASK`` points to.

    Args:
        text: what follows the code.
        asked: who answers; an empty host means its own.
    """
    _, _, place = text.partition(" ")
    host, _, port = place.rpartition(":")
    return Address(host or asked.host, int(port))
