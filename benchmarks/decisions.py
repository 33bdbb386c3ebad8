"""What one decision costs in a store that holds few keys, or a million.

    python -m benchmarks.decisions

In process, without a guard: ``take`` of one budget, and the whole question of a
signed-in request, for clients that are known, one after the other. The stores of all
sizes run side by side and take turns. What fills them is made of the same keys as what
is asked for.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import statistics
import struct
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import psycopg
import uvloop
from benchmarks.report import Figure, Section
from hiredis import pack_command
from redis import Redis
from tests.servers.postgres import running_postgres
from tests.servers.valkey import Valkey, running_valkey

from ringfence.stores.contracts import (
    Ask,
    Charge,
    CopyStore,
    CounterStore,
    Question,
    SharedStore,
    counter_key,
)
from ringfence.stores.open import open_shared
from ringfence.stores.redis.inspection import PREFIX
from ringfence.stores.redis.names import Shelf

SIZES = (1_000, 100_000, 1_000_000)
SQL_SIZES = (1_000, 100_000)
KNOWN = 500  # clients that are asked for, out of those that are kept
GOAL = 1.2  # x, from the fewest keys to the most
ROUNDS = 15
TIMES, SQL_TIMES = 1_000, 30  # decisions a round
PATIENCE = 20.0  # seconds
GROWING = "mem_overhead_db_hashtable_rehashing"
DAY = 86_400.0
AMOUNT = 1_000_000  # never reached
AWAY = 6 * 3600.0  # seconds for which what fills the stores is kept

Decide = Callable[[int], Awaitable[object]]


class Place(NamedTuple):
    """One store with so many keys in it.

    Args:
        kind: of store.
        size: how many keys.
        decisions: what is decided, by its name.
        spent: tells the CPU seconds of the store itself, if they can be known.
    """

    kind: str
    size: int
    decisions: dict[str, Decide]
    spent: Callable[[], float] | None = None


class Cost(NamedTuple):
    """What a decision takes.

    Args:
        wait: microseconds until the answer.
        store: microseconds of CPU in the store, 0 if that is not known.
    """

    wait: float
    store: float


def charge(number: int) -> Charge:
    """Return what one request of a client takes."""
    return Charge(counter_key("address", str(number)), AMOUNT, DAY)


@asynccontextmanager
async def redis(size: int) -> AsyncIterator[Place]:
    """Start a server with so many budgets in it."""
    async with AsyncExitStack() as stack:
        server = stack.enter_context(running_valkey())
        await asyncio.to_thread(_fill_redis, server, size)
        shared = await stack.enter_async_context(_started(server.url))
        ask, copies = shared.ask, shared.copies
        if ask is None or copies is None:
            raise RuntimeError("a store in the network answers questions")
        questions = [await _question(ask, copies, number) for number in range(KNOWN)]
        decisions: dict[str, Decide] = {
            "one budget": partial(_take, shared.counters("limits"), size),
            "all that a request asks": lambda number: ask(questions[number]),
        }
        spent = partial(time.clock_gettime, (~server.pid << 3) | 2)
        yield Place("Redis", size, decisions, spent)


async def _take(counters: CounterStore, size: int, number: int) -> object:
    # All over the store, so that no part of it is warmer than the others.
    return await counters.take((charge(number * (size // KNOWN)),))


async def _question(ask: Ask, copies: CopyStore, number: int) -> Question:
    """Return the question of somebody signed in, of whose session there is a copy."""
    owner, name = f"account{number}", b"n%031d" % number
    of_owner = Charge(counter_key("account", owner), AMOUNT, DAY, owner=owner)
    question = Question((charge(number), of_owner), name, owner, 1)
    told = (await ask(question)).told
    await copies.keep(name, told, os.urandom(250), 1)
    if (await ask(question)).told.copy is None:
        raise RuntimeError("the copy was not kept")
    return question


def _fill_redis(server: Valkey, size: int) -> None:
    shelf = Shelf(PREFIX, "limits")
    state, ends = struct.pack("<d", time.time() + AWAY), b"%d" % (AWAY * 1000)
    with server.client() as client:
        connection = client.connection_pool.get_connection()
        for start in range(0, size, 5_000):
            names = [
                shelf.packed(charge(n)).keys[0] for n in range(start, start + 5_000)
            ]
            names = names[: size - start]
            packed = [pack_command((b"SET", key, state, b"PX", ends)) for key in names]
            connection.send_packed_command(packed)
            for _ in names:
                connection.read_response()
        client.connection_pool.release(connection)
        _settle(client, size)


def _settle(client: Redis, size: int) -> None:
    """Wait until the table has grown: until then each command moves a part of it."""
    if client.dbsize() != size:
        raise RuntimeError(f"{client.dbsize()} keys instead of {size}")
    until = time.monotonic() + PATIENCE
    while client.info("memory").get(GROWING, 0) and time.monotonic() < until:
        time.sleep(0.1)


@asynccontextmanager
async def sqlite(size: int) -> AsyncIterator[Place]:
    """Make a file with so many budgets in it."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        file = Path(folder) / "counters.db"
        async with _started(f"sqlite:///{file}") as shared:
            counters = await _known(shared)

            def fill() -> None:
                connection = sqlite3.connect(file, timeout=30)
                connection.execute(
                    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
                    "WHERE i < ?) INSERT INTO ringfence_counters SELECT randomblob(32),"
                    " (SELECT state FROM ringfence_counters LIMIT 1), ? FROM n",
                    (size - KNOWN, time.time() + AWAY),
                )
                connection.commit()
                connection.close()

            await asyncio.to_thread(fill)
            take = partial(_take, counters, KNOWN)
            yield Place("SQLite", size, {"one budget": take})


@asynccontextmanager
async def postgres(size: int) -> AsyncIterator[Place]:
    """Make a database with so many budgets in it."""
    with running_postgres(tcp=True) as server, server.database() as database:
        async with _started(database.address()) as shared:
            counters = await _known(shared)

            def fill() -> None:
                with psycopg.connect(database.dsn, autocommit=True) as connection:
                    connection.execute(
                        "INSERT INTO ringfence_counters SELECT "
                        "sha256(i::text::bytea), (SELECT state FROM ringfence_counters "
                        "LIMIT 1), %s FROM generate_series(1, %s) AS i",
                        (time.time() + AWAY, size - KNOWN),
                    )
                    connection.execute("VACUUM ANALYZE ringfence_counters")

            await asyncio.to_thread(fill)
            take = partial(_take, counters, KNOWN)
            yield Place("PostgreSQL", size, {"one budget": take})


async def _known(shared: SharedStore) -> CounterStore:
    counters = shared.counters("limits")
    await asyncio.gather(*(counters.take((charge(n),)) for n in range(KNOWN)))
    return counters


@asynccontextmanager
async def _started(url: str) -> AsyncIterator[SharedStore]:
    shared = open_shared(url)
    await shared.start()
    try:
        yield shared
    finally:
        await shared.stop()


async def measured(*, quick: bool) -> dict[tuple[str, str, int], list[Cost]]:
    """Return what decisions have cost, one figure a round."""
    rounds = ROUNDS // 2 if quick else ROUNDS
    costs: dict[tuple[str, str, int], list[Cost]] = {}
    async with AsyncExitStack() as stack:
        places = [await stack.enter_async_context(redis(size)) for size in SIZES]
        for make in (sqlite, postgres):
            places += [await stack.enter_async_context(make(n)) for n in SQL_SIZES]
        for number in range(rounds + 1):
            for place in random.sample(places, len(places)):
                for name, decide in place.decisions.items():
                    cost = await _cost(decide, place.spent)
                    if number:  # the first one warms up
                        key = place.kind, name, place.size
                        costs.setdefault(key, []).append(cost)
    return costs


async def _cost(decide: Decide, spent: Callable[[], float] | None) -> Cost:
    waits = []
    times = SQL_TIMES if spent is None else TIMES
    before = 0.0 if spent is None else spent()
    for number in random.choices(range(KNOWN), k=times):
        started = time.perf_counter()
        await decide(number)
        waits.append(time.perf_counter() - started)
    after = 0.0 if spent is None else spent()
    return Cost(statistics.median(waits) * 1e6, (after - before) / times * 1e6)


def section(*, quick: bool = False) -> Section:
    """Measure; return the table."""
    costs = uvloop.run(measured(quick=quick))
    return Section(
        "What a decision costs, by the number of keys",
        (
            "`take` of one budget, and all that a signed-in request asks, one after",
            "the other, of stores that hold so many budgets. Microseconds until the",
            "answer; *store* is CPU time of the store itself.",
            "",
            *_table(costs),
        ),
        tuple(_figures(costs)),
    )


def _table(costs: dict[tuple[str, str, int], list[Cost]]) -> Iterator[str]:
    yield "| store | decision | keys | µs | x of the fewest | store, µs |"
    yield "|---|---|---:|---:|---:|---:|"
    for (kind, name, size), own in sorted(costs.items()):
        wait = statistics.median(cost.wait for cost in own)
        store = statistics.median(cost.store for cost in own)
        ratio = _ratio(own, _fewest(costs, kind, name))
        told = f"{store:.0f}" if store else ""
        yield f"| {kind} | {name} | {size:,} | {wait:.0f} | **{ratio:.2f}** | {told} |"


def _fewest(
    costs: dict[tuple[str, str, int], list[Cost]], kind: str, name: str
) -> Sequence[Cost]:
    sizes = [size for k, n, size in costs if (k, n) == (kind, name)]
    return costs[kind, name, min(sizes)]


def _ratio(own: Sequence[Cost], few: Sequence[Cost]) -> float:
    """Return how much longer it takes, round by round: the machine has neighbours."""
    return statistics.median(
        mine.wait / other.wait for mine, other in zip(own, few, strict=True)
    )


def _figures(costs: dict[tuple[str, str, int], list[Cost]]) -> Iterator[Figure]:
    for kind, sizes in (
        ("Redis", SIZES),
        ("SQLite", SQL_SIZES),
        ("PostgreSQL", SQL_SIZES),
    ):
        names = dict.fromkeys(name for k, name, _ in costs if k == kind)
        worst = max(
            _ratio(costs[kind, name, size], _fewest(costs, kind, name))
            for name in names
            for size in sizes
        )
        yield Figure(
            f"a decision in {kind}, from {sizes[0]:,} to {sizes[-1]:,} keys",
            "",
            f"{GOAL} x",
            f"{worst:.2f} x",
            kept=worst <= GOAL,
        )


if __name__ == "__main__":
    one = section()
    print("\n".join(one.lines))
    for figure in one.figures:
        print(figure)
