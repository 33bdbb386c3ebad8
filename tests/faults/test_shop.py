"""The shop, served by several workers as its README says, before a Redis."""

import asyncio
import os
import signal
import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.attacks.serving import (
    RINGFENCE,
    await_port,
    development,
    free_port,
    running,
)
from tests.faults.traffic import Paths, Traffic
from tests.faults.visitors import Line, Visitor
from tests.servers.valkey import await_true

PATHS = Paths("/api/products", "/auth/me", "/api/orders", {"product_id": "kale"})


@dataclass(frozen=True)
class Shop:
    """The shop with its workers."""

    port: int
    parent: int
    folder: Path

    def orders(self):
        with closing(sqlite3.connect(self.folder / "shop.db")) as database:
            return [number for (number,) in database.execute("SELECT id FROM orders")]

    def workers(self):
        """Return the ids of the processes that serve."""
        found = []
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                _, _, rest = status.read_text().rpartition(") ")
                state, parent, *_ = rest.split()
                line = (status.parent / "cmdline").read_bytes()
            except OSError:  # it has just ended
                continue
            if int(parent) == self.parent and b"spawn_main" in line and state != "Z":
                found.append(int(status.parent.name))
        return found


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.anyio
async def test_a_shop_that_loses_a_worker_and_its_store(valkey, tmp_path):
    """The other worker goes on, the store comes back, and a new worker by itself."""
    port, log = free_port(), tmp_path / "shop.log"
    command = (*RINGFENCE, "dev", "examples.shop:app", "--workers", "2")
    environ = development(tmp_path) | {"RINGFENCE_STORE": valkey.url}
    with running((*command, "--port", str(port)), env=environ, log=log) as process:
        await_port(process, port, log)
        shop = Shop(port, process.pid, tmp_path)
        line = Line(port)
        assert (await line.ask("GET", PATHS.open, Visitor())).status == 200
        line.close()
        traffic = Traffic(shop, "shop", cut=True, paths=PATHS)
        await traffic.settle()
        async with traffic.flowing():
            await traffic.until("answered", 40)
            lost, _ = shop.workers()
            os.kill(lost, signal.SIGKILL)
            await traffic.until("answered", 20)
            await asyncio.to_thread(valkey.restart)
            await traffic.recovered()
            await asyncio.to_thread(
                await_true,
                lambda: len({*shop.workers()} - {lost}) == 2,
                f"worker {lost} has not been replaced",
            )
            await traffic.until("answered", 20)
        await traffic.audit()
