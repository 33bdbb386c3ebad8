"""One connection that all calls share, and that comes back by itself.

The calls of one turn of the event loop leave in one write; their replies come back in
order, so that a queue of futures is all that is needed to tell them apart.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final, NamedTuple

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from ringfence.errors import StoreBusyError, StoreError
from ringfence.exchange import own_work
from ringfence.stores.redis.address import Address
from ringfence.stores.redis.dial import BROKEN, Dial, Dialled, hang_up
from ringfence.stores.redis.failures import DownError, LostError, RefusedError
from ringfence.stores.redis.inspection import INFO, Facts
from ringfence.stores.redis.replies import replies_of

logger = logging.getLogger("ringfence.stores")

QUEUE: Final = 10_000
"""Calls under way at once, far more than a worker serves within one timeout."""

PAUSE: Final = (0.1, 0.3)
"""Seconds between attempts to connect, at random: many workers do not come at once, and
all of them are back within a second of the server's return."""

CHECK: Final = 1.0
"""Seconds between two looks at who answers: a promotion does not always end the
connections that it makes untrustworthy."""

SECOND_LOOK: Final = 0.02
"""Seconds. An event loop that was held up itself finds its replies waiting: only who is
late after it has had the time to read them is late."""

_ENDING: Final = frozenset({"READONLY", "LOADING", "MASTERDOWN", "NOAUTH", "WRONGPASS"})
"""Codes of replies after which the server is no longer the one that we connected to."""


class Entry(NamedTuple):
    """A call that is under way.

    Args:
        packed: what is sent.
        future: of who waits; done already where nobody does.
        deadline: of the event loop's clock.
        again: what is needed to ask in another way if the server refuses.
    """

    packed: bytes
    future: asyncio.Future[Any]
    deadline: float
    again: Any


Recover = Callable[["SharedConnection", Entry, RefusedError], bool]
"""Asks again in another way, for the same future; returns whether it does."""


class SharedConnection:
    """A connection to one server at a time, for all calls of one process.

    A call is sent at the end of the turn of the event loop in which it was made, once.
    It ends at its deadline. When the connection ends, so does everything that was sent
    and not answered, as ``LostError``. What was not sent waits for the next connection
    if that is made at once and the same server answers; else it fails, not executed.

    Args:
        dial: makes a connection.
        timeout: seconds that a call may take.
        recover: is asked about each call that carries ``again`` and is refused.
        on_down: is told when a connection has ended or cannot be made.

    Attributes:
        identity: of the server that answers, empty while there is none. A call that is
            made in the turn in which it was read reaches that server, or fails.
        address: of that server.
        round_trips: writes sent so far, our own looks at the server aside.
    """

    def __init__(
        self,
        dial: Dial,
        timeout: float,
        recover: Recover,
        on_down: Callable[[], None] = lambda: None,
    ) -> None:
        self.identity = b""
        self.round_trips = 0
        self._dial = dial
        self._timeout = timeout
        self._recover = recover
        self._on_down = on_down
        self.address = Address("?")
        self._why = "is not connected yet"
        self._is_missed = False
        self._is_open = False
        self._out: list[Entry] = []
        self._sent: deque[Entry] = deque()
        self._wake: asyncio.Future[None] | None = None
        self._ended: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_suspected = False
        self._keeper: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether calls are taken."""
        return self._is_open

    @property
    def why(self) -> str:
        """Why not."""
        return self._why

    async def start(self) -> None:
        """Connect, and stay connected until ``stop``.

        Raises:
            StoreError: the first attempt fails.
        """
        self._loop = asyncio.get_running_loop()
        dialled = await self._dial()
        self._open(dialled)
        self._keeper = self._loop.create_task(self._keep(dialled))

    def start_soon(self) -> None:
        """Connect in the background. Calls wait for the outcome of the first attempt,
        at most until their deadlines."""
        self._loop = asyncio.get_running_loop()
        self._is_open = True
        self._keeper = self._loop.create_task(self._keep(None))

    async def stop(self) -> None:
        """Close the connection and fail what is under way. Idempotent."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.wait([keeper])
        self._lose("is being disconnected")
        self._close("is disconnected")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def submit(self, packed: bytes, again: Any = None) -> asyncio.Future[Any]:
        """Send a command; return the future of its reply.

        Args:
            packed: the command.
            again: handed to ``recover``; ``None`` if there is no other way to ask.
        """
        future: asyncio.Future[Any] = self._loop.create_future()
        self._enqueue(packed, future, again)
        return future

    def resubmit(self, packed: bytes, entry: Entry, again: Any = None) -> None:
        """Send another command for a call that was refused, until the same deadline."""
        self._enqueue(packed, entry.future, again)
        expire_at(entry)

    def _enqueue(
        self, packed: bytes, future: asyncio.Future[Any], again: Any = None
    ) -> None:
        if not self._is_open or len(self._out) + len(self._sent) >= QUEUE:
            future.set_exception(self._refusal())
            return
        self._out.append(
            Entry(packed, future, self._loop.time() + self._timeout, again)
        )
        if self._wake is not None:
            self._wake.set_result(None)
            self._wake = None
        if self._timer is None:
            self._timer = self._loop.call_later(self._timeout, self._look)

    def _refusal(self) -> StoreError:
        if not self._is_open:
            return DownError(f"Redis at {self.address} {self._why}")
        message = f"{QUEUE} calls to Redis at {self.address} are under way"
        return StoreBusyError(message, retry_after=1)

    # Life of the connection

    async def _keep(self, dialled: Dialled | None) -> None:
        """Use one connection after the other."""
        own_work.set(True)  # or a request that names our server could keep us from it
        while True:
            if dialled is None:
                got = await self._attempt()
                if isinstance(got, BaseException):
                    self._miss(got)
                    self._on_down()
                    await asyncio.sleep(random.uniform(*PAUSE))  # noqa: S311 - spreads attempts, guards nothing
                    continue
                self._open(got)
                dialled = got
            await self._use(dialled.wire)
            dialled = None
            self._on_down()

    async def _attempt(self) -> Dialled | BaseException:
        """Connect, or return why not: whatever goes wrong, somebody has to try again.
        Who ends this waits for it: loops may leave a connection open that is given up
        half-made."""
        dialling = asyncio.ensure_future(self._dial())
        try:
            await asyncio.wait([dialling])
        except asyncio.CancelledError:
            await asyncio.wait([dialling])
            if dialling.exception() is None:
                await hang_up(dialling.result().wire)
            raise
        return dialling.exception() or dialling.result()

    def _open(self, dialled: Dialled) -> None:
        """Take calls. Those that wait were made for the server that was there before:
        another one must not get them."""
        identity = dialled.facts.identity
        if self.identity and self.identity != identity:
            self._fail_waiting("is another server, or has been restarted")
        self.identity, self.address = identity, dialled.address
        self._is_open = True
        if self._is_missed:
            logger.warning("Redis at %s is back", self.address)
        self._is_missed = False

    def _miss(self, error: BaseException) -> None:
        """Take no calls from a server that is down; say so in the log, once: while it
        is, each process counts limits by itself, and no visitor sees that."""
        reason = str(error).removeprefix(f"Redis at {self.address} ")
        self._close(f"is down: {reason}")
        if not self._is_missed:
            logger.warning("Redis at %s is down: %s", self.address, reason)
        self._is_missed = True

    def _close(self, why: str) -> None:
        """Take no calls, until there is a connection."""
        self._is_open = False
        self._why = why
        self.identity = b""
        self._fail_waiting(why)

    def _fail_waiting(self, why: str) -> None:
        waiting, self._out = self._out, []
        for entry in waiting:
            if not entry.future.done():
                entry.future.set_exception(DownError(f"Redis at {self.address} {why}"))

    async def _use(self, wire: AbstractConnection) -> None:
        """Read and write until the connection ends."""
        ended = self._ended = self._loop.create_future()
        work: list[Coroutine[Any, Any, None]] = [
            self._read(wire, self._sent),
            self._write(wire, self._sent),
            self._check(),
        ]
        tasks = [self._loop.create_task(each) for each in work]
        try:
            await asyncio.wait([ended, *tasks], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._lose("has broken the connection off")
            for task in tasks:
                task.cancel()
            try:
                await asyncio.wait(tasks)
            finally:
                await hang_up(wire)

    def _lose(self, why: str) -> None:
        """End the connection: nobody knows what became of what was sent."""
        if self._ended is None:
            return
        self._ended.set_result(None)
        self._ended = self._wake = None
        lost, self._sent = self._sent, deque()
        for entry in lost:
            if not entry.future.done():
                message = f"Redis at {self.address} {why}: a command may have been run"
                entry.future.set_exception(LostError(message))

    # Work on one connection

    async def _write(self, wire: AbstractConnection, sent: deque[Entry]) -> None:
        # Until it is lost: what waits then is for the next connection.
        while sent is self._sent:
            if not self._out:
                self._wake = self._loop.create_future()
                await self._wake
                continue
            batch, self._out = self._out, []
            sent.extend(batch)  # before the write: half of it may have arrived
            self.round_trips += batch[0].packed is not INFO
            packed = b"".join([entry.packed for entry in batch])
            try:
                await wire.send_packed_command(packed, check_health=False)
            except BROKEN:
                return

    async def _read(self, wire: AbstractConnection, sent: deque[Entry]) -> None:
        replies = replies_of(wire)
        while True:
            try:
                found = await replies.next()
            except BROKEN:
                return
            for reply in found:
                if not sent:
                    return  # the answer to nothing: it is out of step
                entry = sent.popleft()  # always: a caller may have gone
                if isinstance(reply, RedisError):
                    self._refused(entry, reply)
                elif not entry.future.done():
                    entry.future.set_result(reply)

    def _refused(self, entry: Entry, error: Exception) -> None:
        """Pass an error on. It is of one command: the next reply is the next call's."""
        refusal = _refusal_of(error, str(self.address))
        is_recovered = (
            entry.again is not None
            and not entry.future.done()
            and self._recover(self, entry, refusal)
        )
        if not (is_recovered or entry.future.done()):
            entry.future.set_exception(refusal)
        if refusal.code in _ENDING:
            self._lose(f"is no longer what it was ({refusal.code})")

    async def _check(self) -> None:
        """Look once a second who answers, also while nobody asks anything."""
        while True:
            await asyncio.sleep(CHECK)
            try:
                facts = Facts.read(await self.submit(INFO))
            except RefusedError as error:
                self._lose(f"refuses INFO ({error.code})")
                return
            except StoreBusyError:
                continue  # others have asked enough to see that it answers
            except StoreError:
                return
            if facts.identity != self.identity or not facts.is_primary:
                self._lose("is no longer the server that it was")
                return

    # Deadlines

    def _look(self) -> None:
        """See whether the first in the queue is late. It was asked first, so that all
        others have later deadlines: one timer is enough."""
        self._timer = None
        head = self._sent[0] if self._sent else self._out[0] if self._out else None
        if head is None:
            self._is_suspected = False
            return
        left = head.deadline - self._loop.time()
        if left <= 0 and self._is_suspected:
            self._give_up()
            self._is_suspected = False
            left = self._timeout
        elif left <= 0:
            self._is_suspected = True
            left = SECOND_LOOK
        else:
            self._is_suspected = False
        self._timer = self._loop.call_later(left, self._look)

    def _give_up(self) -> None:
        """A late reply is a late connection: what follows is behind it."""
        if self._sent:
            self._lose(f"has not answered within {self._timeout} s")
        else:
            self._fail_waiting(f"cannot be connected to within {self._timeout} s")


def expire_at(entry: Entry) -> None:
    """End a call at its deadline that goes on elsewhere, behind others."""
    future = entry.future
    loop = future.get_loop()

    def look() -> None:
        if not future.done():
            loop.call_later(SECOND_LOOK, expire)

    def expire() -> None:
        if not future.done():
            future.set_exception(LostError("Redis has not answered in time"))

    timer = loop.call_at(entry.deadline, look)
    future.add_done_callback(lambda _: timer.cancel())


def _code(error: Exception) -> str:
    return getattr(error, "status_code", None) or ""


def _refusal_of(error: Exception, where: str) -> RefusedError:
    code, text = _code(error), str(error)
    if not code:
        code, _, text = text.partition(" ")
    return RefusedError(code, text, where)
