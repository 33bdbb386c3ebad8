"""Budgets counted in a database, for all processes that have it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import LargeBinary, bindparam, delete, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from ringfence.clock import Clock
from ringfence.errors import StoreBusyError, StoreError
from ringfence.exchange import own_work
from ringfence.stores.contracts import Charge, Verdict, counter_key
from ringfence.stores.distinct import Distinct
from ringfence.stores.memory_counters import Kept, MemoryCounters
from ringfence.stores.schema import counters
from ringfence.stores.sql import Database

_MOST_AT_ONCE = 64  # decisions in one transaction
_MOST_WAITING = 4_096
_LONGEST_WAIT = 5.0
"""Seconds for which a decision may wait for its turn: where the database is slow, but
answers, those behind would wait for minutes, and nobody for them any more."""
_MOST_MEMBERS = 1_024
_SWEEP_SECONDS = 10.0
_SWEPT = 1_000  # rows that are forgotten at once
_SHORT = 7  # bytes of a member's digest: what Python hashes to itself
_OF_BUDGET, _OF_MEMBERS = b"b", b"m"  # what a state begins with
_MEMBERS = "members"
_GIVEN_UP = "the decision was given up"
_LATE = "the database is too slow for all decisions that wait for it"

_LOCK = text("""
    INSERT INTO ringfence_counters (key, state, expires)
    SELECT key, ''::bytea, 0 FROM unnest(:keys) AS wanted (key) ORDER BY key
    ON CONFLICT (key) DO UPDATE SET key = excluded.key
    RETURNING key, state, extract(epoch FROM clock_timestamp())::float8
""").bindparams(bindparam("keys", type_=ARRAY(LargeBinary)))
"""Locks the rows of keys in the order of the keys, so that nobody waits in a circle,
and makes those that are missing, so that there is something to lock."""

_READ = select(counters.c.key, counters.c.state).where(
    counters.c.key.in_(bindparam("keys", expanding=True))
)

_KEEP = text("""
    INSERT INTO ringfence_counters (key, state, expires)
    VALUES (:key, :state, :expires)
    ON CONFLICT (key) DO UPDATE
    SET state = excluded.state, expires = excluded.expires
""").bindparams(bindparam("state", type_=LargeBinary))

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Kept).decode
_unpack_members = msgspec.msgpack.Decoder(dict[int, float]).decode

Step = Callable[["Shelf"], Awaitable[Any]]


class SqlCounters:
    """Count in a database. Implements ``CounterStore``.

    The rows of all keys that a decision is about are locked, and the decision is the
    one that ``MemoryCounters`` makes: of any number of processes together no more pass
    than one alone would let pass. Decisions that come in while a transaction is under
    way go together in the next one, one after the other: a burst costs a few
    transactions and not one each.

    A row is forgotten once its budget is whole again, so that ``coarser`` keys are not
    needed.

    Args:
        database: keeps them.
        shelf: whose keys these are.
        clock: tells the time where the database does not: PostgreSQL does, by its
            ``clock_timestamp()``; processes that share a file are on one machine.

    Not covered: the size of the table while a flood of names lasts; it is on the disk,
    and each name takes about 100 bytes until its budget is whole again.

    Source: CWE-307, CWE-770, CWE-799; ASVS 5.0 V2.4.1, V6.3.1.
    """

    def __init__(
        self, database: Database, shelf: str, clock: Clock | None = None
    ) -> None:
        self._database = database
        self._shelf = shelf
        self._clock = clock
        self._waiting: list[_Waiting] = []
        self._running: asyncio.Task[None] | None = None
        self._sweep_at = 0.0
        self._now = 0.0

    async def take(self, charges: Sequence[Charge]) -> Verdict:
        """Take all charges or none."""
        keys = [charge.key for charge in charges]
        verdict: Verdict = await self._do(keys, lambda shelf: shelf.take(charges))
        return verdict

    async def give_back(self, charges: Sequence[Charge], at: float) -> None:
        """Return what ``take`` took then."""
        keys = [charge.key for charge in charges]
        await self._do(keys, lambda shelf: shelf.give_back(charges, at))

    async def lift(self, keys: Sequence[bytes]) -> None:
        """End holds and forget what was counted."""
        await self._do(keys, lambda shelf: shelf.lift(keys))

    async def distinct(self, key: bytes, member: bytes, period: float) -> int:
        """Count a member; return how many different ones there were lately, 1,024 at
        most."""
        kept_at = counter_key(_MEMBERS, key)
        count: int = await self._do(
            [kept_at], lambda shelf: shelf.distinct(kept_at, member, period)
        )
        return count

    async def close(self) -> None:
        """Wait for what is under way."""
        if self._running is not None:
            await asyncio.wait([self._running])

    async def _do(self, keys: Iterable[bytes], step: Step) -> Any:
        if len(self._waiting) >= _MOST_WAITING:
            message = "too many decisions wait for the database"
            raise StoreBusyError(message, retry_after=1)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        names = {key: self._digest(key) for key in keys}
        until = loop.time() + _LONGEST_WAIT
        self._waiting.append(_Waiting(names, step, answer, until))
        if self._running is None:
            self._running = loop.create_task(self._run())
        return await answer

    async def _run(self) -> None:
        own_work.set(True)  # for many requests at once, and for none of them
        try:
            while self._waiting:
                some = self._waiting[:_MOST_AT_ONCE]
                del self._waiting[:_MOST_AT_ONCE]
                now = asyncio.get_running_loop().time()
                late = [one for one in some if one.until < now]
                _fail(late, _LATE)
                if batch := [one for one in some if not one.answer.done()]:
                    await self._answer(batch)
                    await self._sweep()
        finally:
            self._running = None
            _fail(self._waiting, _GIVEN_UP)
            self._waiting.clear()

    async def _answer(self, batch: Sequence[_Waiting]) -> None:
        error = StoreError(_GIVEN_UP)
        try:
            async with self._database.writing() as connection:
                results = await self._decided(connection, batch)
            for one, result in zip(batch, results, strict=True):
                if not one.answer.done():
                    one.answer.set_result(result)
        except StoreError as cause:
            # Who waits behind them would wait in vain for as long again.
            batch, error = [*batch, *self._waiting], cause
            self._waiting.clear()
        finally:
            _fail(batch, error)

    async def _decided(
        self, connection: AsyncConnection, batch: Sequence[_Waiting]
    ) -> list[Any]:
        names = {key: name for one in batch for key, name in one.names.items()}
        states, now = await self._locked(connection, sorted(names.values()))
        self._now = now
        shelf = Shelf(now, {key: states.get(name, b"") for key, name in names.items()})
        results = [await one.step(shelf) for one in batch]
        changed = [
            {"key": names[key], "state": state, "expires": expires}
            for key, state, expires in shelf.changed()
        ]
        if changed:
            await connection.execute(_KEEP, changed)
        return results

    async def _locked(
        self, connection: AsyncConnection, names: list[bytes]
    ) -> tuple[dict[bytes, bytes], float]:
        """Return the states of keys that nobody else can change until the commit, and
        what time it is then."""
        if connection.dialect.name == "postgresql":
            rows = (await connection.execute(_LOCK, {"keys": names})).all()
            now = max((row[2] for row in rows), default=0.0)
        else:  # the transaction holds off every other writer
            rows = (await connection.execute(_READ, {"keys": names})).all()
            now = 0.0
        states = {bytes(row[0]): bytes(row[1]) for row in rows}
        return states, now if self._clock is None else self._clock()

    async def _sweep(self) -> None:
        """Forget what is over, now and then. Failing to is no harm: the next one does
        it."""
        steady = asyncio.get_running_loop().time()
        if steady < self._sweep_at:
            return
        self._sweep_at = steady + _SWEEP_SECONDS
        over = (
            select(counters.c.key)
            .where(counters.c.expires <= self._now)
            .limit(_SWEPT)
            .with_for_update(skip_locked=True)
        )
        removal = delete(counters).where(counters.c.key.in_(over))
        with suppress(StoreError):
            async with self._database.writing() as connection:
                if (await connection.execute(removal)).rowcount >= _SWEPT:
                    self._sweep_at = steady  # there may be more

    def _digest(self, key: bytes) -> bytes:
        return sha256(counter_key(self._shelf, key)).digest()


class _Waiting(NamedTuple):
    """A decision that waits for the database."""

    names: dict[bytes, bytes]
    step: Step
    answer: asyncio.Future[Any]
    until: float


def _fail(batch: Iterable[_Waiting], why: object) -> None:
    for one in batch:
        if not one.answer.done():
            one.answer.set_exception(StoreError(str(why)))


class Shelf:
    """Some keys, taken out of the database for as long as their rows are locked.

    Args:
        now: the time.
        states: of the keys, as they were kept.
    """

    def __init__(self, now: float, states: dict[bytes, bytes]) -> None:
        self._now = now
        self._before = states
        self._counters = MemoryCounters(clock=lambda: now)
        # Each key by itself: they must not drive out one another's members.
        self._seen: defaultdict[bytes, Distinct] = defaultdict(
            lambda: Distinct(8 * _MOST_MEMBERS)
        )
        self._periods: dict[bytes, float] = {}
        for key, state in states.items():
            if state[:1] == _OF_BUDGET:
                self._counters.restore(key, _unpack(state[1:]))
            elif state[:1] == _OF_MEMBERS:
                self._seen[key].restore(key, _unpack_members(state[1:]))
        self.take = self._counters.take
        self.give_back = self._counters.give_back
        self.lift = self._counters.lift

    async def distinct(self, key: bytes, member: bytes, period: float) -> int:
        """See ``CounterStore``."""
        digest = int.from_bytes(sha256(member).digest()[:_SHORT], "big")
        self._periods[key] = period
        return self._seen[key].count(key, digest, period, self._now)

    def changed(self) -> Iterator[tuple[bytes, bytes, float]]:
        """Yield what is to be kept: key, state, and until when."""
        for key, before in self._before.items():
            if key in self._periods:
                members = _OF_MEMBERS + _pack(self._seen[key].members(key))
                yield key, members, self._now + self._periods[key]
            elif before[:1] != _OF_MEMBERS:
                kept = self._counters.kept(key)
                state = _OF_BUDGET + _pack(kept)
                if state != before:
                    yield key, state, kept.expires
