"""A TCP proxy between an application and its store that can do what networks do:
refuse, cut, delay, stall, and lose the replies to what has been executed.

It runs in a thread with a loop of its own, so that its client may be any process. Its
methods return when what they ask for holds.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

from tests.attacks.serving import free_port

_CHUNK = 1 << 16
_WAIT = 10.0  # seconds for the thread to do as it is told
_RESET = struct.pack("ii", 1, 0)  # lingering for 0 s: the peer sees a reset
Way = Literal["request", "reply"]


@dataclass(slots=True)
class Link:
    """One connection, and what went over it.

    Args:
        sent: bytes from the client.
        received: bytes from the server, lost ones too.
        round_trips: bursts of requests that came after a reply, or first.
    """

    sent: int = 0
    received: int = 0
    round_trips: int = 0
    open: bool = True
    _last: Way = "reply"

    def _count(self, way: Way, size: int) -> None:
        if way == "request":
            self.sent += size
            self.round_trips += self._last == "reply"
        else:
            self.received += size
        self._last = way


@dataclass(slots=True)
class Proxy:
    """A running proxy.

    Args:
        port: where it listens, on loopback.
        target: the port of the server behind it, or the path of its socket.
    """

    port: int
    target: int | str
    links: list[Link] = field(default_factory=list)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _tls: ssl.SSLContext | None = None
    _delays: dict[Way, float] = field(default_factory=dict)
    _losing: int = 0
    _flowing: asyncio.Event = field(default_factory=asyncio.Event)
    _listening: asyncio.Server | None = None
    _ends: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    # What tests ask for.

    def refuse(self) -> None:
        """Refuse new connections and cut those that are."""
        self._do(self._unlisten)
        self.cut()

    def accept(self) -> None:
        """Take connections again."""
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(_WAIT)

    def cut(self) -> None:
        """Reset all connections; new ones may come."""
        self._do(self._reset)

    def delay(self, *, request: int = 0, reply: int = 0) -> None:
        """Hold back what goes each way, from now on.

        Args:
            request: ms on the way to the server.
            reply: ms on the way back.
        """
        self._delays = {"request": request / 1000, "reply": reply / 1000}

    def lose_replies(self, times: int = 1_000_000) -> None:
        """Let requests through, drop the next replies, each with its connection: the
        server has done what its client cannot know to be done.

        Args:
            times: how many; 0 ends it.
        """
        self._losing = times

    def pause(self) -> None:
        """Forward nothing; connections stay, and new ones come."""
        self._do(self._flowing.clear)

    def resume(self) -> None:
        """Forward what has waited."""
        self._do(self._flowing.set)

    def forget(self) -> None:
        """Count from 0 again, on the connections that are."""
        self._do(self._forget)

    @property
    def connections(self) -> int:
        """How many there have been."""
        return len(self.links)

    @property
    def open(self) -> int:
        """How many there are."""
        return sum(link.open for link in self.links)

    @property
    def round_trips(self) -> int:
        """Of all connections."""
        return sum(link.round_trips for link in self.links)

    # In the thread.

    def _do(self, action: Callable[[], object]) -> None:
        done: Future[None] = Future()

        def act() -> None:
            action()
            done.set_result(None)

        self._loop.call_soon_threadsafe(act)
        done.result(_WAIT)

    async def _listen(self) -> None:
        self._listening = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, ssl=self._tls, reuse_address=True
        )

    def _unlisten(self) -> None:
        if self._listening is not None:
            self._listening.close()
            self._listening = None

    def _reset(self) -> None:
        for writer in tuple(self._ends):
            _abort(writer)

    def _forget(self) -> None:
        self.links[:] = [link for link in self.links if link.open]
        for link in self.links:
            link.sent = link.received = link.round_trips = 0

    async def _serve(
        self, reader: asyncio.StreamReader, client: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        link = Link()
        self.links.append(link)
        self._ends.add(client)
        try:
            # CancelledError ends a proxy that stops; OSError, a server that is away.
            with suppress(OSError, asyncio.CancelledError):
                replies, server = await self._dial()
                self._ends.add(server)
                try:
                    await self._relay(link, (reader, server), (replies, client))
                finally:
                    self._ends.discard(server)
                    _abort(server)
        finally:
            link.open = False
            self._ends.discard(client)
            _abort(client)
            self._tasks.discard(task)

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self.target, str):
            return await asyncio.open_unix_connection(self.target)
        return await asyncio.open_connection("127.0.0.1", self.target)

    async def _relay(
        self,
        link: Link,
        there: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        back: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        ways = {
            asyncio.ensure_future(self._pump(link, "request", *there)),
            asyncio.ensure_future(self._pump(link, "reply", *back)),
        }
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pump(
        self,
        link: Link,
        way: Way,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
    ) -> None:
        """Forward until one end closes. Reading goes on while what was read waits, so
        that a delay is no limit of the throughput."""
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        sending = asyncio.ensure_future(self._send(waiting, sink))
        try:
            while chunk := await source.read(_CHUNK):
                link._count(way, len(chunk))
                if way == "reply" and self._losing > 0:
                    self._losing -= 1
                    return
                due = self._loop.time() + self._delays.get(way, 0.0)
                waiting.put_nowait((due, chunk))
            await waiting.join()
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _send(
        self, waiting: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter
    ) -> None:
        while True:
            due, chunk = await waiting.get()
            if (left := due - self._loop.time()) > 0:
                await asyncio.sleep(left)
            await self._flowing.wait()
            sink.write(chunk)
            with suppress(OSError):
                await sink.drain()
            waiting.task_done()

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._flowing.set()
        self._loop.run_until_complete(self._listen())
        started.set()
        self._loop.run_forever()
        self._unlisten()
        self._loop.run_until_complete(self._end())
        self._loop.close()

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # transports close one turn after they are aborted


@contextmanager
def running_proxy(
    target: int | str, *, tls: ssl.SSLContext | None = None
) -> Iterator[Proxy]:
    """Listen on a free port of loopback and forward to ``target`` for as long as the
    block lasts.

    Args:
        target: the port of the server behind, or the path of its socket.
        tls: what the proxy shows to clients; the server itself speaks without.
    """
    proxy = Proxy(free_port(), target, _tls=tls)
    started = threading.Event()
    thread = threading.Thread(target=proxy._run, args=(started,), daemon=True)
    thread.start()
    try:
        if not started.wait(_WAIT):
            raise RuntimeError("the proxy has not started")
        yield proxy
    finally:
        proxy._loop.call_soon_threadsafe(proxy._loop.stop)
        thread.join(_WAIT)


def _abort(writer: asyncio.StreamWriter) -> None:
    end = writer.get_extra_info("socket")
    if end is not None:
        with suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
