"""What only counters, copies and questions in Redis can get wrong."""

import asyncio
import gc
import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contracts.clocks import Hands
from tests.contracts.shared_stores import REDIS, in_redis
from tests.stores.redis.keyspaces import until

from ringfence.errors import StoreError
from ringfence.stores.contracts import Block, Charge, Question, Told, counter_key
from ringfence.stores.open import open_shared
from ringfence.stores.redis import question as question_module
from ringfence.stores.redis.failures import LostError

pytestmark = pytest.mark.anyio

NOW = 1_700_000_000.0
NAME, ANN, BOB = b"n" * 32, "YW5uYW5uYW5uYW5uYW5uYQ", "Ym9iYm9iYm9iYm9iYm9iYg"

both = pytest.mark.parametrize("make", REDIS, indirect=True)
single = pytest.mark.parametrize("make", ["redis"], indirect=True)
cluster = pytest.mark.parametrize("make", ["redis-cluster"], indirect=True)


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
async def make(request, anyio_backend):
    async with in_redis(request.getfixturevalue(REDIS[request.param])) as make:
        yield make


def rate(name, amount=9, period=60.0, **more):
    return Charge(counter_key(name), amount, period, **more)


def exact(name, amount=3, period=60.0, **more):
    return Charge(counter_key(name), amount, period, exact=True, **more)


ADDRESS, EVERYBODY = rate("address", 9), rate("everybody", 900)
ACCOUNT, ROUTE = rate("account", 5, owner=ANN), exact("route", 3, owner=ANN)
CHARGES = (ADDRESS, EVERYBODY, ACCOUNT, ROUTE)


async def left(shared, charge):
    """Return how many a budget has left; taking one to know."""
    return (await shared.counters("limits").take([charge])).remaining + 1


async def sign_in(shared, owner=ANN, copy=b"copy"):
    told = await shared.copies.read(NAME, owner)
    assert await shared.copies.keep(NAME, told, copy, 7)


class Twisted:
    """A keyspace that something is done to."""

    def __init__(self, keyspace):
        self._keyspace = keyspace
        self.is_cluster = keyspace.is_cluster
        self.call = keyspace.call
        self.life = b""
        self.broken = ()
        self.runs = []

    def identity(self, key):
        return self.life or self._keyspace.identity(key)

    def run(self, script, keys, args):
        self.runs.append((script.name, keys))
        if any(key in self.broken for key in keys):
            future = asyncio.get_running_loop().create_future()
            future.set_exception(LostError("lost"))
            return future
        return self._keyspace.run(script, keys, args)


def twisted(make, clock=None):
    """Return a store, and the keyspace to twist."""
    made = []

    def wrap(keyspace):
        made.append(Twisted(keyspace))
        return made[0]

    return make(clock, wrap=wrap), made[0]


# One question


@both
async def test_a_miss_takes_what_is_nobodys_and_brings_a_lease(make):
    shared = make()
    reply = await shared.ask(Question(CHARGES, NAME, ANN))
    assert not reply.settled
    assert reply.verdict.refused == -1
    assert reply.told.copy is None
    assert await shared.copies.keep(NAME, reply.told, b"copy", 7)
    assert await left(shared, ADDRESS) == 8
    assert await left(shared, ACCOUNT) == 5


@both
async def test_a_hit_takes_everything(make):
    shared = make()
    await sign_in(shared)
    reply = await shared.ask(Question(CHARGES, NAME, ANN, told_from=2))
    assert reply.settled
    assert (reply.told.copy, reply.told.epoch, reply.told.lease) == (b"copy", 7, b"")
    assert (reply.verdict.remaining, reply.verdict.scarcest) == (2, 3)
    assert await left(shared, ADDRESS) == 8
    assert await left(shared, ACCOUNT) == 4


@both
async def test_charges_wait_for_the_answer_of_the_database(make):
    """What a request with a cookie that is no longer good costs the account: nothing.
    Else whoever once had a session could use up its owner's budget."""
    shared = make()
    await sign_in(shared)
    await shared.copies.hold(ANN)
    for _ in range(9):
        reply = await shared.ask(Question((ACCOUNT,), NAME, ANN))
        assert (reply.settled, reply.told.lease) == (False, b"")
    assert await left(shared, ACCOUNT) == 5


@both
async def test_only_what_is_asked_for_is_told(make):
    """The answers of a route tell of its own limits, not of the wide ones before."""
    shared = make()
    await sign_in(shared)
    charges = (rate("scarce", 2), EVERYBODY, rate("of a route", 9, owner=ANN))
    told = [
        (await shared.ask(Question(charges, NAME, ANN, told_from))).verdict
        for told_from in (1, 2)
    ]
    assert [(one.remaining, one.scarcest) for one in told] == [(8, 2), (7, 2)]
    once_more = Question((EVERYBODY, rate("scarce", 2, owner=ANN)), NAME, ANN)
    assert (await shared.ask(once_more)).verdict.scarcest == 1


@both
async def test_who_is_refused_inside_has_been_at_the_door(make):
    """CWE-770: a flood of one address that is over the limit of a route would never be
    over its own, and go on to ask the store."""
    shared = make()
    door, all_doors = exact("door", 9, 3600.0), exact("all doors", 60, 3600.0)
    narrow = exact("narrow", 2, 3600.0)
    for n in range(8):
        reply = await shared.ask(Question((door, narrow), told_from=1))
        assert reply.verdict.refused == (-1 if n < 2 else 1)
    assert await left(shared, door) == 1
    for _ in range(5):
        question = Question((all_doors, door, narrow), told_from=2)
        assert (await shared.ask(question)).verdict.refused == 1
    assert await left(shared, all_doors) == 60


@both
async def test_a_question_without_a_name_is_about_nobody(make):
    shared = make()
    await sign_in(shared)
    reply = await shared.ask(Question((ADDRESS, ACCOUNT)))
    assert (reply.told, reply.settled) == (Told(""), False)
    assert (await shared.ask(Question((ADDRESS,)))).settled
    assert (await shared.ask(Question(()))).verdict.refused == -1
    assert await left(shared, ACCOUNT) == 5


@both
async def test_a_question_without_charges_is_about_the_copy(make):
    shared = make()
    reply = await shared.ask(Question((), NAME, ANN))
    assert await shared.copies.keep(NAME, reply.told, b"copy", 7)
    reply = await shared.ask(Question((), NAME, ANN))
    assert (reply.told.copy, reply.settled) == (b"copy", True)


@both
async def test_a_refused_question_leaves_no_lease(make):
    """A flood is refused before anything is asked of the database."""
    shared = make()
    once = rate("once", 1)
    assert (await shared.ask(Question((once,), NAME, ANN))).told.lease
    await shared.copies.drop(NAME, ANN)
    if not shared._keyspace.is_cluster:
        reply = await shared.ask(Question((once,), NAME, ANN))
        assert (reply.verdict.refused, reply.told.lease) == (0, b"")


@both
async def test_the_owners_charge_refuses_by_its_number(make):
    shared = make()
    await sign_in(shared)
    question = Question(CHARGES, NAME, ANN)
    refused = [(await shared.ask(question)).verdict.refused for _ in range(5)]
    assert refused == [-1, -1, -1, 3, 3]
    assert await left(shared, ADDRESS) == 6, "what is refused costs nothing"
    assert await left(shared, EVERYBODY) == 897
    assert await left(shared, ACCOUNT) == 2


@both
async def test_of_several_that_refuse_the_first_is_told(make):
    shared = make()
    await sign_in(shared)
    once, never_again = rate("once", 1), exact("twice", 1, owner=ANN)
    question = Question((EVERYBODY, once, never_again), NAME, ANN)
    assert (await shared.ask(question)).verdict.refused == -1
    verdict = (await shared.ask(question)).verdict
    assert verdict.refused == 1
    assert verdict.retry_after == pytest.approx(60, abs=1)
    assert await left(shared, EVERYBODY) == 899


@single
async def test_a_question_tells_the_version_of_the_blocks(make):
    shared = make()
    assert (await shared.ask(Question((ADDRESS,)))).blocks == 0
    version = await shared.blocks.put(Block("203.0.113.9/32", 60.0, ""))
    assert (await shared.ask(Question((ADDRESS,)))).blocks == version
    assert (await shared.ask(Question((), NAME, ANN))).blocks == version


@cluster
async def test_a_cluster_does_not_tell_the_version_of_the_blocks(make):
    assert (await make().ask(Question((ADDRESS,)))).blocks == -1


@single
async def test_what_is_remembered_of_questions_is_bounded(make, monkeypatch):
    """Those that nobody repeats make room, and none is taken for another."""
    monkeypatch.setattr(question_module, "_REMEMBERED", 3)
    shared = make()
    charges = [rate(f"of {number}", number + 2) for number in range(8)]
    for _ in range(2):
        for number, charge in enumerate(charges):
            question = Question((charge,))
            told = [(await shared.ask(question)).verdict.remaining for _ in range(2)]
            assert told == [number + 1, number]
        assert len(shared.ask._prepared) <= 3
        charges = [rate(f"again {number}", number + 2) for number in range(8)]


@both
async def test_it_can_be_opened_again(make, valkey_server, valkey_nodes):
    url = (valkey_nodes if make().ask._keyspace.is_cluster else valkey_server).url
    shared = open_shared(url + "?timeout=20")
    for _ in range(2):
        await shared.start()
        assert (await shared.ask(Question((ADDRESS,)))).verdict.refused == -1
        await shared.stop()
        await shared.stop()
        with pytest.raises(StoreError):
            await shared.ask(Question((ADDRESS,)))


@single
async def test_a_question_is_one_round_trip(make, valkey_server):
    shared = make()
    await sign_in(shared)
    await shared.ask(Question(CHARGES, NAME, ANN))
    keyspace = shared._keyspace
    before = keyspace.round_trips
    await shared.ask(Question(CHARGES, NAME, ANN))
    assert keyspace.round_trips == before + 1


@cluster
async def test_on_a_cluster_all_parts_leave_at_once(make):
    """Within the time of one round trip: nothing waits for another node's answer."""
    shared, keyspace = twisted(make)
    await sign_in(shared)
    keyspace.runs.clear()
    waiting = asyncio.ensure_future(shared.ask(Question(CHARGES, NAME, ANN)))
    await asyncio.sleep(0)
    assert sorted(name for name, _ in keyspace.runs) == ["question", "take", "take"]
    await waiting


steps = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.3, 2.0, 20.0]),
        st.lists(st.sampled_from(CHARGES), max_size=4),
        st.booleans(),
        st.integers(0, 4),
    ),
    max_size=20,
)


@both
@settings(deadline=None, max_examples=60)
@given(steps)
async def test_one_question_answers_what_several_would(make, sequence):
    """Asking at once and asking one by one comes to the same, whatever was before."""
    clock = Hands(NOW)
    whole, apart = make(clock), make(clock)
    for wait, charges, is_held, told_from in sequence:
        clock.now += wait
        question = Question(tuple(charges), NAME, ANN, told_from)
        for shared in (whole, apart):
            await shared.copies.release(ANN)
            if is_held:
                await shared.copies.hold(ANN)
            else:
                await sign_in(shared)
        reply = await whole.ask(question)
        told = await apart.copies.read(NAME, ANN)
        asked = [one for one in charges if told.copy is not None or not one.owner]
        numbers = [n for n, one in enumerate(charges) if one in asked]
        before = [one for one in charges[:told_from] if one in asked]
        verdict = await apart.counters("limits").take(before)
        if verdict.refused < 0:
            after, numbers = asked[len(before) :], numbers[len(before) :]
            verdict = await apart.counters("limits").take(after)
        assert (reply.told.copy, reply.told.epoch) == (told.copy, told.epoch)
        assert reply.settled == (asked == charges)
        refused = numbers[verdict.refused] if verdict.refused >= 0 else -1
        assert reply.verdict.refused == refused
        assert reply.verdict.retry_after == pytest.approx(verdict.retry_after)
        if refused < 0 and told_from == 0 and asked:
            assert reply.verdict.remaining == verdict.remaining
            assert reply.verdict.scarcest == numbers[verdict.scarcest]


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


# Several nodes


@cluster
async def test_a_part_that_fails_gives_the_others_back(make):
    shared, keyspace = twisted(make)
    counters = shared.counters("limits")
    keyspace.broken = counters.packed(ADDRESS).keys
    for ask in (
        lambda: shared.ask(Question((EVERYBODY, ADDRESS))),
        lambda: counters.take([EVERYBODY, ADDRESS]),
        lambda: counters.take([EVERYBODY, ADDRESS._replace(holds=(9.0,))]),
    ):
        with pytest.raises(LostError):
            await ask()
    keyspace.broken = ()
    assert await left(shared, EVERYBODY) == 900


@cluster
async def test_all_that_fail_are_one_failure(make):
    """Nothing is left that nobody looks at."""
    shared, keyspace = twisted(make)
    counters = shared.counters("limits")
    keyspace.broken = [counters.packed(one).keys[0] for one in (ADDRESS, EVERYBODY)]
    for attempt in (
        counters.take([EVERYBODY, ADDRESS]),
        counters.give_back([EVERYBODY, ADDRESS], NOW),
        shared.ask(Question((EVERYBODY, ADDRESS))),
    ):
        with pytest.raises(LostError):
            await attempt


@cluster
async def test_who_has_gone_leaves_nothing_behind(make):
    """A client that hangs up while several nodes are asked: what they answer later is
    looked at by nobody, and is no error of anybody's."""
    shared, keyspace = twisted(make)
    loop = asyncio.get_running_loop()
    sent = []

    def run(*_):
        sent.append(loop.create_future())
        return sent[-1]

    keyspace.run = run
    asking = asyncio.ensure_future(shared.ask(Question(CHARGES, NAME, ANN)))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    for future in sent[1:]:
        future.set_exception(LostError("lost"))
    del future
    sent.clear()
    gc.collect()
    await asyncio.sleep(0)


@cluster
async def test_what_was_left_out_is_not_given_back(make):
    """A refusal elsewhere must not fill the budget of an account that paid nothing."""
    shared = make()
    for _ in range(5):
        await shared.counters("limits").take([ACCOUNT])
    once = rate("once", 1)
    await shared.ask(Question((once, ACCOUNT), NAME, ANN))
    for _ in range(5):
        reply = await shared.ask(Question((once, ACCOUNT), NAME, ANN))
        assert (reply.verdict.refused, reply.settled) == (0, False)
    assert (await shared.counters("limits").take([ACCOUNT])).refused == 0


@cluster
async def test_an_owner_whose_node_is_away_costs_the_others_nothing(make):
    shared, keyspace = twisted(make)

    def away(key):
        raise StoreError("away")

    keyspace.identity = away
    with pytest.raises(StoreError, match="away"):
        await shared.ask(Question(CHARGES, NAME, ANN))
    assert await left(shared, ADDRESS) == 9


@cluster
async def test_a_budget_whose_node_is_away_makes_nobody_a_stranger(make):
    """Else everybody with one dead node among their budgets' would be told that nobody
    can say who they are."""
    shared, keyspace = twisted(make)
    await sign_in(shared)
    keyspace.broken = shared.counters("limits").packed(ADDRESS).keys
    reply = await shared.ask(Question(CHARGES, NAME, ANN))
    assert reply.told.copy == b"copy"
    assert isinstance(reply.failure, StoreError)
    assert not reply.settled
    keyspace.broken = ()
    assert await left(shared, ACCOUNT) == 5
    assert await left(shared, EVERYBODY) == 900


@both
async def test_never_more_than_allowed_from_all_sides(make):
    """Many at once draw from budgets that lie apart, and some refuse: whatever is taken
    and given back, no more pass than the scarcest has."""
    shared = make()
    narrow = [exact(f"narrow {n}", 20, 3600.0) for n in range(3)]
    wide = rate("wide", 50, 36_000.0)
    asked = [Question((wide, narrow[n % 3])) for n in range(300)]
    replies = await asyncio.gather(*map(shared.ask, asked))
    passed = [n % 3 for n, reply in enumerate(replies) if reply.verdict.refused < 0]
    assert max(passed.count(n) for n in range(3)) <= 20
    assert len(passed) <= 50
    assert math.isfinite(await left(shared, narrow[0]))
