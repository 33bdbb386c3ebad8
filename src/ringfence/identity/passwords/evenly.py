"""A floor under the time of an answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

_T = TypeVar("_T")


class Evenly:
    """Lets nobody see how long the work took, as long as it takes no longer than this.

    Equal work for known and unknown accounts is the first defence; but a password that
    is still kept as bcrypt or PBKDF2 takes another time to check, and a locked or
    refused account none at all. So the answer waits for a moment that was fixed when
    the work began (CWE-208, CVE-2026-22746). Nothing is added at random: noise is
    averaged away by asking again.

    Waiting holds no thread and no place in the queue.

    Args:
        seconds: the least that each answer takes.
        clock: tells a time that never goes back.
        sleep: waits.

    Not covered: work that takes longer than the floor. Waiting in a queue does, but for
    all answers alike.
    """

    def __init__(
        self,
        seconds: float = 0.0,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.seconds = seconds
        self._clock = clock
        self._sleep = sleep

    async def __call__(self, work: Awaitable[_T]) -> _T:
        """Return what ``work`` does, but not before the time has come.

        What it raises is raised at once: a full queue says nothing about an account.
        """
        until = self._clock() + self.seconds
        result = await work
        left = until - self._clock()
        if left > 0:
            await self._sleep(left)
        return result
