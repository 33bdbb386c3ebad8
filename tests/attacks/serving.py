"""Real servers on loopback: an application in a thread, or a command of its own."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import uvicorn
from starlette.types import ASGIApp, Message
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

ROOT = Path(__file__).resolve().parents[2]
PYTHON = (sys.executable, "-m")
RINGFENCE = (str(Path(sys.executable).parent / "ringfence"),)
START_UP = 60.0  # seconds that a command may take on a busy machine
_TICK = 0.05

# Plain http: clients need not load the certificates of the world, 50 ms each time.
NO_TLS = False

_kept: list[socket.socket] = []  # ports, for as long as the tests run

# Tests that inject and tests that throttle are kept apart: a wall of 429 would hide
# what the former are to find.
RAISED = {
    "RINGFENCE_IDENTITY_SIGN_INS_PER_ADDRESS": "100000",
    "RINGFENCE_IDENTITY_SIGN_INS_GLOBAL": "100000",
    "RINGFENCE_IDENTITY_SIGN_IN_FAILURES": "100",
    "RINGFENCE_IDENTITY_REGISTRATIONS_PER_ADDRESS": "100000",
    "RINGFENCE_IDENTITY_REGISTRATIONS_GLOBAL": "100000",
    "RINGFENCE_IDENTITY_SPRAY_ACCOUNTS": "1000",
}


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers at ``port`` of loopback."""

    port: int

    @property
    def url(self) -> str:
        """The address with the number, a site of its own beside ``other_site``."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def other_site(self) -> str:
        """The same server under another name: for a browser, another site."""
        return f"http://localhost:{self.port}"


@dataclass(frozen=True, slots=True)
class Process(Server):
    """A server that is a process of its own."""

    pid: int
    data: Path
    printed: tuple[str, ...] = ()


def listener() -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.bind(("127.0.0.1", 0))
    bound.listen()
    return bound


def free_port() -> int:
    """Return a port that only a server can take that asks for it by its number.

    The socket stays bound, as servers with SO_REUSEADDR allow: else the kernel would
    give the number away again, to another server or as the near end of a connection,
    while ours is still being started.
    """
    kept = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind(("127.0.0.1", 0))
    _kept.append(kept)
    return int(kept.getsockname()[1])


@contextmanager
def served(
    make_app: Callable[[int], ASGIApp],
    *,
    protocol: type[HttpToolsProtocol] = HttpToolsProtocol,
    loop: str = "auto",
) -> Iterator[Server]:
    """Serve ``make_app(port)`` from a thread, over real HTTP, on uvloop if not said
    otherwise."""
    with listener() as bound:
        port = bound.getsockname()[1]
        config = uvicorn.Config(
            make_app(port),
            http=protocol,
            loop=loop,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([bound],))
        thread.start()
        try:
            while not server.started and thread.is_alive():
                thread.join(_TICK)
            yield Server(port)
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def running(
    command: Sequence[str], *, env: Mapping[str, str], log: Path
) -> Iterator[subprocess.Popen[str]]:
    """Run a command; end it, and only it, afterwards."""
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=dict(env),
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
        )
        try:
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=15)


def await_port(process: subprocess.Popen[str], port: int, log: Path) -> None:
    """Return when ``port`` accepts; fail when the process ends or takes too long."""
    for _ in range(int(START_UP / _TICK)):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        try:
            process.wait(_TICK)
        except subprocess.TimeoutExpired:
            continue
        break
    message = f"{process.args} does not answer on port {port}:\n{log.read_text()}"
    raise RuntimeError(message)


def lines_of(stream: IO[str], count: int) -> tuple[str, ...]:
    return tuple(stream.readline().rstrip("\n") for _ in range(count))


@asynccontextmanager
async def lifespan(app: ASGIApp) -> AsyncIterator[str]:
    """Start ``app`` as a server does; yield why it would not start, and stop it."""
    asked: asyncio.Queue[Message] = asyncio.Queue()
    told: asyncio.Queue[Message] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}}
    task = asyncio.create_task(app(scope, asked.get, told.put))
    await asked.put({"type": "lifespan.startup"})
    started = await told.get()
    try:
        yield started.get("message", "")
    finally:
        if started["type"] == "lifespan.startup.complete":
            await asked.put({"type": "lifespan.shutdown"})
            await told.get()
            await task
        else:  # a refused start is told, then raised, and a server ends with it
            await asyncio.gather(task, return_exceptions=True)


def create_account(data: Path, account: Mapping[str, str], *, role: str) -> None:
    """Make an account with a role, as an operator does on the command line."""
    command = [*RINGFENCE, "accounts", "create", "--password-stdin"]
    command += ["--email", account["email"], "--role", role]
    subprocess.run(
        command,
        cwd=ROOT,
        env=development(data),
        input=account["password"] + "\n",
        text=True,
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=START_UP,
    )


def development(data: Path) -> dict[str, str]:
    """Return the environment of a server in development, with room for many sign-ins,
    and nothing else of ours."""
    return {
        "PATH": os.environ["PATH"],
        "RINGFENCE_ENV": "development",
        "RINGFENCE_DATA": str(data),
        **RAISED,
    }
