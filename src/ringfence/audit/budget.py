"""How much may be written down in a second."""

from __future__ import annotations


class Budget:
    """A token bucket that holds one second's worth.

    Args:
        per_second: most that may be taken in a second, 1 or more.
    """

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._left = float(per_second)
        self._at = 0.0

    def take(self, now: float) -> bool:
        """Take one; return whether there was one left.

        Args:
            now: Unix time in seconds. A clock that goes back gives nothing away.
        """
        gained = max(0.0, now - self._at) * self._per_second
        self._at = now
        self._left = min(float(self._per_second), self._left + gained)
        if self._left < 1:
            return False
        self._left -= 1
        return True
