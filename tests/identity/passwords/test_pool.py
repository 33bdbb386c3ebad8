"""The pool that passwords are hashed in."""

import asyncio
import os
import sys
import threading

import pytest

from ringfence.errors import StoreBusyError
from ringfence.identity.passwords.pool import HashingPool

pytestmark = pytest.mark.anyio


@pytest.fixture
def pool(anyio_backend):
    opened = HashingPool(threads=2, queue=3)
    opened.start()
    yield opened
    opened.stop()


class Gate:
    """Slow work that ends when the test says so, and counts itself."""

    def __init__(self):
        self.open = threading.Event()
        self.lock = threading.Lock()
        self.running = 0
        self.most = 0
        self.done = 0

    def __call__(self):
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        assert self.open.wait(20)
        with self.lock:
            self.running -= 1
            self.done += 1
        return threading.current_thread().name


@pytest.fixture
def gate():
    made = Gate()
    yield made
    made.open.set()


async def test_work_happens_off_the_event_loop(pool, gate):
    """The loop goes on while a password is hashed (others stop it for 6 s)."""
    work = asyncio.create_task(pool.run(gate))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not work.done()
    gate.open.set()
    assert (await work).startswith("ringfence-hash")


async def test_no_more_threads_than_said(pool, gate):
    """Memory is bounded by threads times the memory of one hash."""
    work = [asyncio.create_task(pool.run(gate)) for _ in range(5)]
    await asyncio.sleep(0)
    gate.open.set()
    await asyncio.gather(*work)
    assert gate.most <= 2
    assert gate.done == 5


async def test_a_full_queue_refuses_at_once(pool, gate):
    work = [asyncio.create_task(pool.run(gate)) for _ in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(StoreBusyError) as refused:
        await pool.run(gate)
    assert refused.value.retry_after >= 1
    gate.open.set()
    await asyncio.gather(*work)
    assert await pool.run(lambda: "free again") == "free again"


async def test_a_caller_who_leaves_gives_the_place_free(pool, gate):
    work = [asyncio.create_task(pool.run(gate)) for _ in range(5)]
    await asyncio.sleep(0)
    work[4].cancel()
    with pytest.raises(asyncio.CancelledError):
        await work[4]
    again = asyncio.create_task(pool.run(gate))
    await asyncio.sleep(0)
    gate.open.set()
    await asyncio.gather(again, *work[:4])
    assert gate.done == 5


async def test_what_the_work_raises_comes_back(pool):
    def fail():
        raise ValueError("from the thread")

    for _ in range(10):  # and the place is given back each time
        with pytest.raises(ValueError, match="from the thread"):
            await pool.run(fail)


async def test_a_stopped_pool_refuses(pool):
    pool.stop()
    pool.stop()
    with pytest.raises(StoreBusyError):
        await pool.run(lambda: None)
    pool.start()
    assert await pool.run(lambda: 1) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="threads have priorities on Linux")
async def test_hashing_steps_back_and_the_loop_does_not(pool):
    def niceness():
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    mine = niceness()
    assert await pool.run(niceness) >= min(mine + 1, 19)
    assert niceness() == mine


def test_one_core_is_left_for_the_loop():
    assert HashingPool().threads == max(1, (os.cpu_count() or 1) - 1)
