"""The yard, served by uvicorn from processes that tests can kill and replace."""

from __future__ import annotations

import multiprocessing
import os
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from tests.attacks.serving import ROOT, development, listener
from tests.faults import yard

_START_UP = 30.0  # seconds that a busy machine may take
_END = 10.0
_TICK = 0.02
_IMPORTED = ("tests.faults.take_clock", "tests.faults.warm")


def forks() -> ForkServerContext:
    """Return what starts processes that have imported already what they need: a
    hundred of them cost seconds, not minutes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_IMPORTED))
    with pytest.MonkeyPatch.context() as patch:
        # It ignores what it cannot import.
        patch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
        forkserver.ensure_running()
    return context


@dataclass(slots=True)
class Worker:
    """A process that serves."""

    process: BaseProcess
    holder: Connection


@dataclass(slots=True)
class Yard:
    """The application, in one process or several behind one socket.

    Args:
        folder: its data.
        environ: its settings.
        bound: where it listens.
    """

    folder: Path
    environ: dict[str, str]
    bound: socket.socket
    workers: list[Worker] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.bound.getsockname()[1])

    @property
    def log(self) -> Path:
        return self.folder / "yard.log"

    def orders(self) -> list[str]:
        """Return the numbers in the book, in the order of their coming."""
        book = self.folder / "orders"
        return book.read_text().split() if book.exists() else []

    def start(self) -> None:
        """Add a worker."""
        ours, theirs = multiprocessing.Pipe()
        process = forks().Process(
            target=yard.serve,
            args=(self.environ, self.bound, theirs, self.log),
            daemon=True,
        )
        process.start()
        theirs.close()
        self.workers.append(Worker(process, ours))

    def kill(self, place: int) -> None:
        """End a worker by SIGKILL and put a new one in its place."""
        self._bury(self.workers.pop(place), kill=True)
        self.start()

    def set_clock(self, place: int, ahead: float) -> None:
        """Set the wall clock of a worker so many seconds ahead of the machine's."""
        holder = self.workers[place].holder
        holder.send(ahead)
        if not holder.poll(_END):
            raise RuntimeError("the worker does not hear")
        holder.recv()

    def limit_files(self, size: int = resource.RLIM_INFINITY) -> None:
        """Let no worker write beyond so many bytes of any file, as a full disk does;
        without ``size`` there is room again."""
        for worker in self.workers:
            resource.prlimit(
                worker.process.pid,
                resource.RLIMIT_FSIZE,
                (size, resource.RLIM_INFINITY),
            )

    def stop(self) -> None:
        """End all workers, in good order where they do so in time."""
        for worker in self.workers:
            worker.process.terminate()
        while self.workers:
            self._bury(self.workers.pop())

    def _bury(self, worker: Worker, *, kill: bool = False) -> None:
        if kill:
            worker.process.kill()
        worker.process.join(_END)
        if worker.process.exitcode is None:
            worker.process.kill()
            worker.process.join(_END)
        worker.process.close()
        worker.holder.close()

    def await_serving(self) -> None:
        """Return when it answers."""
        end = time.monotonic() + _START_UP
        while time.monotonic() < end:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as probe:
                    host = f"127.0.0.1:{self.port}"
                    probe.sendall(
                        f"GET /open HTTP/1.1\r\nHost: {host}\r\n"
                        "Connection: close\r\n\r\n".encode()
                    )
                    if probe.recv(15).startswith(b"HTTP/1.1 200"):
                        return
            except OSError:
                pass
            if all(worker.process.exitcode is not None for worker in self.workers):
                break
            time.sleep(_TICK)
        raise RuntimeError(f"the yard does not answer:\n{self.log.read_text()}")


@contextmanager
def running_yard(folder: Path, *, workers: int = 1, **settings: str) -> Iterator[Yard]:
    """Serve the yard from as many processes for as long as the block lasts.

    Args:
        folder: for its data.
        workers: processes behind one socket.
        settings: ``store="redis://..."`` and others that would be in the environment
            as ``RINGFENCE_STORE``.
    """
    folder.mkdir(exist_ok=True)
    environ = development(folder)
    environ |= {f"RINGFENCE_{name.upper()}": text for name, text in settings.items()}
    environ["RINGFENCE_TRAFFIC_LIMITS_ADDRESS"] = "1000000/minute"
    environ["RINGFENCE_TRAFFIC_LIMITS_ACCOUNT"] = "1000000/minute"
    with ExitStack() as stack:
        bound = stack.enter_context(listener())
        served = Yard(folder, environ, bound)
        stack.callback(served.stop)
        for _ in range(workers):
            served.start()
        served.await_serving()
        yield served
