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


async def test_a_pool_that_stops_meanwhile_gives_the_place_back(pool):
    pool._strangers.executor.shutdown(wait=True)
    with pytest.raises(StoreBusyError, match="stopped"):
        await pool.run(list, network="192.0.2.1")
    assert pool._strangers.taken == {}


async def test_other_systems_hash_at_their_usual_priority(anyio_backend, monkeypatch):
    monkeypatch.setattr(sys, "platform", "somewhere else")
    pool = HashingPool(threads=1)
    pool.start()
    assert await pool.run(lambda: "done") == "done"
    pool.stop()


async def test_one_network_cannot_take_every_place(anyio_backend, gate):
    """A flood from one address is refused; everybody else still signs in."""
    pool = HashingPool(threads=1, queue=10, per_network=3)
    pool.start()
    flood = [asyncio.create_task(pool.run(gate, network="192.0.2.1")) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(StoreBusyError, match="this network") as refused:
        await pool.run(gate, network="192.0.2.1")
    assert refused.value.retry_after >= 1
    honest = asyncio.create_task(pool.run(gate, network="192.0.2.2"))
    nobody = [asyncio.create_task(pool.run(gate)) for _ in range(5)]
    await asyncio.sleep(0)
    gate.open.set()
    await asyncio.gather(honest, *flood, *nobody)
    assert await pool.run(lambda: "again", network="192.0.2.1") == "again"
    assert pool._strangers.taken == {}
    pool.stop()


async def test_strangers_do_not_stand_before_those_who_are_known(anyio_backend, gate):
    """A full queue, from however many addresses, keeps no owner from signing in."""
    pool = HashingPool(threads=1, queue=4, per_network=3)
    pool.start()
    flood = [asyncio.create_task(pool.run(gate)) for _ in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(StoreBusyError, match="queue"):
        await pool.run(lambda: "stranger")
    own = pool.run(lambda: "owner", network="192.0.2.1", known=True)
    assert await asyncio.wait_for(own, 20) == "owner"
    gate.open.set()
    await asyncio.gather(*flood)
    pool.stop()


async def test_the_places_of_those_who_are_known_have_an_end(anyio_backend, gate):
    pool = HashingPool(threads=1, queue=4, per_network=3)
    pool.start()
    known = [
        asyncio.create_task(pool.run(gate, network=f"192.0.2.{n}", known=True))
        for n in range(5)
    ]
    await asyncio.sleep(0)
    with pytest.raises(StoreBusyError, match="queue"):
        await pool.run(gate, known=True)
    gate.open.set()
    await asyncio.gather(*known)
    assert pool._known.taken == {}
    pool.stop()


async def test_memory_is_shared_and_never_exceeded(anyio_backend):
    """A legacy hash that holds more than today's waits until there is room."""
    pool = HashingPool(threads=4, queue=20, memory_kib=100)
    pool.start(memory_kib=25)
    lock, held, most = threading.Lock(), [0], [0]

    def work(kib):
        with lock:
            held[0] += kib
            most[0] = max(most[0], held[0])
        for _ in range(1000):
            pass
        with lock:
            held[0] -= kib

    await asyncio.gather(
        *(
            pool.run(lambda kib=kib: work(kib), memory_kib=kib)
            for kib in [25, 60, 100, 25, 60, 25, 100, 25, 90, 25]
        )
    )
    assert most[0] <= 100
    await pool.run(lambda: None, memory_kib=5000)  # alone, rather than never
    pool.stop()


@pytest.mark.parametrize(
    ("threads", "memory_kib", "each", "expected"),
    [(4, 256, 64, 4), (8, 256, 64, 4), (2, 256, 64, 2), (4, 32, 64, 1), (4, 64, 0, 4)],
)
def test_threads_fit_into_the_memory(threads, memory_kib, each, expected):
    pool = HashingPool(threads=threads, memory_kib=memory_kib)
    pool.start(memory_kib=each)
    assert pool.threads == expected
    pool.stop()


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.03, 333), (0.25, 40), (5.0, 8), (0.0001, 1000)]
)
def test_nobody_waits_much_longer_than_ten_seconds(seconds, expected):
    pool = HashingPool(threads=1)
    pool.start(seconds_each=seconds)
    assert pool.queue == expected
    pool.stop()


def test_one_core_is_left_for_the_loop():
    assert HashingPool().threads == max(1, (os.cpu_count() or 1) - 1)
