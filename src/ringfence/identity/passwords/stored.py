"""A stored hash, once somebody has recognised it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NewType

Verified = NewType("Verified", str)
"""A hash that a password has been verified against: the proof, not a flag."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a stored hash says about itself, read and found bearable.

    Args:
        memory_kib: KiB that verifying holds.
        fits: does the slow work: whether a password, exactly as it was typed, is the
            one. Call it in the pool.
    """

    memory_kib: int
    fits: Callable[[str], bool]


Reader = Callable[[str], Claim | None]
"""Reads the hashes of one scheme: ``None`` for another scheme's. Raises
``UnusableHashError`` for a damaged one, and for one whose parameters ask for more than
about two seconds of a core: whoever can plant a hash must not be able to stop the
server with it (CWE-400)."""
