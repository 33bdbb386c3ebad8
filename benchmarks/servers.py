"""Server processes: started on free loopback ports, measured, ended by their own id."""

from __future__ import annotations

import http.client
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 30.0  # seconds until a server has to answer
OUT_OF_REACH = {
    "RINGFENCE_TRAFFIC_LIMITS_ADDRESS": "100000000/minute",
    "RINGFENCE_TRAFFIC_LIMITS_ACCOUNT": "100000000/minute",
}
"""Limits that are counted and never reached, as for the other targets."""


@dataclass(frozen=True, slots=True)
class Server:
    """One running target: uvicorn with uvloop and httptools, one worker."""

    target: str
    port: int
    process: subprocess.Popen[bytes]

    def cpu_seconds(self) -> float:
        """Return user and system time of the process, all its threads included.

        Reads the process's own clock, clock_getcpuclockid(3), in nanoseconds; the
        ticks of /proc are a hundredth of a second.
        """
        return time.clock_gettime((~self.process.pid << 3) | 2)


@contextmanager
def serving(
    targets: Iterable[str],
    folder: Path,
    environment: Mapping[str, str] = OUT_OF_REACH,
    own: Mapping[str, Mapping[str, str]] | None = None,
) -> Iterator[list[Server]]:
    """Start every target, and end every one whatever happens.

    Args:
        targets: names of ``apps.TARGETS``; one that runs in several settings has a word
            and a colon before its name.
        folder: for what they write.
        environment: settings beside those that all have.
        own: settings of single targets, beside these.
    """
    servers: list[Server] = []
    try:
        for target in targets:
            settings = {**environment, **(own or {}).get(target, {})}
            servers.append(_start(target, folder, settings))
        for server in servers:
            _await_answer(server)
        yield servers
    finally:
        for server in servers:
            server.process.terminate()
        for server in servers:
            try:
                server.process.wait(10)
            except subprocess.TimeoutExpired:
                server.process.kill()
                server.process.wait()


def data_of(target: str, folder: Path) -> Path:
    """Return where a target writes."""
    return folder / re.sub(r"\W+", "-", target)


def _start(target: str, folder: Path, settings: Mapping[str, str]) -> Server:
    data = data_of(target, folder)
    data.mkdir(exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        environment = {
            **os.environ,
            "RINGFENCE_ENV": "development",
            "RINGFENCE_DATA": str(data),
            "RINGFENCE_PUBLIC_ORIGINS": f"http://127.0.0.1:{port}",
            "RINGFENCE_IDENTITY_SESSIONS": "memory",
            **settings,
        }
        descriptor = listening.fileno()
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.serve", str(descriptor), target],
            env=environment,
            pass_fds=[descriptor],
        )
    return Server(target, port, process)


def _await_answer(server: Server) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if server.process.poll() is not None:
            message = f"{server.target} ended with {server.process.returncode}"
            raise RuntimeError(message)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        try:
            connection.request("GET", "/")
            connection.getresponse()
        except OSError:
            time.sleep(0.1)
        else:
            return
        finally:
            connection.close()
    message = f"{server.target} did not answer within {PATIENCE:.0f} seconds"
    raise RuntimeError(message)
