"""Load for a while and count answers: by wrk where it is installed, else by hand.

As a script it is the generator itself: ``python load.py PORT SECONDS < request``.
"""

from __future__ import annotations

import asyncio
import math
import re
import shutil
import subprocess
import sys
import tempfile

from benchmarks.visitor import Visit

CONNECTIONS = 32
GENERATOR = "wrk" if shutil.which("wrk") else "the bundled generator"


def load(visit: Visit, seconds: float) -> int:
    """Return how many requests were answered with 200.

    Raises:
        RuntimeError: something else was answered, or the connection broke.
    """
    return _wrk(visit, seconds) if GENERATOR == "wrk" else _bundled(visit, seconds)


def _wrk(visit: Visit, seconds: float) -> int:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(f'wrk.method = "{visit.method}"\n')
        script.writelines(
            f"wrk.headers[{_lua(name)}] = {_lua(value)}\n"
            for name, value in visit.headers.items()
        )
        if visit.body:
            script.write(f"wrk.body = {_lua(visit.body.decode())}\n")
        script.flush()
        command = [
            *(
                "wrk",
                "-t1",
                f"-c{CONNECTIONS}",
                f"-d{math.ceil(seconds)}s",
                "-s",
                script.name,
            ),
            f"http://127.0.0.1:{visit.port}/items",
        ]
        told = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=seconds + 30
        ).stdout
    counted = re.search(r"(\d+) requests in", told)
    if not counted or "Non-2xx" in told or "Socket errors" in told:
        raise RuntimeError(told)
    return int(counted[1])


def _lua(text: str) -> str:
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}"'


def _bundled(visit: Visit, seconds: float) -> int:
    command = [sys.executable, "-m", "benchmarks.load", str(visit.port), str(seconds)]
    done = subprocess.run(
        command,
        input=visit.raw(),
        capture_output=True,
        check=False,
        timeout=seconds + 30,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    return int(done.stdout)


class Caller(asyncio.Protocol):
    """One connection: sends the request, counts the answer, sends it again."""

    def __init__(self, request: bytes, until: float) -> None:
        self.request = request
        self.until = until
        self.answers = 0
        self.received = b""
        self.loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self.loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.transport.write(self.request)  # type: ignore[attr-defined]  # a stream

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not found:
            return
        length = re.search(rb"\r\ncontent-length: (\d+)", head, re.IGNORECASE)
        if not head.startswith(b"HTTP/1.1 200") or not length:
            self.finish(RuntimeError(head.decode("latin-1")))
        elif len(body) >= int(length[1]):
            self.received = b""
            self.answers += 1
            if self.loop.time() < self.until:
                self.transport.write(self.request)  # type: ignore[attr-defined]  # same
            else:
                self.finish(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.finish(exc or ConnectionError("closed by the server"))

    def finish(self, error: Exception | None) -> None:
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)
        self.transport.close()


async def generate(request: bytes, port: int, seconds: float) -> int:
    """Drive all connections at once until the time is over; return the answers."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    callers = [
        (
            await loop.create_connection(
                lambda: Caller(request, until), "127.0.0.1", port
            )
        )[1]
        for _ in range(CONNECTIONS)
    ]
    await asyncio.wait_for(
        asyncio.gather(*(caller.done for caller in callers)), seconds + 20
    )
    return sum(caller.answers for caller in callers)


if __name__ == "__main__":
    request = sys.stdin.buffer.read()
    print(asyncio.run(generate(request, int(sys.argv[1]), float(sys.argv[2]))))
