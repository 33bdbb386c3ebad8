"""What every list of blocked networks promises."""

import pytest
from tests.contracts import shared_stores
from tests.contracts.clocks import Hands

from ringfence.stores.contracts import Block

pytestmark = pytest.mark.anyio

NOW = 1_700_000_000.0

STORES = {
    kind: (shared_stores.in_redis, needed)
    for kind, needed in shared_stores.REDIS.items()
} | shared_stores.SQL
"""A new store adds a line here: how it is opened, and the fixture that it needs."""


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module", params=STORES)
async def make_store(request, anyio_backend):
    opened, needed = STORES[request.param]
    async with opened(needed and request.getfixturevalue(needed)) as make:
        yield make


@pytest.fixture
def clock():
    return Hands(NOW)


@pytest.fixture
def blocks(make_store, clock):
    return make_store(clock).blocks


def block(network="203.0.113.9/32", seconds=60.0, reason="why"):
    return Block(network, seconds, reason)


class Follower:
    """Somebody who looks now and then, as the blocklist of a process does."""

    def __init__(self, blocks, clock):
        self.blocks = blocks
        self.clock = clock
        self.version = 0
        self.ends = {}

    async def look(self):
        found = await self.blocks.since(self.version)
        if found.complete:
            self.ends = {}
        for one in found.changed:
            self.ends[one.network] = self.clock() + one.seconds
        self.version = found.version

    def blocked(self):
        return {name for name, end in self.ends.items() if end > self.clock()}


async def test_nothing_is_blocked_at_first(blocks):
    found = await blocks.since(0)
    assert list(found.changed) == []
    assert found.complete


async def test_what_is_blocked_is_told(blocks, clock):
    version = await blocks.put(block(seconds=60.0, reason="too many tries: ü"))
    found = await blocks.since(0)
    assert (found.version, found.complete) == (version, True)
    assert list(found.changed) == [block(seconds=60.0, reason="too many tries: ü")]
    clock.now += 20
    (one,) = (await blocks.since(0)).changed
    assert one.seconds == pytest.approx(40)


async def test_only_what_has_changed_is_told(blocks):
    first = await blocks.put(block("192.0.2.1/32"))
    second = await blocks.put(block("192.0.2.2/32"))
    assert second > first
    found = await blocks.since(first)
    assert [one.network for one in found.changed] == ["192.0.2.2/32"]
    assert (found.version, found.complete) == (second, False)
    found = await blocks.since(second)
    assert (found.version, list(found.changed), found.complete) == (second, [], False)


async def test_a_second_block_takes_the_place_of_the_first(blocks):
    first = await blocks.put(block(seconds=3600.0, reason="one"))
    await blocks.put(block(seconds=10.0, reason="two"))
    for version in (0, first):
        (one,) = (await blocks.since(version)).changed
        assert one == block(seconds=10.0, reason="two")


async def test_who_is_let_in_is_told(blocks):
    first = await blocks.put(block())
    await blocks.put(block("192.0.2.1/32"))
    await blocks.put(block(seconds=0.0))
    found = await blocks.since(first)
    assert {one.network: one.seconds > 0 for one in found.changed} == {
        "203.0.113.9/32": False,
        "192.0.2.1/32": True,
    }
    everything = await blocks.since(0)
    assert [one.network for one in everything.changed] == ["192.0.2.1/32"]


async def test_what_is_over_is_not_told(blocks, clock):
    await blocks.put(block(seconds=10.0))
    clock.now += 11
    assert list((await blocks.since(0)).changed) == []


async def test_versions_rise_while_the_clock_stands_or_goes_back(blocks, clock):
    versions = [await blocks.put(block()) for _ in range(3)]
    clock.now -= 3600
    versions += [await blocks.put(block()) for _ in range(3)]
    assert versions == sorted(set(versions))


async def test_who_looks_seldom_misses_nothing(blocks, clock):
    """A block that was shortened and has ended between two looks is not taken for the
    long one that it was before."""
    seldom = Follower(blocks, clock)
    await blocks.put(block("192.0.2.1/32", 3600.0))
    await blocks.put(block("192.0.2.2/32", 3600.0))
    await seldom.look()
    await blocks.put(block("192.0.2.1/32", 5.0))
    clock.now += 10
    await blocks.put(block("192.0.2.3/32", 3600.0))
    await seldom.look()
    assert seldom.blocked() == {"192.0.2.2/32", "192.0.2.3/32"}


async def test_who_was_let_in_long_ago_is_told_to_late_comers(blocks, clock):
    seldom = Follower(blocks, clock)
    await blocks.put(block("192.0.2.1/32", 86_400.0))
    await seldom.look()
    await blocks.put(block("192.0.2.1/32", 0.0))
    clock.now += 7_200
    await blocks.put(block("192.0.2.2/32", 60.0))
    await seldom.look()
    assert seldom.blocked() == {"192.0.2.2/32"}


async def test_who_knows_more_than_the_store_is_told_everything(blocks):
    """A store that has lost its memory does not leave others with what it had."""
    version = await blocks.put(block())
    found = await blocks.since(version + 10**12)
    assert found.complete
    assert (found.version, len(found.changed)) == (version, 1)


async def test_followers_agree(blocks, clock):
    """Whoever looks, whenever they look, blocks the same networks."""
    often, seldom = Follower(blocks, clock), Follower(blocks, clock)
    for step in range(60):
        seconds = (step * 7 % 5) * 13.0
        await blocks.put(block(f"192.0.2.{step * 3 % 7}/32", seconds))
        clock.now += step % 11
        await often.look()
        if step % 9 == 8:
            await seldom.look()
            fresh = Follower(blocks, clock)
            await fresh.look()
            assert seldom.blocked() == often.blocked() == fresh.blocked()
