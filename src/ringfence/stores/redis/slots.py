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

    Raises:
        ValueError: it is no such answer, or of a node that knows of nobody: one that
            has lost its disk is a cluster of its own.
    """
    table: list[Address | None] = [None] * SLOTS
    try:
        for first, last, (host, port, *_), *_ in answer:
            name = host.decode() if host else asked.host
            holder = Address(asked.host if name == "?" else name, int(port))
            table[first : last + 1] = [holder] * (last - first + 1)
    except (TypeError, AttributeError) as error:
        raise ValueError("an answer to CLUSTER SLOTS that is none") from error
    if not answer:
        raise ValueError("a node that knows of no slots")
    return table


def redirection(text: str, asked: Address) -> Address | None:
    """Read where ``MOVED 3999 127.0.0.1:6381`` or ``ASK`` points to, if it does.

    Args:
        text: what follows the code.
        asked: who answers; an empty host means its own.
    """
    _, _, place = text.partition(" ")
    host, _, port = place.rpartition(":")
    if not (port.isascii() and port.isdigit()):
        return None
    return Address(host or asked.host, int(port))
