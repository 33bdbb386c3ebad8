"""What only counters in memory can get wrong: their bound, and what they forget."""

import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.stores.contracts import Charge, counter_key
from ringfence.stores.memory_counters import MemoryCounters

NOW = 1_700_000_000.0
KEYS = 64


@pytest.fixture
def counters():
    return MemoryCounters(keys=KEYS, members=64, clock=lambda: NOW)


def charge(name, *, exact=True, amount=2, period=60.0, **changes):
    return Charge(counter_key("test", str(name)), amount, period, exact, **changes)


def take(counters, *charges, now=NOW):
    return counters.decide(charges, now)


def allowed(counters, *charges, now=NOW):
    return take(counters, *charges, now=now).refused == -1


def exhaust(counters, one, now=NOW):
    while allowed(counters, one, now=now):
        pass


KINDS = pytest.mark.parametrize("exact", [True, False], ids=["exact", "gcra"])


@KINDS
def test_the_number_of_keys_is_bounded(counters, exact):
    """A flood of names costs no more memory than the bound says."""
    for name in range(50 * KEYS):
        take(counters, charge(name, exact=exact), now=NOW + name / 1e6)
    assert counters.size <= KEYS + 256


@KINDS
def test_nobody_washes_their_record_away(counters, exact):
    """Filling the store with other names must not make it forget who is held, who is
    over the limit, or who has used a part."""
    held = charge("held", exact=exact, holds=(1000.0,))
    over, partly = charge("over", exact=exact), charge("partly", exact=exact)
    exhaust(counters, held)
    exhaust(counters, over)
    take(counters, partly)
    for name in range(50 * KEYS):
        take(counters, charge(name, exact=exact), now=NOW + 1)
    assert take(counters, held, now=NOW + 1).held
    assert not allowed(counters, over, now=NOW + 1)
    assert take(counters, partly, now=NOW + 1).remaining == 0


@KINDS
def test_a_hold_outlives_its_budget(counters, exact):
    """A held key whose count is long over stays, and so does what it has learned."""
    held = charge("held", exact=exact, holds=(1000.0, 5000.0))
    exhaust(counters, held)
    for name in range(50 * KEYS):
        take(counters, charge(name, exact=exact), now=NOW + 500 + name / 4)
        if name == 1600:
            assert take(counters, held, now=NOW + 900).held
    later = NOW + 1900
    exhaust(counters, held, now=later)
    assert take(counters, held, now=later).retry_after == pytest.approx(5000)


@KINDS
def test_what_is_idle_makes_room(counters, exact):
    """After a period newcomers have their own budgets again, one by one."""
    for name in range(50 * KEYS):
        take(counters, charge(name, exact=exact))
    later = NOW + 61
    fresh = [charge(f"late {n}", exact=exact) for n in range(40)]
    assert all(take(counters, one, now=later).remaining == 1 for one in fresh)


@KINDS
def test_without_room_newcomers_still_count(counters, exact):
    """Overflow goes to shared budgets, never to not counting (fail closed)."""
    for name in range(KEYS):
        take(counters, charge(name, exact=exact))
    through = sum(
        allowed(counters, charge(f"late {n}", exact=exact)) for n in range(5000)
    )
    assert through <= 2 * 256
    late = charge("late", exact=exact)
    assert [allowed(counters, late) for _ in range(3)][2] is False


@KINDS
def test_without_room_the_coarser_key_counts(counters, exact):
    """Of a /48 that fills the store with its /64s, one budget remains; others' stay."""
    for name in range(KEYS):
        take(counters, charge(name, exact=exact))

    def of(prefix, name):
        wider = counter_key("prefix", prefix)
        return charge(name, exact=exact, coarser=(wider,))

    assert sum(allowed(counters, of("bad", f"b{n}")) for n in range(100)) == 2
    assert allowed(counters, of("good", "g"))


@KINDS
def test_one_site_leaves_room_for_others(exact):
    """Two IPv6 sites have more networks than there is room for, and cost nothing."""
    counters = MemoryCounters(keys=4_096)

    def of(site, number):
        wider = (counter_key("/56", site, str(number % 16)), counter_key("/48", site))
        return charge(f"{site} {number}", exact=exact, coarser=wider)

    for number in range(4_096):
        for site in ("first", "second"):
            take(counters, of(site, number))
    for other in range(500):
        one = of(f"site {other}", 0)
        assert [allowed(counters, one) for _ in range(3)] == [True, True, False]


@KINDS
def test_without_room_for_the_coarser_key_the_next_counts(counters, exact):
    """The chain is followed to its end before strangers share."""
    for name in range(2 * KEYS):
        wider = counter_key("prefix", str(name))
        take(counters, charge(name, exact=exact, coarser=(wider,)))
    chain = (counter_key("no room"), counter_key("prefix", str(KEYS - 8)))
    late = charge("late", exact=exact, coarser=chain)
    assert take(counters, late).remaining == 0, "it shares the budget of that prefix"


@KINDS
def test_a_hold_that_is_forgotten_is_dropped_with_its_key(counters, exact):
    """What was learned about attackers does not pile up."""
    for name in range(KEYS // 2):
        exhaust(counters, charge(name, exact=exact, holds=(100.0,)))
    assert len(counters._holds) == KEYS // 2
    for name in range(KEYS):
        take(counters, charge(f"late {name}", exact=exact), now=NOW + 201)
    assert not counters._holds


def test_a_shared_budget_is_not_held(counters):
    """A hold would hit strangers who happen to share it."""
    for name in range(KEYS):
        take(counters, charge(name))
    late = charge("late", holds=(1000.0,))
    exhaust(counters, late)
    verdict = take(counters, late)
    assert (verdict.refused, verdict.held) == (0, False)
    assert allowed(counters, late, now=NOW + 61)


@KINDS
@pytest.mark.anyio
async def test_a_shared_budget_gets_back_what_it_gave(counters, exact):
    for name in range(KEYS):
        take(counters, charge(name, exact=exact))
    late = charge("late", exact=exact, coarser=(counter_key("wide"),))
    exhaust(counters, late)
    await counters.give_back([late], NOW)
    assert allowed(counters, late)
    assert not allowed(counters, late)


@KINDS
@pytest.mark.anyio
async def test_what_was_lifted_takes_no_second_place(counters, exact):
    """Lifting and taking in turn must not grow anything."""
    one = charge("one", exact=exact, holds=(1000.0,))
    for _ in range(500):
        exhaust(counters, one)
        await counters.lift([one.key])
    assert counters.size == 1
    shelf = counters._windows if exact else counters._rates
    assert len(shelf._waiting) == 1


def test_new_keys_look_at_a_fixed_number_of_others():
    """No request pays for a sweep of the whole store."""
    counters = MemoryCounters(keys=10_000)
    looked = 0

    def count(frame, event, _argument):
        nonlocal looked
        looked += event == "call" and "is_idle" in frame.f_code.co_name

    for name in range(10_000):
        take(counters, charge(name))
    sys.setprofile(count)
    try:
        take(counters, charge("late"), now=NOW + 61)
    finally:
        sys.setprofile(None)
    assert 0 < looked <= 40


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 200),
            st.booleans(),
            st.integers(0, 90),
            st.booleans(),
            st.integers(0, 3),
        ),
        max_size=300,
    )
)
def test_the_bound_and_the_queue_agree(steps):
    """Whatever is asked, each key waits once to be looked at, no hold is lost, and no
    share is miscounted."""
    counters = MemoryCounters(keys=KEYS)
    now = NOW
    for name, exact, wait, holds, group in steps:
        now += wait
        lengths = (30.0, 300.0) if holds else ()
        coarser = (counter_key("site", str(group)),) if group else ()
        one = charge(name, exact=exact, holds=lengths, coarser=coarser)
        take(counters, one, now=now)
    for shelf in (counters._rates, counters._windows):
        shared = {key for key in shelf.states if b"last resort" in key}
        waiting = sorted(key for key, _ in shelf._waiting)
        assert waiting == sorted(shelf.states.keys() - shared)
        groups = Counter(group for _, group in shelf._waiting if group)
        assert shelf._in_group == groups
        assert len(shelf._waiting) <= KEYS
        assert len(shared) <= 256
    for key in counters._holds:
        assert key in counters._rates.states or key in counters._windows.states


# One look


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.integers(0, 3000).map(lambda wait: wait / 1000), max_size=60),
    st.integers(1, 6),
    st.integers(0, 6),
)
def test_one_look_says_what_the_decision_would(waits, amount, burst):
    """The short way lets nobody through whom the long way refuses, takes the same."""
    short, long = MemoryCounters(), MemoryCounters()
    one = charge("one", exact=False, amount=amount, period=4.0, burst=burst)
    now = NOW
    for wait in waits:
        now += wait
        let = short.passes(one, now) or allowed(short, one, now=now)
        assert let == allowed(long, one, now=now)
    assert short._arrivals == pytest.approx(long._arrivals)


@KINDS
def test_one_look_is_not_enough_for_holds_and_windows(counters, exact):
    one = charge("one", exact=exact, holds=(100.0,) if not exact else ())
    take(counters, one)
    assert not counters.passes(one, NOW)
    assert take(counters, one).remaining == 0, "nothing was taken by looking"


# Members


@pytest.mark.anyio
async def test_members_are_bounded():
    """Spraying over millions of accounts and networks costs no more memory."""
    counters = MemoryCounters(members=64, clock=lambda: NOW)
    for network in range(100):
        for account in range(100):
            key, member = counter_key("spray", str(network)), b"%d" % account
            count = await counters.distinct(key, member, 60.0)
            assert count <= 8
    assert counters.size <= 64


@pytest.mark.anyio
async def test_a_key_in_use_outlives_the_others():
    """The network that sprays is not pushed out by those that only pass."""
    counters = MemoryCounters(members=64, clock=lambda: NOW)
    for n in range(500):
        await counters.distinct(counter_key("passer-by", str(n)), b"x", 60.0)
        count = await counters.distinct(counter_key("spray"), b"%d" % n, 60.0)
    assert count == 8


# The clock


def test_a_clock_that_trembles_is_no_change_of_it(counters):
    """Two threads' times may arrive in the wrong order; the window stays exact."""
    one = charge("one", amount=2, period=10.0)
    assert allowed(counters, one, now=NOW)
    assert allowed(counters, one, now=NOW - 0.5)
    assert not allowed(counters, one, now=NOW + 9.9)
    assert allowed(counters, one, now=NOW + 10)
