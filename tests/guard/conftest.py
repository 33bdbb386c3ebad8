"""A guard started in process, with an HTTP client and raw ASGI calls."""

import asyncio
import contextlib

import httpx2
import pytest

from ringfence import Guard, Settings


class Started:
    """A guard between its start-up and its shutdown."""

    def __init__(self, guard):
        self.guard = guard
        self.base = "http://127.0.0.1:8000"

    def client(self, **kwargs):
        transport = httpx2.ASGITransport(app=self.guard, client=("127.0.0.1", 5000))
        return httpx2.AsyncClient(transport=transport, base_url=self.base, **kwargs)

    async def call(self, scope, *incoming):
        """Call the guard with a bare scope; return the messages it sends."""
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "query_string": b"",
            "root_path": "",
            "client": ("127.0.0.1", 5000),
            "server": ("127.0.0.1", 8000),
            "headers": [(b"host", b"127.0.0.1:8000")],
            **scope,
        }
        scope.setdefault("raw_path", scope["path"].encode())
        queue = list(incoming) or [{"type": "http.request", "body": b""}]
        sent = []

        async def receive():
            return queue.pop(0) if queue else {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        await self.guard(scope, receive, send)
        return sent


@contextlib.asynccontextmanager
async def running(guard, **scope):
    """Run a guard's lifespan around the block; raise what its start-up refuses."""
    loop = asyncio.get_running_loop()
    up, down, over = loop.create_future(), asyncio.Event(), loop.create_future()
    asked = False

    async def receive():
        nonlocal asked
        if not asked:
            asked = True
            return {"type": "lifespan.startup"}
        await down.wait()
        return {"type": "lifespan.shutdown"}

    async def send(message):
        if message["type"] == "lifespan.startup.complete":
            up.set_result(None)
        elif message["type"] == "lifespan.startup.failed":
            up.set_exception(RuntimeError(message["message"]))
        else:
            over.set_result(None)

    task = asyncio.create_task(guard({"type": "lifespan", **scope}, receive, send))
    done, _ = await asyncio.wait({task, up}, return_when=asyncio.FIRST_COMPLETED)
    if task in done and not up.done():
        await task
    try:
        await up
        yield Started(guard)
    finally:
        down.set()
        # Awaited also where the start failed: it has things to close then.
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
    if outcome is not None:
        raise outcome


@pytest.fixture
def settings(settings_of):
    """Development settings whose data lies in the test's own folder."""
    return settings_of()


@pytest.fixture
def settings_of(tmp_path):
    """Return a function that makes such settings, some of which differ."""

    def make(**overrides):
        return Settings.load(
            toml=None, environ={}, env="development", data=tmp_path, **overrides
        )

    return make


@pytest.fixture
def guarded(settings):
    """Return a function that makes a started guard of an application."""

    def make(app, settings=settings, rules=()):
        return running(Guard(app, settings, rules=rules))

    return make


@pytest.fixture
def restarting():
    """Return a function that runs one guard's lifespan, as often as it is called."""
    return running
