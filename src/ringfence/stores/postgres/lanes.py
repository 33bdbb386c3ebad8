"""The read that every request makes, on connections of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from ringfence.errors import StoreBusyError, StoreError
from ringfence.exchange import own_work
from ringfence.stores.clock import StoreClock
from ringfence.stores.postgres.dial import Dial
from ringfence.stores.postgres.drivers import Fetch, Rows

_LANES = 2
_MOST_AT_ONCE = 256  # keys of one statement
_MOST_WAITING = 10_000
_GIVEN_UP = "the read was given up"

Row = Sequence[Any]
_Waiting = dict[bytes, list[asyncio.Future["Row | None"]]]


class ReadLanes:
    """Finds rows by their key, in one round trip each.

    Nothing is sent but the prepared statement: no ``BEGIN``, no ping, no ``ROLLBACK``.
    Where all lanes are busy, what comes in meanwhile goes together in the next
    statement, so that a burst costs a few round trips and not one each; each read still
    sees everything that was committed before it was asked for.

    A read changes nothing: if its connection is lost, it is sent once more on a new
    one. After ``timeout`` everybody who waits gets a ``StoreError``, and the connection
    is given up.

    Args:
        dial: makes the connections.
        query: finds rows by ``{keys}``: the key in the first column, the database's
            time in the last.
        clock: is told the database's time.
        timeout: seconds that a read may take.
    """

    def __init__(
        self, dial: Dial, query: str, clock: StoreClock, timeout: float
    ) -> None:
        self._dial = dial
        self._query = query
        self._clock = clock
        self._timeout = timeout
        self._waiting: _Waiting = {}
        self._idle: list[_Lane] = []
        self._lanes: list[_Lane] = []
        self._running: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Connect one lane, so that what is wrong is known now.

        Raises:
            StoreError: there is no connection, or the statement cannot be prepared.
        """
        self._lanes = [_Lane(self._dial, self._query) for _ in range(_LANES)]
        self._idle = list(self._lanes)
        await self.read(b"")

    async def close(self) -> None:
        """Give up what is going on, and close the connections. Idempotent."""
        lanes, self._lanes = self._lanes, []
        idle, self._idle = self._idle, []
        self._fail(self._take(len(self._waiting)), StoreError("the database is closed"))
        for lane in lanes:
            if lane not in idle:
                lane.cut()
        if self._running:
            await asyncio.wait(self._running)
        for lane in lanes:
            await lane.close()

    async def read(self, key: bytes) -> Row | None:
        """Return the row of a key, ``None`` if there is none.

        Raises:
            StoreError: the database does not answer, or too many are waiting already.
        """
        if not self._lanes:
            raise StoreError("the database is not open")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Row | None] = loop.create_future()
        same = self._waiting.get(key)
        if same is not None:
            same.append(answer)
        elif len(self._waiting) >= _MOST_WAITING:
            message = "too many reads wait for the database"
            raise StoreBusyError(message, retry_after=1)
        else:
            self._waiting[key] = [answer]
        if self._idle:
            task = loop.create_task(self._run(self._idle.pop()))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return await answer

    async def _run(self, lane: _Lane) -> None:
        """Answer until nobody waits any more."""
        own_work.set(True)  # for many requests at once, and for none of them
        try:
            while self._waiting:
                await self._answer(lane, self._take(_MOST_AT_ONCE))
        finally:
            if lane in self._lanes:
                self._idle.append(lane)
            self._fail(self._take(len(self._waiting)), StoreError(_GIVEN_UP))

    async def _answer(self, lane: _Lane, batch: _Waiting) -> None:
        failure = StoreError(_GIVEN_UP)
        try:
            _settle(batch, await self._ask(lane, list(batch)))
        except StoreError as error:
            failure = error
            # Who waits behind them would wait in vain for as long again.
            self._fail(self._take(len(self._waiting)), error)
        finally:
            self._fail(batch, failure)

    async def _ask(self, lane: _Lane, keys: list[bytes]) -> Rows:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._timeout
        deadline = loop.call_at(until, lane.cut)
        steady = self._clock.steady
        try:
            try:
                asked, rows = steady(), await lane.fetch(keys, until)
            except ConnectionResetError as error:
                if loop.time() >= until:
                    # As silent as this connection may be all others: a firewall that
                    # has forgotten one has forgotten them.
                    self._dial.drop()
                    raise StoreError("the database did not answer in time") from error
                asked, rows = steady(), await lane.fetch(keys, until)
        except ConnectionResetError as error:
            raise StoreError("the connection to the database was lost") from error
        finally:
            deadline.cancel()
        if rows:
            self._clock.hear(rows[0][-1], asked, steady())
        return rows

    def _take(self, most: int) -> _Waiting:
        waiting = self._waiting
        if len(waiting) <= most:
            self._waiting = {}
            return waiting
        keys = [key for key, _ in zip(waiting, range(most), strict=False)]
        return {key: waiting.pop(key) for key in keys}

    def _fail(self, batch: _Waiting, cause: StoreError) -> None:
        for answers in batch.values():
            for answer in answers:
                if not answer.done():
                    error = StoreError(str(cause))
                    error.__cause__ = cause.__cause__
                    answer.set_exception(error)


def _settle(batch: _Waiting, rows: Rows) -> None:
    for row in rows:
        for answer in batch[row[0]]:
            if not answer.done():
                answer.set_result(row)
    for answers in batch.values():
        for answer in answers:
            if not answer.done():
                answer.set_result(None)


class _Lane:
    """One connection, made when it is needed."""

    def __init__(self, dial: Dial, query: str) -> None:
        self._dial = dial
        self._driver = dial.driver
        self._query = query
        self._connection: Any = None
        self._fetch: Fetch | None = None
        self._dialled = 0

    async def fetch(self, keys: list[bytes], until: float) -> Rows:
        """Run the statement.

        Raises:
            ConnectionResetError: the connection is lost.
            StoreError: the server refuses, or there is no connection to be had.
        """
        driver = self._driver
        if self._connection is not None and (
            self._dialled != self._dial.generation or driver.is_gone(self._connection)
        ):
            await self.close()
        try:
            if self._fetch is None:
                self._dialled = self._dial.generation
                self._connection = await self._dial.connect(until)
                self._fetch = await driver.prepare(self._connection, self._query)
            return await self._fetch(keys)
        except driver.errors as error:
            # What is left of a connection that has failed is not worth an inquiry.
            is_lost = self._connection is None or driver.is_gone(self._connection)
            await self.close()
            if is_lost:
                raise ConnectionResetError from error
            raise self._dial.failure(error) from error

    def cut(self) -> None:
        """End what is going on."""
        if self._connection is not None:
            self._driver.cut(self._connection)

    async def close(self) -> None:
        """Close the connection. Idempotent."""
        connection, self._connection, self._fetch = self._connection, None, None
        if connection is None:
            return
        if self._driver.is_gone(connection):
            self._driver.cut(connection)
        await self._driver.close(connection)
