"""A bounded pool of threads for password hashing."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from typing import ParamSpec, TypeVar

from ringfence.errors import StoreBusyError

_P = ParamSpec("_P")
_T = TypeVar("_T")

_STEPS_BACK = 10  # hashing yields to the event loop when both want the same core
_LEAST_PRIORITY = 19
_SECONDS_EACH = 0.1  # a generous guess at one hash, for Retry-After only


class HashingPool:
    """Runs slow hashing off the event loop, within bounds.

    Hashed inline, eight sign-ins at once stop every other request of the worker; in
    the loop's default executor they take all its cores and as much memory as there
    are threads. Here the memory is at most ``threads`` times one hash, and beyond the
    queue callers are refused *before* any work is done for them, so that a flood of
    sign-ins cannot exhaust the server.

    Args:
        threads: hashes at once; 0 means one less than there are cores, at least one.
        queue: callers that may wait for a thread.

    Source: CWE-400; ASVS 5.0 V15.2.2.
    """

    def __init__(self, *, threads: int = 0, queue: int = 64) -> None:
        self.threads = threads or max(1, (os.cpu_count() or 1) - 1)
        self._queue = queue
        self._places = threading.BoundedSemaphore(self.threads + queue)
        self._executor: ThreadPoolExecutor | None = None

    def start(self) -> None:
        """Make the pool ready. May be called again after ``stop``."""
        self._executor = ThreadPoolExecutor(
            self.threads, thread_name_prefix="ringfence-hash", initializer=_step_back
        )

    def stop(self) -> None:
        """Drop what waits, wait for what runs, and end the threads."""
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=True, cancel_futures=True)

    async def run(
        self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """Run ``function`` in a thread and return or raise what it does.

        A caller that is cancelled while it waits gives its place free.

        Raises:
            StoreBusyError: the queue is full, or the pool has been stopped.
        """
        executor = self._executor
        if executor is None or not self._places.acquire(blocking=False):
            raise StoreBusyError(
                "the queue for password hashing is full", retry_after=self.retry_after
            )
        future = executor.submit(function, *args, **kwargs)
        future.add_done_callback(lambda _: self._places.release())
        return await asyncio.wrap_future(future)

    @property
    def retry_after(self) -> int:
        """Seconds in which a full queue is worked off, at least 1."""
        return max(1, ceil(self._queue * _SECONDS_EACH / self.threads))


def _step_back() -> None:
    """Lower the priority of this thread alone, where the system has such a thing."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        niceness = os.getpriority(os.PRIO_PROCESS, thread) + _STEPS_BACK
        os.setpriority(os.PRIO_PROCESS, thread, min(niceness, _LEAST_PRIORITY))
