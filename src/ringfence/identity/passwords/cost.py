"""What one Argon2id hash may cost: never less than OWASP's floor, never too much."""

from __future__ import annotations

from dataclasses import dataclass

_KIB = 1024

# OWASP Password Storage Cheat Sheet (2024): each of these is as strong as the others.
_OWASP = (
    (46 * _KIB, 1),
    (19 * _KIB, 2),
    (12 * _KIB, 3),
    (9 * _KIB, 4),
    (7 * _KIB, 5),
)

# About two seconds of one core. What a stored hash asks for was written by whoever
# wrote it: a planted one with m=4 GiB and t=1000 must not run (CWE-400).
_MOST_WORK = 2 * _KIB * _KIB


@dataclass(frozen=True, slots=True)
class Cost:
    """Parameters of Argon2id with one lane.

    One lane, so that one hash is one thread and the pool alone decides how many cores
    are used.

    Args:
        memory_kib: KiB that one hash holds.
        passes: times that it goes over them.
    """

    memory_kib: int
    passes: int

    @property
    def work(self) -> int:
        """KiB that are written in all; time goes with it."""
        return self.memory_kib * self.passes

    @property
    def meets_floor(self) -> bool:
        """Whether it is at least one of OWASP's equivalents."""
        return any(
            self.memory_kib >= memory and self.passes >= passes
            for memory, passes in _OWASP
        )

    def is_bearable(self, memory_kib: int) -> bool:
        """Return whether a hash of this cost may be worked on at all.

        Args:
            memory_kib: KiB that there are for it.
        """
        return self.memory_kib <= memory_kib and self.work <= _MOST_WORK


FLOOR = Cost(memory_kib=19 * _KIB, passes=2)
"""The least that OWASP recommends."""
