"""What only counters and copies in Redis can get wrong."""

import asyncio
import time

import pytest
from tests.contracts.shared_stores import REDIS, in_redis
from tests.stores.redis.keyspaces import until
from tests.stores.redis.twisted import (
    ACCOUNT,
    ADDRESS,
    ANN,
    BOB,
    CHARGES,
    EVERYBODY,
    NAME,
    ROUTE,
    both,
    exact,
    left,
    rate,
    sign_in,
    single,
    twisted,
)

from ringfence.errors import StoreError
from ringfence.stores.contracts import Block, Charge, Question, counter_key

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
async def make(request, anyio_backend):
    async with in_redis(request.getfixturevalue(REDIS[request.param])) as make:
        yield make


# Copies belong to one server in one life


@both
async def test_copies_of_another_life_are_void(make):
    """A server that comes back with an older state would bring back sessions that were
    revoked meanwhile (CWE-613)."""
    shared, keyspace = twisted(make)
    await sign_in(shared)
    leased = await shared.copies.read(b"m" * 32, ANN)
    keyspace.life = b"its next"
    assert (await shared.copies.read(NAME, ANN)).copy is None
    assert not await shared.copies.keep(b"m" * 32, leased, b"late", 1)
    reply = await shared.ask(Question((ACCOUNT,), NAME, ANN))
    assert (reply.told.copy, reply.settled) == (None, False)
    await sign_in(shared, copy=b"anew")
    assert (await shared.copies.read(NAME, ANN)).copy == b"anew"
    keyspace.life = b""
    assert (await shared.copies.read(NAME, ANN)).copy is None, "the old one again"


@both
async def test_each_copy_of_another_life_is_void(make):
    """Not only the first that is asked for."""
    shared, keyspace = twisted(make)
    await sign_in(shared)
    keyspace.life = b"its next"
    assert (await shared.ask(Question((), b"m" * 32, ANN))).told.lease
    assert (await shared.ask(Question((), NAME, ANN))).told.copy is None


@both
async def test_a_hold_of_another_life_holds(make):
    shared, keyspace = twisted(make)
    await shared.copies.hold(ANN)
    keyspace.life = b"its next"
    assert not (await shared.copies.read(NAME, ANN)).lease


async def expire(shared, key):
    """Let a key end now, and wait until it has."""
    keyspace = shared._keyspace
    assert await keyspace.call(key, b"PEXPIRE", key, 1)

    async def is_gone():
        return not await keyspace.call(key, b"EXISTS", key)

    await until(is_gone)


@both
async def test_a_hold_ends_by_itself(make):
    """Who has held an owner and died does not slow the owner down for ever; and what
    was leased before is not kept afterwards either."""
    shared = make()
    leased = await shared.copies.read(NAME, ANN)
    await shared.copies.hold(ANN)
    generation, _ = shared.copies.keys(ANN, NAME)
    lasts = await shared._keyspace.call(generation, b"PTTL", generation)
    assert 25_000 < lasts <= 30_000
    await expire(shared, generation)
    assert not await shared.copies.keep(NAME, leased, b"late", 1)
    assert (await shared.copies.read(NAME, ANN)).lease
    assert not await shared.copies.keep(NAME, leased, b"late", 1)


@both
async def test_a_copy_lasts_five_minutes_and_its_generation_longer(make):
    shared = make()
    await sign_in(shared)
    generation, key = shared.copies.keys(ANN, NAME)
    lasts = await shared._keyspace.call(key, b"PTTL", key)
    assert 295_000 < lasts <= 300_000
    assert await shared._keyspace.call(generation, b"PTTL", generation) > lasts
    await expire(shared, generation)
    assert (await shared.copies.read(NAME, ANN)).copy is None


@both
async def test_a_copy_that_is_kept_late_keeps_its_generation(make):
    shared = make()
    told = await shared.copies.read(NAME, ANN)
    generation, key = shared.copies.keys(ANN, NAME)
    await shared._keyspace.call(generation, b"PEXPIRE", generation, 30_000)
    assert await shared.copies.keep(NAME, told, b"copy", 7)
    lasts = await shared._keyspace.call(key, b"PTTL", key)
    assert await shared._keyspace.call(generation, b"PTTL", generation) > lasts


# Nothing stays for ever, and what is damaged does no harm


@single
async def test_every_key_ends(make, valkey_server):
    """A key without an end would lock somebody out for ever, or fill the memory."""
    shared = make()
    await sign_in(shared)
    await shared.copies.hold(BOB)
    await shared.ask(Question(CHARGES, NAME, ANN))
    counters = shared.counters("identity")
    locked = exact("locked", 1, holds=(30.0, 60.0))
    for _ in range(2):
        await counters.take([locked, rate("other", 1, holds=(5.0,))])
    await counters.distinct(counter_key("spray"), b"ann", 60.0)
    await shared.blocks.put(Block("203.0.113.9/32", 60.0, ""))
    await shared.blocks.put(Block("203.0.113.9/32", 0.0, ""))
    with valkey_server.client() as client:
        ends = {
            key: client.pttl(key)
            for key in client.scan_iter(match=shared._prefix.decode() + "*")
        }
    assert len(ends) > 10
    assert min(ends.values()) > 0, ends


@both
@pytest.mark.parametrize(
    "charge", [ADDRESS, ROUTE._replace(owner="")], ids=["gcra", "exact"]
)
async def test_a_key_without_an_end_is_given_one(make, charge):
    shared = make()
    counters = shared.counters("limits")
    await counters.take([charge])
    (key,) = counters.packed(charge).keys
    assert await shared._keyspace.call(key, b"PERSIST", key)
    await counters.take([charge])
    assert await shared._keyspace.call(key, b"PTTL", key) > 0


@both
@pytest.mark.parametrize(
    "charge", [ADDRESS, ROUTE._replace(owner="")], ids=["gcra", "exact"]
)
@pytest.mark.parametrize("value", [b"", b"x", b"0123456", b"x" * 9])
async def test_a_damaged_state_is_none(make, charge, value):
    shared = make()
    counters = shared.counters("limits")
    (key,) = counters.packed(charge).keys
    await shared._keyspace.call(key, b"SET", key, value)
    assert (await counters.take([charge])).remaining == charge.amount - 1


@both
async def test_damaged_copies_are_none(make):
    """What is no copy of ours is asked of the database, and never an error."""
    shared = make()
    told = await shared.copies.read(NAME, ANN)
    keys = shared.copies.keys(ANN, NAME)
    identity = shared._keyspace.identity(keys[0])
    sound = b"G" + identity + told.generation
    for generation, copy in [
        (b"", b""),
        (b"G", b"C"),
        (b"G" * 25, b"C" * 40),
        (b"G" + identity + b"x" * 300, b"C" + b"x" * 300),
        (sound, b""),
        (sound, b"C" + told.generation),
        (sound, b"C" + told.generation + b"short"),
    ]:
        for key, value in zip(keys, (generation, copy), strict=True):
            await shared._keyspace.call(key, b"SET", key, value)
        assert (await shared.ask(Question((), NAME, ANN))).told.copy is None
        for key, value in zip(keys, (generation, copy), strict=True):
            await shared._keyspace.call(key, b"SET", key, value)
        assert (await shared.copies.read(NAME, ANN)).copy is None


@single
async def test_a_full_server_changes_nothing(make, valkey_server):
    """What it cannot write it does not write in part, and says so."""
    shared = make()
    await sign_in(shared)
    await shared.ask(Question(CHARGES, NAME, ANN))
    with valkey_server.client() as client:
        client.config_set("maxmemory", 1)
        client.config_set("maxmemory-policy", "noeviction")
        try:
            with pytest.raises(StoreError, match="OOM"):
                await shared.ask(Question(CHARGES, NAME, ANN))
            with pytest.raises(StoreError, match="OOM"):
                await shared.counters("identity").take([exact("sign-in")])
            with pytest.raises(StoreError, match="OOM"):
                await shared.copies.hold(ANN)
        finally:
            client.config_set("maxmemory", 0)
    assert await left(shared, ADDRESS) == 8
    assert await left(shared, ROUTE) == 2


@both
async def test_a_key_of_another_kind_is_an_error(make):
    """Somebody else's key under our prefix stops nobody else."""
    shared = make()
    counters = shared.counters("limits")
    (key,) = counters.packed(ADDRESS).keys
    await shared._keyspace.call(key, b"RPUSH", key, b"x")
    with pytest.raises(StoreError, match="WRONGTYPE"):
        await shared.ask(Question((EVERYBODY, ADDRESS)))
    assert await left(shared, EVERYBODY) == 900


# Names


@both
async def test_names_show_nothing_and_choose_no_slot(make):
    """A name that somebody has chosen is neither legible nor long, and braces in it do
    not bring many budgets to one node."""
    shared = make()
    counters = shared.counters("identity")
    names = [
        counter_key("email", "{tag}" + "x" * n + "ann@example.org") for n in range(99)
    ]
    packed = [counters.packed(Charge(name, 5, 60.0)) for name in names]
    assert {len(one.keys[0]) for one in packed} == {len(packed[0].keys[0])}
    assert not [one for one in packed if b"example" in one.keys[0]]
    assert len({one.place for one in packed}) == 99


@both
async def test_shelves_do_not_touch_each_other(make):
    shared = make()
    await shared.counters("identity").take([ROUTE])
    assert await left(shared, ROUTE) == 3


@both
async def test_everybody_sees_the_same_shelf(make):
    shared = make()
    await shared.counters("identity").take([ADDRESS])
    verdict = await shared.counters("identity").take([ADDRESS])
    assert verdict.remaining == 7


@both
async def test_distinct_members_are_counted_up_to_a_bound(make):
    """Spraying over millions of accounts takes no more memory than over 4,096."""
    shared = make()
    counters, key = shared.counters("identity"), counter_key("spray")
    counts: list[int] = []
    for first in range(0, 4_200, 100):
        names = [b"%d" % number for number in range(first, first + 100)]
        counts += await asyncio.gather(
            *(counters.distinct(key, name, 60.0) for name in names)
        )
    assert counts[:4_096] == list(range(1, 4_097))
    assert set(counts[4_096:]) == {4_096}


# By the server's clock


@both
async def test_time_is_the_servers(make, valkey_server, monkeypatch):
    """Whoever's clock is wrong neither gets more nor takes it from others."""
    with valkey_server.client() as client:
        seconds, _ = client.time()
    monkeypatch.setattr(time, "time", lambda: seconds - 3600.0)
    shared = make()
    verdict = await shared.counters("limits").take([ADDRESS])
    assert verdict.at == pytest.approx(seconds, abs=30)
    reply = await shared.ask(Question((ADDRESS,)))
    assert reply.verdict.at == pytest.approx(seconds, abs=30)


@both
async def test_what_was_taken_is_given_back(make):
    """By the clock of each node: no two of them say the same."""
    shared = make()
    counters = shared.counters("identity")
    charges = [exact(f"budget {n}", 3) for n in range(8)] + [
        rate(f"rate {n}") for n in range(3)
    ]
    for wanted in (charges, charges[1:5]):
        verdict = await counters.take(charges)
        assert (verdict.refused, verdict.remaining) == (-1, 2)
        await counters.give_back(wanted, verdict.at)
        await counters.give_back(wanted, verdict.at)
        assert [(await counters.take([one])).remaining for one in wanted[:4]] == [2] * 4
        await counters.lift([one.key for one in charges])
