"""Letters on their way: a bounded queue that no request waits for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Protocol

from ringfence.audit.events import Event, LetterLost
from ringfence.errors import DeliveryError, StoreError
from ringfence.exchange import own_work
from ringfence.identity.mail.letter import Letter

logger = logging.getLogger("ringfence.identity")

_CARRIERS = 4  # letters handed over at once
_WAITS = (5.0, 60.0, 300.0)  # seconds before a letter is tried again
_PATIENCE = 5.0  # seconds that the end of the server waits for letters on their way

Errand = Callable[[], Awaitable[Letter | None]]
"""Writes a letter when its turn comes, or finds that there is none to write."""


class Carrier(Protocol):
    """Hands letters over."""

    async def carry(self, message: EmailMessage) -> None:
        """Hand one over.

        Raises:
            DeliveryError: it could not be.
        """


@dataclass(frozen=True, slots=True, eq=False)
class _Posted:
    errand: Errand
    tries: int = 0


class Mailbox:
    """Takes letters, and has them carried beside the requests.

    A request never waits for a letter, nor for finding out whether there is one to
    write: else its time would tell which addresses are known (CWE-208). What is
    queued is an *errand*, of the same size for everybody; all that depends on the
    account happens when its turn comes.

    Args:
        carrier: hands them over.
        sender: whom they come from.
        record: takes the events.
        size: letters that may wait; more are dropped.
        waits: seconds before a letter that failed is tried again, one a try.

    Not covered: letters that wait when the process dies are lost; whoever waits for
    one asks again.
    """

    def __init__(
        self,
        carrier: Carrier,
        sender: Address,
        *,
        record: Callable[[Event], None],
        size: int = 1000,
        waits: tuple[float, ...] = _WAITS,
    ) -> None:
        self._carrier = carrier
        self._sender = sender
        self._record = record
        self._size = size
        self._waits = waits
        self._queue: asyncio.Queue[_Posted] | None = None
        self._later: dict[_Posted, asyncio.TimerHandle] = {}
        self._carriers: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> int:
        """How many letters wait: to be carried, or to be tried again."""
        queued = 0 if self._queue is None else self._queue.qsize()
        return queued + len(self._later)

    def send(self, letter: Letter) -> bool:
        """Take a letter; return ``False`` if there is no room for it. Never waits."""

        async def written() -> Letter:
            return letter

        return self.write(written, kind=letter.kind, account=letter.account)

    def write(self, errand: Errand, *, kind: str, account: str = "") -> bool:
        """Take an errand; return ``False`` if there is no room for it. Never waits.

        Args:
            errand: writes the letter; may raise ``StoreError``.
            kind: of letter, for the ledger.
            account: whose it is, if that is known.
        """
        if self._queue is None or self.waiting >= self._size:
            self._lose(kind, account, "too many letters wait")
            return False
        self._queue.put_nowait(_Posted(errand))
        return True

    async def start(self) -> None:
        """Begin to carry letters."""
        self._queue = asyncio.Queue()
        for _ in range(_CARRIERS):
            self._begin(self._queue)

    async def stop(self) -> None:
        """Carry what is ready, for a few seconds, and end. Idempotent."""
        queue, self._queue = self._queue, None
        if queue is None:
            return
        try:
            await asyncio.wait_for(queue.join(), _PATIENCE)
        except TimeoutError:
            logger.warning("letters were on their way at the end and are lost")
        carriers, self._carriers = self._carriers, set()
        for carrier in carriers:
            carrier.cancel()
        if carriers:
            await asyncio.wait(carriers)
        for timer in self._later.values():
            timer.cancel()
        lost = queue.qsize() + len(self._later)
        self._later.clear()
        if lost:
            self._lose("", "", f"the server ended before {lost} could be sent")

    async def settle(self) -> None:
        """Wait until everything that was ready is carried; what is tried again later
        is not waited for."""
        if self._queue is not None:
            await self._queue.join()

    def _begin(self, queue: asyncio.Queue[_Posted]) -> None:
        carrier = asyncio.create_task(self._work(queue))
        self._carriers.add(carrier)
        carrier.add_done_callback(self._ended)

    def _ended(self, carrier: asyncio.Task[None]) -> None:
        """Go on with the next letter where one has failed in a way that nobody has
        foreseen."""
        self._carriers.discard(carrier)
        if carrier.cancelled() or carrier.exception() is None:
            return
        logger.error("a letter could not be written", exc_info=carrier.exception())
        self._lose("", "", type(carrier.exception()).__name__)
        if self._queue is not None:
            self._begin(self._queue)

    async def _work(self, queue: asyncio.Queue[_Posted]) -> None:
        own_work.set(True)  # a request that names our server must not keep us from it
        while True:
            posted = await queue.get()
            try:
                await self._run(posted)
            finally:
                queue.task_done()

    async def _run(self, posted: _Posted) -> None:
        try:
            letter = await posted.errand()
        except StoreError as error:
            self._lose("", "", str(error))
            return
        if letter is None:
            return
        try:
            await self._carrier.carry(letter.message(self._sender))
        except DeliveryError as error:
            self._failed(letter, posted.tries, error)

    def _failed(self, letter: Letter, tries: int, error: DeliveryError) -> None:
        if error.lasting or tries >= len(self._waits) or self._queue is None:
            self._lose(letter.kind, letter.account, str(error))
            return
        logger.warning("a letter waits, since %s", error)

        async def again() -> Letter:
            return letter

        posted = _Posted(again, tries + 1)
        loop = asyncio.get_running_loop()
        self._later[posted] = loop.call_later(
            self._waits[tries], self._try_again, posted
        )

    def _try_again(self, posted: _Posted) -> None:
        del self._later[posted]
        if self._queue is not None:
            self._queue.put_nowait(posted)

    def _lose(self, kind: str, account: str, reason: str) -> None:
        self._record(LetterLost(account=account, kind=kind, reason=reason))
