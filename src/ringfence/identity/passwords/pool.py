"""A bounded pool of threads for password hashing."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from math import ceil
from typing import TypeVar

from ringfence.errors import StoreBusyError

_T = TypeVar("_T")

_STEPS_BACK = 10  # hashing yields to the event loop when both want the same core
_LEAST_PRIORITY = 19
_PATIENCE = 10.0  # seconds after which a caller would rather be told to come again
_FEWEST_WAITING, _MOST_WAITING = 8, 1000


class HashingPool:
    """Runs slow hashing off the event loop, within bounds.

    Hashed inline, eight sign-ins at once stop every other request of the worker; in
    the loop's default executor they take all its cores and as much memory as there
    are threads. Here the memory is capped, and beyond the queue callers are refused
    *before* any work is done for them, so that a flood of sign-ins cannot exhaust the
    server. One network can take a few places only, so that it cannot keep everybody
    else from signing in. Who is *known* (comes from a device that has signed in before)
    has places and a thread apart, where no stranger stands before them.

    Args:
        threads: hashes at once; 0 means one less than there are cores, at least one.
            Never more than fit into the memory.
        queue: callers that may wait for a thread; 0 means as many as are served within
            ten seconds.
        memory_kib: KiB for all hashes at once.
        per_network: places that callers of one network may take, running or waiting;
            those who are known have as many again.

    Source: CWE-400; ASVS 5.0 V15.2.2.
    """

    def __init__(
        self,
        *,
        threads: int = 0,
        queue: int = 0,
        memory_kib: int = 256 * 1024,
        per_network: int = 8,
    ) -> None:
        self.threads = threads or max(1, (os.cpu_count() or 1) - 1)
        self.queue = queue
        self._wanted = self.threads, queue
        self.memory_kib = memory_kib
        self._memory = _Memory(memory_kib)
        self._seconds_each = 0.1
        self._lock = threading.Lock()  # places are given back by the threads
        self._strangers = _Lane(per_network)
        self._known = _Lane(per_network)

    def start(self, *, memory_kib: int = 0, seconds_each: float = 0.1) -> None:
        """Make the pool ready. May be called again after ``stop``.

        Args:
            memory_kib: KiB that one hash of today's cost holds.
            seconds_each: how long one takes.
        """
        threads, queue = self._wanted
        fitting = self.memory_kib // memory_kib if memory_kib else threads
        self.threads = max(1, min(threads, fitting))
        in_time = int(self.threads * _PATIENCE / seconds_each)
        self.queue = queue or min(max(in_time, _FEWEST_WAITING), _MOST_WAITING)
        self._seconds_each = seconds_each
        self._strangers.start(self.threads, self.queue)
        self._known.start(1, self.queue)

    def stop(self) -> None:
        """Drop what waits, wait for what runs, and end the threads."""
        self._strangers.stop()
        self._known.stop()

    async def run(
        self,
        work: Callable[[], _T],
        *,
        network: str = "",
        memory_kib: int = 0,
        known: bool = False,
    ) -> _T:
        """Run ``work`` in a thread and return or raise what it does.

        A caller that is cancelled while it waits gives its place free.

        Args:
            work: what is slow.
            network: whose place it takes; the empty text is nobody's.
            memory_kib: KiB that it holds; it waits in its thread until they are free.
            known: whether it is for somebody at a known device.

        Raises:
            StoreBusyError: the queue is full, or the network has its share already, or
                the pool has been stopped.
        """
        lane = self._known if known else self._strangers
        executor = lane.executor
        if executor is None:
            raise StoreBusyError("password hashing has stopped", retry_after=1)
        self._take(lane, network)

        def within_memory() -> _T:
            with self._memory.holding(memory_kib):
                return work()

        try:
            future = executor.submit(within_memory)
        except RuntimeError as error:  # stopped since
            self._give_back(lane, network)
            raise StoreBusyError(
                "password hashing has stopped", retry_after=1
            ) from error
        future.add_done_callback(lambda _: self._give_back(lane, network))
        return await asyncio.wrap_future(future)

    @property
    def retry_after(self) -> int:
        """Seconds in which a full queue is worked off, at least 1."""
        return max(1, ceil(self.queue * self._seconds_each / self.threads))

    def _take(self, lane: _Lane, network: str) -> None:
        with self._lock:
            if lane.all_taken >= lane.places:
                raise StoreBusyError(
                    "the queue for password hashing is full",
                    retry_after=self.retry_after,
                )
            own = lane.taken.get(network, 0)
            if network and own >= lane.per_network:
                raise StoreBusyError(
                    "too many passwords of this network wait to be hashed",
                    retry_after=max(1, ceil(own * self._seconds_each)),
                )
            lane.all_taken += 1
            lane.taken[network] = own + 1

    def _give_back(self, lane: _Lane, network: str) -> None:
        with self._lock:
            lane.all_taken -= 1
            lane.taken[network] -= 1
            if not lane.taken[network]:
                del lane.taken[network]


class _Lane:
    """Threads, and the places before them."""

    def __init__(self, per_network: int) -> None:
        self.per_network = per_network
        self.places = 0
        self.taken: dict[str, int] = {}
        self.all_taken = 0
        self.executor: ThreadPoolExecutor | None = None

    def start(self, threads: int, queue: int) -> None:
        self.places = threads + queue
        self.executor = ThreadPoolExecutor(
            threads, thread_name_prefix="ringfence-hash", initializer=_step_back
        )

    def stop(self) -> None:
        executor, self.executor = self.executor, None
        if executor is not None:
            executor.shutdown(wait=True, cancel_futures=True)


class _Memory:
    """So many KiB, lent to one after the other."""

    def __init__(self, kib: int) -> None:
        self.kib = kib
        self._free = kib
        self._turn = threading.Lock()  # who asks for much is not overtaken for ever
        self._changed = threading.Condition()

    @contextmanager
    def holding(self, kib: int) -> Iterator[None]:
        kib = min(kib, self.kib)
        with self._turn, self._changed:
            self._changed.wait_for(lambda: self._free >= kib)
            self._free -= kib
        try:
            yield
        finally:
            with self._changed:
                self._free += kib
                self._changed.notify_all()


def _step_back() -> None:
    """Lower the priority of this thread alone, where the system has such a thing."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        niceness = os.getpriority(os.PRIO_PROCESS, thread) + _STEPS_BACK
        os.setpriority(os.PRIO_PROCESS, thread, min(niceness, _LEAST_PRIORITY))
