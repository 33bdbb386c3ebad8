"""What only blocked networks in Redis can get wrong: long lists, and lost memory."""

import asyncio
import struct

import pytest
from tests.contracts.clocks import Hands
from tests.contracts.shared_stores import REDIS, in_redis

from ringfence.errors import StoreError
from ringfence.stores.contracts import Block
from ringfence.stores.redis import blocks as module
from ringfence.stores.redis.blocks import RedisBlocks

pytestmark = pytest.mark.anyio

NOW = 1_700_000_000.0


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module", params=REDIS)
async def make(request, anyio_backend):
    async with in_redis(request.getfixturevalue(REDIS[request.param])) as make:
        yield make


@pytest.fixture
def clock():
    return Hands(NOW)


def limited(shared, most):
    """Return a list of the same store that holds no more."""
    prefix = shared.blocks.version.partition(b"{")[0]
    return RedisBlocks(shared._keyspace, shared._scripts, prefix, most=most)


async def networks(blocks, version=0):
    return [one.network for one in (await blocks.since(version)).changed]


async def put_many(blocks, names, seconds=60.0):
    for first in range(0, len(names), 250):
        await asyncio.gather(
            *(blocks.put(Block(name, seconds, "")) for name in names[first:][:250])
        )


async def test_a_long_list_is_read_in_parts(make):
    """One answer of 100,000 networks would hold up every request for its time."""
    shared = make()
    names = [f"10.{n >> 8}.{n & 255}.0/24" for n in range(2_000)]
    await put_many(shared.blocks, names)
    found = await shared.blocks.since(0)
    assert found.complete
    assert [one.network for one in found.changed] == names
    version = await shared.blocks.put(Block(names[0], 9.0, ""))
    changed = await shared.blocks.since(found.version)
    assert (changed.version, changed.complete) == (version, False)
    assert [one.network for one in changed.changed] == [names[0]]


async def test_of_too_many_the_first_to_be_free_gives_place(make, clock):
    blocks = limited(make(clock), 3)
    for seconds in (30.0, 10.0, 20.0, 40.0):
        await blocks.put(Block(f"192.0.2.{int(seconds)}/32", seconds, ""))
    assert sorted(await networks(blocks)) == [
        "192.0.2.20/32",
        "192.0.2.30/32",
        "192.0.2.40/32",
    ]
    await blocks.put(Block("192.0.2.40/32", 50.0, "again"))
    assert len(await networks(blocks)) == 3, "it only takes its own place"


async def test_a_short_block_is_not_lost_to_longer_ones(make, clock):
    """What was found out last counts, however soon it is over."""
    blocks = limited(make(clock), 2)
    for number in range(4):
        await blocks.put(Block(f"192.0.2.{number}/32", 60.0 - number, ""))
        assert f"192.0.2.{number}/32" in await networks(blocks)


async def test_a_server_that_has_lost_its_memory_uses_no_version_again(make):
    """Else who has seen it would take the new list for the old one."""
    shared = make()
    before = await shared.blocks.put(Block("192.0.2.1/32", 60.0, ""))
    for key in shared.blocks._keys:
        await shared._keyspace.call(key, b"DEL", key)
    empty = await shared.blocks.since(before)
    assert (empty.complete, list(empty.changed)) == (True, [])
    after = await shared.blocks.put(Block("192.0.2.2/32", 60.0, ""))
    assert after > before
    found = await shared.blocks.since(before)
    assert found.complete, "what was before is no longer blocked"
    assert [one.network for one in found.changed] == ["192.0.2.2/32"]


async def test_a_long_list_can_be_read_though_others_were_forgotten(
    make, clock, monkeypatch
):
    """Else no worker could start any more once one network is free again that was
    blocked after the first thousand."""
    monkeypatch.setattr(module, "_AT_ONCE", 3)
    blocks = make(clock).blocks
    for number in range(8):
        await blocks.put(Block(f"192.0.2.{number}/32", 60.0, ""))
    early = (await blocks.since(0)).version
    await blocks.put(Block("198.51.100.1/32", 1.0, "for a moment"))
    clock.now += 2.0
    for version in (0, early):
        found = await blocks.since(version)
        assert found.complete
        assert len(found.changed) == 8


async def test_the_list_ends_when_nothing_is_blocked_any_more(make):
    shared = make()
    await shared.blocks.put(Block("192.0.2.1/32", 86_400.0, ""))
    await shared.blocks.put(Block("192.0.2.2/32", 1.0, ""))
    for key in shared.blocks._keys:
        lasts = await shared._keyspace.call(key, b"PTTL", key)
        assert 86_400_000 < lasts < 100_000_000


@pytest.mark.parametrize("seconds", [float("inf"), 1e300])
async def test_for_ever_is_long_enough(make, clock, seconds):
    blocks = make(clock).blocks
    await blocks.put(Block("192.0.2.1/32", seconds, ""))
    (one,) = (await blocks.since(0)).changed
    assert one.seconds == pytest.approx(10 * 365 * 86_400)


async def test_a_network_of_which_nothing_is_known_is_let_in(make):
    shared = make()
    version = await shared.blocks.put(Block("192.0.2.1/32", 60.0, ""))
    details = shared.blocks._keys[2]
    await shared._keyspace.call(details, b"DEL", details)
    assert list((await shared.blocks.since(0)).changed) == []
    assert list((await shared.blocks.since(version)).changed) == []


async def test_what_somebody_else_has_written_is_let_in(make):
    blocks = make().blocks
    for name in ("192.0.2.1/32", "192.0.2.2/32"):
        version = await blocks.put(Block(name, 60.0, ""))
    details, changed = blocks._keys[2:4]
    call = blocks._keyspace.call
    await call(details, b"HSET", details, b"192.0.2.1/32", b"short")
    await call(changed, b"ZADD", changed, version + 1, b"\xff")
    found = await blocks.since(0)
    assert [one.network for one in found.changed] == ["192.0.2.2/32"]


async def test_a_long_reason_is_cut(make):
    blocks = make().blocks
    await blocks.put(Block("192.0.2.1/32", 60.0, "ü" * 10_000))
    (one,) = (await blocks.since(0)).changed
    assert 200 < len(one.reason) < 300


class Told:
    """A keyspace that says what it was told to say, the last for ever."""

    def __init__(self, *answers):
        self.answers = list(answers)

    async def run(self, script, keys, args):
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def answer(version, names, *, is_whole):
    """Return what the script would say of networks blocked for a minute."""
    changed = [word for name in names for word in (name, b"5")]
    details = [struct.pack("<d", 60.0)] * len(names)
    return [version, int(is_whole), struct.pack("<d", 0.0), changed, details]


FULL = [b"192.0.2.1/32"] * 1_000


async def test_who_has_to_begin_again_forgets_what_was_read(make):
    """A list that changes so much while it is read is read from its beginning."""
    told = Told(
        answer(5, FULL, is_whole=False), answer(6, [b"192.0.2.2/32"], is_whole=True)
    )
    found = await RedisBlocks(told, make()._scripts, b"ringfence:").since(4)
    assert (found.version, found.complete) == (6, True)
    assert [one.network for one in found.changed] == ["192.0.2.2/32"]


async def test_a_list_that_never_ends_is_given_up(make):
    """Reading on as long as others write would never come back."""
    told = Told(answer(9, FULL, is_whole=True))
    with pytest.raises(StoreError, match="faster than it is read"):
        await RedisBlocks(told, make()._scripts, b"ringfence:").since(0)
