"""The time of a database, told without asking it."""

from __future__ import annotations

import time
from collections.abc import Callable

from ringfence.clock import Clock, system_clock

_BOOT_TIME = getattr(time, "CLOCK_BOOTTIME", None)


def steady_clock() -> float:
    """Return seconds on a clock that nobody sets, and that goes on while the machine
    sleeps, where the system has one."""
    return time.monotonic() if _BOOT_TIME is None else time.clock_gettime(_BOOT_TIME)


class StoreClock:
    """What a database's clock says, as well as that is known here.

    Of several machines whose clocks differ, all judge by the same time: a session or a
    ticket does not live longer on one of them, and setting a machine's clock changes
    nothing. The database says its time with what is read anyhow; in between, this
    process counts the seconds. Until it has said something, the machine's clock holds.

    Args:
        steady: seconds on a clock that is never set.
        clock: tells the time until the database has.

    Source: CWE-613, CWE-367.
    """

    def __init__(
        self, steady: Callable[[], float] = steady_clock, clock: Clock = system_clock
    ) -> None:
        self.steady = steady
        self._offset = clock() - steady()
        self._is_told = False

    def __call__(self) -> float:
        """Return Unix time in seconds."""
        return self._offset + self.steady()

    def hear(self, said: float, asked: float, answered: float) -> None:
        """Take in what the database has said. It looked at its clock somewhere between
        question and answer: what is known is corrected by no more than is certain.

        Args:
            said: Unix time in seconds, of the database.
            asked: when it was asked, by ``steady``.
            answered: when the answer was there, by ``steady``.
        """
        least, most = said - answered, said - asked
        if not self._is_told:
            self._offset, self._is_told = (least + most) / 2, True
        else:
            self._offset = min(max(self._offset, least), most)
