"""Load: a fixed number of requests over connections that stay open.

Slices are short (a tenth of a second), so that targets can take turns faster than a
busy machine changes its mind. ``wrk`` cannot do less than a second; with ``--wrk`` it
is used all the same.
"""

from __future__ import annotations

import asyncio
import math
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from benchmarks.visitor import Visit

CONNECTIONS = 32
PATIENCE = 60.0  # seconds for one slice

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)


class Load:
    """Open connections to one target, each with one request under way at a time.

    Args:
        visit: what all of them send.
        status: what has to be answered.
        others: what the second, the third connection and so on send instead.
    """

    def __init__(
        self, visit: Visit, status: bytes = b"200", others: Sequence[Visit] = ()
    ) -> None:
        self._requests = [one.raw() for one in (visit, *others)]
        self._port = visit.port
        self._expected = b"HTTP/1.1 " + status
        self._strict = True
        self._callers: list[_Caller] = []
        self._to_send = 0
        self._to_come = 0
        self._lost = ""
        self._done: asyncio.Future[None] | None = None

    async def open(self) -> None:
        """Open the connections."""
        loop = asyncio.get_running_loop()
        for number in range(CONNECTIONS):
            request = self._requests[number % len(self._requests)]
            _, caller = await loop.create_connection(
                partial(_Caller, self, request), "127.0.0.1", self._port
            )
            self._callers.append(caller)

    def close(self) -> None:
        """Close them."""
        for caller in self._callers:
            caller.close()

    async def send(self, requests: int) -> None:
        """Send so many requests, over all connections at once, and await the answers.

        Raises:
            RuntimeError: something else than expected was answered.
        """
        if self._lost:
            raise RuntimeError(self._lost)
        self._done = asyncio.get_running_loop().create_future()
        self._to_send = self._to_come = requests
        for caller in self._callers:
            self.feed(caller)
        await asyncio.wait_for(self._done, PATIENCE)

    async def use_up(self, requests: int) -> None:
        """Send so many requests, whatever is answered."""
        self._strict = False
        await self.send(requests)
        self._strict = True

    def feed(self, caller: _Caller) -> None:
        """Give a connection its next request, while there are any."""
        if self._to_send:
            self._to_send -= 1
            caller.ask()

    def answered(self, caller: _Caller, head: bytes) -> None:
        """Count an answer."""
        if self._strict and not head.startswith(self._expected):
            self.failed(head.decode("latin-1"))
            return
        self._to_come -= 1
        self.feed(caller)
        if not self._to_come and self._done and not self._done.done():
            self._done.set_result(None)

    def failed(self, told: str) -> None:
        """Give up: what was measured is no answer."""
        self._lost = told
        if self._done and not self._done.done():
            self._done.set_exception(RuntimeError(told))


class _Caller(asyncio.Protocol):
    """One connection."""

    _transport: asyncio.WriteTransport

    def __init__(self, load: Load, request: bytes) -> None:
        self._load = load
        self._request = request
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's is of no kind

    def ask(self) -> None:
        self._transport.write(self._request)

    def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head) if found else None
        if length and len(body) >= int(length[1]):
            self._received = b""
            self._load.answered(self, head)

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.failed(f"the server closed a connection: {exc}")


def wrk(visit: Visit, seconds: float) -> int:
    """Load with ``wrk`` for some seconds; return how many requests were answered.

    Raises:
        RuntimeError: something else than 200 was answered, or a connection broke.
    """
    with _script(visit) as script:
        command = [
            *("wrk", "-t1", f"-c{CONNECTIONS}", f"-d{math.ceil(seconds)}s"),
            *("-s", script, f"http://127.0.0.1:{visit.port}/items"),
        ]
        told = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=PATIENCE
        ).stdout
    counted = re.search(r"(\d+) requests in", told)
    if not counted or "Non-2xx" in told or "Socket errors" in told:
        raise RuntimeError(told)
    return int(counted[1])


@contextmanager
def _script(visit: Visit) -> Iterator[str]:
    lines = [f'wrk.method = "{visit.method}"']
    lines += [
        f"wrk.headers[{_lua(name)}] = {_lua(value)}"
        for name, value in visit.headers.items()
    ]
    if visit.body:
        lines.append(f"wrk.body = {_lua(visit.body.decode())}")
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write("\n".join(lines))
        script.flush()
        yield script.name


def _lua(text: str) -> str:
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}"'
