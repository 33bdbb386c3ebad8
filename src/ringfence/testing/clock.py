"""A clock that moves when it is told to."""

from __future__ import annotations

_START = 1_700_000_000.0


class FakeClock:
    """Tell the time that a test wants it to be; give it wherever a ``clock`` goes.

    Args:
        now: Unix time in seconds to begin with.
    """

    def __init__(self, now: float = _START) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time, in Unix seconds."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Move on.

        Raises:
            ValueError: backwards; set ``now`` where that is meant.
        """
        if seconds < 0:
            raise ValueError("advance() moves forward; set now to go back")
        self.now += seconds
