"""One question that asks everything: of one server, or of several nodes."""

import asyncio
import gc
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contracts.clocks import Hands
from tests.contracts.shared_stores import REDIS, in_redis
from tests.stores.redis.twisted import (
    ACCOUNT,
    ADDRESS,
    ANN,
    CHARGES,
    EVERYBODY,
    NAME,
    NOW,
    both,
    cluster,
    exact,
    left,
    rate,
    ready_to_return,
    sign_in,
    single,
    twisted,
)

from ringfence.errors import StoreError
from ringfence.stores.contracts import Block, Question, Told
from ringfence.stores.open import open_shared
from ringfence.stores.redis import question as question_module
from ringfence.stores.redis.failures import LostError

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
async def make(request, anyio_backend):
    async with in_redis(request.getfixturevalue(REDIS[request.param])) as make:
        yield make


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


# Several nodes


@cluster
async def test_a_part_that_fails_gives_the_others_back(make):
    shared, keyspace = twisted(make)
    counters = shared.counters("limits")
    await ready_to_return(shared, EVERYBODY)
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
    await ready_to_return(shared, ACCOUNT, EVERYBODY)
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
