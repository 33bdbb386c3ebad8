"""Whom a thread works for: the table of every way into one, on both loops."""

import asyncio
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import aiofiles
import anyio
import pytest
from tests.interpreters.asking import asking

from ringfence.errors import SettingsError
from ringfence.exchange import active, live
from ringfence.interpreters import threads
from ringfence.interpreters.hook import hook_of
from ringfence.interpreters.loops.guarded import GuardedLoop
from ringfence.interpreters.sink import here, starter

threads.arm()


async def by_default_executor(call):
    await asyncio.get_running_loop().run_in_executor(None, call)


async def by_own_executor(call):
    with ThreadPoolExecutor() as pool:
        await asyncio.get_running_loop().run_in_executor(pool, call)


async def by_submit(call):
    with ThreadPoolExecutor() as pool:
        pool.submit(call).result()


async def by_map(call):
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda _: call(), [1]))


async def by_to_thread(call):
    await asyncio.to_thread(call)


async def by_anyio(call):
    await anyio.to_thread.run_sync(call)


async def by_task(call):
    async def task():
        call()

    await asyncio.create_task(task())


async def by_call_soon(call):
    asyncio.get_running_loop().call_soon(call)
    await asyncio.sleep(0)


async def by_call_soon_threadsafe(call):
    done = asyncio.Event()

    def both():
        call()
        done.set()

    asyncio.get_running_loop().call_soon_threadsafe(both)
    await done.wait()


async def by_thread(call):
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()


async def by_timer(call):
    timer = threading.Timer(0, call)
    timer.start()
    timer.join()


async def by_own_class(call):
    class Worker(threading.Thread):
        def run(self):
            call()

    worker = Worker()
    worker.start()
    worker.join()


async def by_thread_of_thread(call):
    await by_thread(lambda: asyncio.run(by_thread(call)))


async def by_pool_of_thread(call):
    await by_thread(lambda: asyncio.run(by_submit(call)))


KNOWN = [
    by_default_executor,
    by_own_executor,
    by_submit,
    by_map,
    by_to_thread,
    by_anyio,
    by_task,
    by_call_soon,
    by_call_soon_threadsafe,
]
ANYBODY = [
    by_thread,
    by_timer,
    by_own_class,
    by_thread_of_thread,
    by_pool_of_thread,
]


@pytest.fixture(params=[asyncio.SelectorEventLoop, GuardedLoop], ids=str)
def run(request):
    def run(main):
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(main)

    return run


@contextmanager
def another():
    """Another request in progress, in another task."""
    with asking(query=b"a=another") as other:
        token = active.set(None)
        yield other
        active.reset(token)


def texts(whom):
    return {given.text for given in whom.inputs.values}


@pytest.mark.parametrize("way", KNOWN)
def test_the_request_is_known(run, way):
    seen = []
    with another(), asking(query=b"q=mine") as mine:
        run(way(lambda: seen.append(here())))
        assert [whom.exchange for whom in seen] == [mine]


@pytest.mark.parametrize("way", ANYBODY)
def test_a_thread_may_work_for_anybody(run, way):
    """It is compared with what all requests have brought, its own's first."""
    seen = []
    with another(), asking(query=b"q=mine"):
        run(way(lambda: seen.append((here(), texts(here())))))
        ((whom, known),) = seen
        assert whom.exchange is None
        assert known >= {"mine", "another"}


@pytest.mark.parametrize("way", [*KNOWN, *ANYBODY])
def test_what_outlives_its_request_is_judged(run, way):
    """A handler that answers at once and leaves the work to a thread."""
    seen = []
    with asking(query=b"q=mine") as mine:
        live.discard(mine)
        run(way(lambda: seen.append((here(), texts(here())))))
    ((_, known),) = seen
    assert "mine" in known


@pytest.mark.parametrize("way", [by_thread, by_default_executor])
def test_the_hook_judges_them_then(run, way):
    judged = []
    hook = hook_of({"os.system": (lambda *args: judged.append(args[-1]),)})
    with asking(query=b"q=mine") as mine:
        live.discard(mine)
        run(way(partial(hook, "os.system", (b"x",))))
    assert len(judged) == 1


def test_threads_of_a_pool_belong_to_nobody():
    """A pool that one request has filled works for the next as for anybody."""
    with ThreadPoolExecutor(1) as pool:
        with asking(query=b"q=first"):
            first = pool.submit(threading.get_ident).result()
            seen = pool.submit(here).result()
            assert texts(seen) >= {"first"}
        assert pool.submit(here).result() is None
        with asking(query=b"q=second") as second:
            assert pool.submit(here).result().exchange is second
            assert pool.submit(threading.get_ident).result() == first
        assert pool.submit(starter.get).result() is None


def test_a_worker_of_anyio_belongs_to_nobody():
    async def main():
        with asking(query=b"q=first") as first:
            seen = await anyio.to_thread.run_sync(here)
            assert seen.exchange is first
        assert await anyio.to_thread.run_sync(here) is None
        assert await anyio.to_thread.run_sync(starter.get) is None

    asyncio.run(main())


def test_a_thread_does_not_inherit_its_request():
    """As where Python lets threads inherit contexts (3.14, by a flag)."""
    with asking():
        seen = []
        thread = threading.Thread(target=lambda: seen.append(active.get()))
        thread.start()
        thread.join()
        assert seen == [None]
        assert "run" not in vars(thread)


def test_nobody_is_asking():
    seen = []
    thread = threading.Thread(target=lambda: seen.append((here(), starter.get())))
    thread.start()
    thread.join()
    assert seen == [(None, None)]
    with ThreadPoolExecutor() as pool:
        assert pool.submit(here).result() is None


def test_calls_are_otherwise_as_they_were():
    """Arguments, results and failures arrive."""
    with asking(), ThreadPoolExecutor() as pool:
        assert pool.submit(sorted, [2, 1], reverse=True).result() == [2, 1]
        with pytest.raises(ZeroDivisionError):
            pool.submit(lambda: 1 / 0).result()
        with pytest.raises(TypeError):
            pool.submit()
        thread = threading.Thread(target=print, kwargs={"end": ""})
        thread.start()
        thread.join()
        with pytest.raises(RuntimeError, match="once"):
            thread.start()


HEARD = []


def hear(event, args):
    if event in {"open", "socket.getaddrinfo"} and str(args[0]).endswith("heard"):
        HEARD.append(here())


sys.addaudithook(hear)


def test_files_of_aiofiles(run, tmp_path):
    HEARD.clear()

    async def main():
        async with aiofiles.open(tmp_path / "heard", "w") as file:
            await file.write("x")

    with asking() as mine:
        run(main())
        assert [whom.exchange for whom in HEARD] == [mine]


def test_names_that_are_looked_up(run):
    """In asyncio by a thread, in uvloop in C."""
    HEARD.clear()

    async def main():
        loop = asyncio.get_running_loop()
        with pytest.raises(OSError):  # noqa: PT011 - no such name
            await loop.getaddrinfo("name.invalid.heard", 80, flags=_NUMERIC)

    with asking() as mine:
        run(main())
        assert [whom.exchange for whom in HEARD] == [mine]


_NUMERIC = socket.AI_NUMERICHOST


def test_arming_twice_changes_nothing():
    submit, start = ThreadPoolExecutor.submit, threading.Thread.start
    threads.arm()
    assert ThreadPoolExecutor.submit is submit
    assert threading.Thread.start is start


def test_threads_of_another_make_stop_the_start(monkeypatch):
    monkeypatch.setattr(ThreadPoolExecutor, "submit", lambda self, call: None)
    with pytest.raises(SettingsError, match="Python"):
        threads.arm()
