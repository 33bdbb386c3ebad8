"""Server processes: started on free loopback ports, measured, ended by their own id."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE = 30.0  # seconds until a server has to answer


@dataclass(frozen=True, slots=True)
class Server:
    """One running target: uvicorn with uvloop and httptools, one worker."""

    target: str
    port: int
    process: subprocess.Popen[bytes]

    def cpu_seconds(self) -> float:
        """Return user and system time of the process, all its threads included."""
        text = Path(f"/proc/{self.process.pid}/stat").read_text("ascii")
        fields = text.rpartition(")")[2].split()
        # utime, stime and those of waited-for children: fields 14 to 17 of proc(5).
        return sum(int(field) for field in fields[11:15]) / TICKS


@contextmanager
def serving(targets: list[str], folder: Path) -> Iterator[list[Server]]:
    """Start every target, and end every one whatever happens."""
    servers: list[Server] = []
    try:
        servers += [_start(target, folder) for target in targets]
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


def _start(target: str, folder: Path) -> Server:
    port = _free_port()
    data = folder / target.replace(" ", "-")
    data.mkdir()
    environment = {
        **os.environ,
        "BENCH_TARGET": target,
        "RINGFENCE_ENV": "development",
        "RINGFENCE_DATA": str(data),
        "RINGFENCE_PUBLIC_ORIGINS": f"http://127.0.0.1:{port}",
    }
    command = [
        *(sys.executable, "-m", "uvicorn", "--factory", "benchmarks.apps:chosen"),
        *("--port", str(port), "--loop", "uvloop", "--http", "httptools"),
        *("--no-access-log", "--no-server-header", "--log-level", "warning"),
        "--no-proxy-headers",
    ]
    return Server(target, port, subprocess.Popen(command, env=environment))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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
