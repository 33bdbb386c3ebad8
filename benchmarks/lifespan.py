"""A guard in this process, started and stopped as a server would do it."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

from benchmarks.servers import OUT_OF_REACH
from starlette.types import ASGIApp

from ringfence import Guard, Settings


@asynccontextmanager
async def running_guard(app: ASGIApp) -> AsyncIterator[Guard]:
    """Yield a started ``Guard(app)`` with a data folder of its own, then stop it."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        settings = Settings.load(
            environ={
                "RINGFENCE_ENV": "development",
                "RINGFENCE_DATA": folder,
                **OUT_OF_REACH,
            }
        )
        guard = Guard(app, settings)
        inbox: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        outbox: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        life = asyncio.create_task(guard(scope, inbox.get, outbox.put))
        await inbox.put({"type": "lifespan.startup"})
        told = await asyncio.wait_for(outbox.get(), 30)
        if told["type"] != "lifespan.startup.complete":
            raise RuntimeError(told.get("message", told["type"]))
        yield guard
        await inbox.put({"type": "lifespan.shutdown"})
        await asyncio.wait_for(outbox.get(), 30)
        await asyncio.wait_for(life, 30)
