"""Deleting what has expired by itself, beside the requests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from ringfence.clock import Clock
from ringfence.errors import StoreError

logger = logging.getLogger("ringfence.identity")

_SWEEP_SECONDS = 600.0

Chore = Callable[[float], Awaitable[int]]
"""Deletes what has expired by a time (Unix seconds); returns how many."""


class Housekeeping:
    """Deletes every ten minutes what nobody can use any more, so that no table grows
    for ever (CWE-770). What has expired is refused whether it was deleted or not.

    Args:
        chores: what is to be done, by what it deletes, for the log.
        clock: tells the time.
        every: seconds between two rounds.
    """

    def __init__(
        self,
        chores: Mapping[str, Chore],
        *,
        clock: Clock,
        every: float = _SWEEP_SECONDS,
    ) -> None:
        self._chores = chores
        self._clock = clock
        self._every = every
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin. May be called again after ``stop``."""
        self._sweeper = asyncio.create_task(self._keep_sweeping())

    async def stop(self) -> None:
        """End. Idempotent."""
        sweeper, self._sweeper = self._sweeper, None
        if sweeper is not None:
            sweeper.cancel()
            await asyncio.wait((sweeper,))

    async def _keep_sweeping(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            await self.sweep()

    async def sweep(self) -> None:
        """Do all of it once. A failure is logged, and the next round tries again."""
        now = self._clock()
        for name, chore in self._chores.items():
            try:
                await chore(now)
            except StoreError as error:
                logger.warning("expired %s could not be deleted: %s", name, error)
