"""Counters and blocks in a database that several processes share."""

import asyncio
import subprocess
import sys

import msgspec
import psycopg
import pytest
from sqlalchemy import func, select
from tests.servers.tables import empty

from ringfence.errors import StoreError
from ringfence.stores import sql_counters
from ringfence.stores.contracts import Block, Charge, counter_key
from ringfence.stores.open import open_shared
from ringfence.stores.schema import counters
from ringfence.stores.sql_blocks import SqlBlocks
from ringfence.stores.sql_counters import Shelf, SqlCounters

pytestmark = pytest.mark.anyio

HOUR = 3600.0
PROCESSES = 2  # each takes a second to start


@pytest.fixture(scope="module")
def migrated(postgres_server):
    with postgres_server.database() as database:
        yield database


@pytest.fixture(params=["sqlite", "postgres", "postgres-asyncpg"])
def url(request, tmp_path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/counters.db"
        return
    database = request.getfixturevalue("migrated")
    driver = request.param.partition("-")[2] or "psycopg"
    yield database.url(driver) + "&timeout=20"
    empty(database)


@pytest.fixture
async def shared(url, anyio_backend):
    opened = open_shared(url)
    await opened.start()
    yield opened
    await opened.stop()


def exact(name="a", amount=10, **changes):
    return Charge(counter_key(name), amount, HOUR, exact=True, **changes)


def rate(name="a", amount=10, **changes):
    return Charge(counter_key(name), amount, HOUR, **changes)


async def taken(counters, charges, times):
    verdicts = await asyncio.gather(*(counters.take(charges) for _ in range(times)))
    return sum(verdict.refused == -1 for verdict in verdicts)


async def rows(shared):
    async with shared._database.reading() as connection:
        query = select(func.count()).select_from(counters)
        return (await connection.execute(query)).scalar_one()


async def test_the_database_is_as_near_as_a_copy_would_be(shared):
    assert shared.copies is None
    assert shared.ask is None


async def test_of_many_at_once_no_more_pass_than_are_allowed(shared):
    """Two that count on their own see what the other has taken."""
    here, there = shared.counters("limits"), shared.counters("limits")
    both = [exact(), rate("b", 15)]
    passed = await asyncio.gather(taken(here, both, 60), taken(there, both, 60))
    assert sum(passed) == 10
    assert (await here.take([rate("b", 15)])).remaining == 4


async def test_many_keys_in_any_order_do_not_wait_in_a_circle(shared):
    """Rows are locked in one order, whatever the order of the charges."""
    sides = [shared.counters("limits") for _ in range(4)]
    names = [f"key {index}" for index in range(12)]
    charges = [rate(name, 1000) for name in names]

    async def draw(counters, turn):
        mixed = charges[turn:] + charges[:turn]
        for _ in range(10):
            await counters.take(mixed if turn % 2 else mixed[::-1])

    await asyncio.gather(*(draw(one, 3 * index) for index, one in enumerate(sides)))
    assert (await sides[0].take(charges[:1])).remaining == 1000 - 41


async def test_shelves_are_apart(shared):
    """Whoever fills one leaves the others as they are."""
    await taken(shared.counters("limits"), [exact()], 20)
    assert (await shared.counters("lockout").take([exact()])).refused == -1


async def test_members_are_counted_across_processes(shared):
    """One network that tries each of many accounts once, at several workers."""
    here, there = shared.counters("lockout"), shared.counters("lockout")
    key = counter_key("spray", "192.0.2.0/24")
    assert await here.distinct(key, b"ann", HOUR) == 1
    assert await there.distinct(key, b"bob", HOUR) == 2
    assert await here.distinct(key, b"bob", HOUR) == 2


async def test_members_are_bounded(shared):
    counted = shared.counters("lockout")
    key = counter_key("spray")
    tried = (counted.distinct(key, b"%d" % number, HOUR) for number in range(1100))
    assert max(await asyncio.gather(*tried)) == 1024


async def test_members_of_one_key_drive_out_nobody_else_s():
    """CWE-307: nine networks that try many accounts at once hide none of them."""
    keys = [counter_key("spray", f"192.0.2.{n}") for n in range(10)]
    clock = asyncio.get_running_loop().time()
    states = {
        key: b"m" + msgspec.msgpack.encode(dict.fromkeys(range(1024), clock))
        for key in keys[:9]
    }
    shelf = Shelf(clock, states | {keys[9]: b""})
    for name in (b"ann", b"bob"):
        await shelf.distinct(keys[9], name, HOUR)
    for key in keys[:9]:
        assert await shelf.distinct(key, b"new", HOUR) == 1_024
    kept = {key: state for key, state, _ in shelf.changed()}
    again = Shelf(clock, {keys[9]: kept[keys[9]]})
    assert await again.distinct(keys[9], b"ann", HOUR) == 2


async def test_a_decision_that_has_waited_too_long_is_given_up(shared, monkeypatch):
    """The database answers each one in time, but not all that wait."""
    counted = shared.counters("limits")
    decide, go_on = counted._decided, asyncio.Event()

    async def slow(connection, batch):
        await go_on.wait()
        return await decide(connection, batch)

    with monkeypatch.context() as patch:
        patch.setattr(counted, "_decided", slow)
        first = asyncio.create_task(counted.take([exact()]))
        await asyncio.sleep(0)
        patch.setattr(sql_counters, "_LONGEST_WAIT", -1.0)
        late = asyncio.create_task(counted.take([exact()]))
        await asyncio.sleep(0)
        go_on.set()
        assert (await first).refused == -1
        with pytest.raises(StoreError, match="too slow"):
            await late
    assert (await counted.take([exact()])).remaining == 8


async def test_what_is_over_is_forgotten(shared):
    """In passing; what still counts stays."""
    now = 1_700_000_000.0
    counted = SqlCounters(shared._database, "limits", lambda: now)
    await asyncio.gather(*(counted.take([rate(f"{n}", 1)]) for n in range(200)))
    now += HOUR / 2
    await counted.take([rate("late", 1)])
    assert await rows(shared) >= 201
    now += HOUR / 2 + 1
    counted._sweep_at = 0.0
    await counted.take([rate("new", 1)])
    await counted.close()
    assert await rows(shared) == 2
    assert (await counted.take([rate("late", 1)])).refused == 0


async def test_a_decision_that_nobody_waits_for_holds_nobody_up(shared):
    counted = shared.counters("limits")
    leaving = asyncio.create_task(counted.take([exact()]))
    staying = asyncio.create_task(counted.take([exact()]))
    await asyncio.sleep(0)
    leaving.cancel()
    assert (await staying).refused == -1


async def test_a_closed_database_is_a_store_error(url):
    opened = open_shared(url)
    counted = opened.counters("limits")
    for _ in range(2):
        with pytest.raises(StoreError):
            await counted.take([exact()])
    await opened.start()
    assert (await counted.take([exact()])).refused == -1
    await opened.stop()
    with pytest.raises(StoreError):
        await counted.take([exact()])


async def test_a_commit_that_fails_is_told_to_all(shared, monkeypatch):
    """Nobody is told that they may, when nothing was written."""
    counted = shared.counters("limits")

    async def broken(*_):
        raise StoreError("no")

    monkeypatch.setattr(counted, "_decided", broken)
    results = await asyncio.gather(
        *(counted.take([exact()]) for _ in range(5)), return_exceptions=True
    )
    assert [type(one) for one in results] == [StoreError] * 5


async def test_a_mistake_leaves_nobody_waiting(shared, monkeypatch):
    """Whatever goes wrong, whoever waits is told, and the next one is served."""
    counted = shared.counters("limits")
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # it is told

    async def broken(*_):
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(counted, "_decided", broken)
        results = await asyncio.gather(
            *(counted.take([exact()]) for _ in range(100)), return_exceptions=True
        )
    assert {type(one) for one in results} == {StoreError}
    assert (await counted.take([exact()])).refused == -1


SCRIPT = """
import asyncio, sys
from ringfence.stores.contracts import Charge, counter_key
from ringfence.stores.open import open_shared

async def main(url):
    shared = open_shared(url)
    await shared.start()
    counters = shared.counters("limits")
    charges = [Charge(counter_key("x"), 40, 3600.0, exact=True)]
    charges += [Charge(counter_key("y"), 400, 3600.0)]
    sys.stdout.write("ready\\n")
    sys.stdout.flush()
    sys.stdin.readline()
    found = await asyncio.gather(*(counters.take(charges) for _ in range(60)))
    print(sum(one.refused == -1 for one in found))
    await shared.stop()

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.parametrize("url", ["sqlite", "postgres"], indirect=True)
def test_processes_count_together(url):
    """Two processes at once: forty pass, and not forty each."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(PROCESSES)
    ]
    for one in running:
        assert one.stdout.readline() == "ready\n"
    for one in running:
        one.stdin.write("go\n")
        one.stdin.flush()
    said = [int(one.communicate(timeout=60)[0]) for one in running]
    assert sum(said) == 40


def test_counters_are_not_logged(migrated):
    """They are written with each request, and worth nothing after a crash."""
    with psycopg.connect(migrated.dsn) as connection:
        kinds = connection.execute(
            "SELECT relname, relpersistence FROM pg_class"
            " WHERE relname IN ('ringfence_counters', 'ringfence_blocks')"
        ).fetchall()
    assert dict(kinds) == {"ringfence_counters": "u", "ringfence_blocks": "p"}


# Blocks


async def test_versions_are_seen_in_their_order(shared):
    """Of fifty at once each has its own, and who follows misses none."""
    networks = [f"192.0.2.{index}" for index in range(50)]
    versions = await asyncio.gather(
        *(shared.blocks.put(Block(network, HOUR, "")) for network in networks)
    )
    assert len(set(versions)) == 50
    found = await shared.blocks.since(0)
    assert found.complete
    assert found.version == max(versions)
    assert {one.network for one in found.changed} == set(networks)


async def test_too_many_blocks_give_place(shared):
    """The one that would be free first; who follows reads everything again."""
    blocks = SqlBlocks(shared._database, lambda: 1_700_000_000.0, most=3)
    first = await blocks.put(Block("192.0.2.0", 10.0, ""))
    for index in range(1, 5):
        await blocks.put(Block(f"192.0.2.{index}", 100.0 + index, ""))
    found = await blocks.since(first - 1)
    assert found.complete
    assert {one.network for one in found.changed} == {
        "192.0.2.2",
        "192.0.2.3",
        "192.0.2.4",
    }


async def test_a_network_can_be_blocked_for_ever(shared):
    await shared.blocks.put(Block("192.0.2.1", float("inf"), "for good"))
    (found,) = (await shared.blocks.since(0)).changed
    assert found == Block("192.0.2.1", float("inf"), "for good")
