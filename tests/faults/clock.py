"""A wall clock that a test can set in processes of its own. The monotonic clock goes on
as it was, as it does where a machine's clock is set."""

import time
from collections.abc import Callable


class WallClock:
    """The time of the machine, and some seconds more or less."""

    def __init__(self, real: Callable[[], float]) -> None:
        self.real = real
        self.ahead = 0.0

    def __call__(self) -> float:
        return self.real() + self.ahead


wall = WallClock(time.time)
