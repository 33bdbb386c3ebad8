"""Keys on a cluster whose slots move and whose nodes fail."""

import asyncio
import time

import pytest
from redis.crc import key_slot
from tests.servers.valkey import running_cluster, running_valkey
from tests.stores.redis.keyspaces import COUNT, ECHO, answers, opened, outcome, until

from ringfence.errors import StoreError
from ringfence.stores.redis import cluster as room
from ringfence.stores.redis.address import Address
from ringfence.stores.redis.failures import DownError, LostError, RefusedError
from ringfence.stores.redis.scripts import Script
from ringfence.stores.redis.server import open_keyspace
from ringfence.stores.redis.slots import read_slots

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
async def keyspace(valkey_cluster, anyio_backend):
    async with opened(valkey_cluster.url + "?timeout=10") as keyspace:
        yield keyspace


@pytest.fixture
def slot(valkey_cluster):
    """The slot of ``{a}``, who has it, and who shall; back again afterwards."""
    number = key_slot(b"a")
    giver = valkey_cluster.node_of("a")
    taker = next(node for node in valkey_cluster.nodes if node is not giver)
    yield number, giver, taker
    valkey_cluster.move(number, taker, giver)
    valkey_cluster.settle(number, taker, giver)


async def test_calls_reach_the_node_of_their_key(keyspace, valkey_cluster):
    """Concurrent calls to three nodes are three writes."""
    keys = [b"{%d}k" % number for number in range(300)]
    await asyncio.gather(*(keyspace.run(COUNT, (key,), ()) for key in keys))
    before = keyspace.round_trips
    counted = await asyncio.gather(*(keyspace.run(COUNT, (key,), ()) for key in keys))
    assert counted == [2] * 300
    assert keyspace.round_trips == before + 3
    assert keyspace.is_cluster
    identities = {keyspace.identity(key) for key in keys}
    assert len(identities) == 3


async def test_any_node_knows_the_others(valkey_cluster):
    """One that is gone does not matter at the start, nor one that does not answer."""
    port = valkey_cluster.nodes[1].port
    url = f"redis+cluster://127.0.0.1:1,127.0.0.1:{port}"
    async with opened(url) as keyspace:
        for number in range(20):
            key = b"k%d" % number
            assert await keyspace.call(key, b"INCR", key) == 1


async def test_a_node_that_has_lost_its_disk_makes_nobody_blind(
    valkey_cluster, monkeypatch
):
    """It comes back at its address as a cluster of its own, which has no slots: whoever
    believed it would know of no node any more."""
    with running_valkey("--cluster-enabled", "yes") as stranger:
        nodes = valkey_cluster.url.partition("://")[2]
        url = f"redis+cluster://127.0.0.1:{stranger.port},{nodes}"
        async with opened(url) as keyspace:
            assert await answers(keyspace)
            keyspace._node(Address("127.0.0.1", stranger.port))
            known = keyspace._nodes.values()

            async def are_open():
                return all(one.identity for one in known)

            await until(are_open)
            monkeypatch.setattr(room.random, "sample", lambda nodes, _: nodes[::-1])
            assert None not in await keyspace._ask_anybody()


async def test_keys_of_several_slots_are_the_caller_s_mistake(keyspace):
    with pytest.raises(ValueError, match="hash tag"):
        await keyspace.run(ECHO, (b"a", b"b"), (1,))
    assert await answers(keyspace)


async def test_a_call_follows_a_slot_that_has_moved(keyspace, valkey_cluster, slot):
    """MOVED: the call goes on where the slot is, and the next go there at once."""
    number, giver, taker = slot
    await keyspace.call(b"{a}n", b"SET", b"{a}n", 7)
    valkey_cluster.move(number, giver, taker)
    valkey_cluster.settle(number, giver, taker)
    calls = [keyspace.run(COUNT, (b"{a}n",), ()) for _ in range(50)]
    assert sorted(await asyncio.gather(*calls)) == list(range(8, 58))
    before = keyspace.round_trips
    assert await keyspace.call(b"{a}n", b"GET", b"{a}n") == b"57"
    assert keyspace.round_trips <= before + 2  # a look at the table may be among them


async def test_a_call_follows_a_key_that_is_moving(keyspace, valkey_cluster, slot):
    """ASK: keys that have gone are asked for at the taker, the others at the giver; a
    script over both waits until they are together."""
    number, giver, taker = slot
    await keyspace.call(b"{a}old", b"SET", b"{a}old", 1)
    valkey_cluster.move(number, giver, taker)
    calls = [
        call
        for _ in range(50)
        for call in (
            keyspace.call(b"{a}old", b"INCR", b"{a}old"),
            keyspace.run(COUNT, (b"{a}new",), ()),
        )
    ]
    got = await asyncio.gather(*calls)
    assert sorted(got[0::2]) == list(range(2, 52))
    assert sorted(got[1::2]) == list(range(1, 51))
    both = Script(b"return redis.call('MGET', KEYS[1], KEYS[2])", "both")
    waiting = asyncio.ensure_future(
        outcome(keyspace.run(both, (b"{a}old", b"{a}new"), ()))
    )
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await asyncio.to_thread(valkey_cluster.settle, number, giver, taker)
    assert await waiting == [b"51", b"50"]


async def test_a_key_that_never_comes_ends_at_the_deadline(valkey_cluster, slot):
    """TRYAGAIN for ever: nobody's request waits longer than it said."""
    number, giver, taker = slot
    async with opened(valkey_cluster.url + "?timeout=0.2") as keyspace:
        await keyspace.call(b"{a}old", b"SET", b"{a}old", 1)
        valkey_cluster.move(number, giver, taker)
        await keyspace.call(b"{a}new", b"SET", b"{a}new", 1)
        both = Script(b"return redis.call('MGET', KEYS[1], KEYS[2])", "both")
        began = time.monotonic()
        got = await outcome(keyspace.run(both, (b"{a}old", b"{a}new"), ()))
        assert isinstance(got, StoreError)
        assert 0.15 < time.monotonic() - began < 0.8
        valkey_cluster.settle(number, giver, taker)


async def test_who_is_redirected_is_told_the_other_s_identity(
    keyspace, valkey_cluster, slot
):
    """A copy of one node must not be found good by another: what was lost when one
    took over from the other, a revocation say, would be forgotten (CWE-613)."""
    number, giver, taker = slot
    meant = keyspace.identity(b"{a}k")
    valkey_cluster.move(number, giver, taker)
    asked = await keyspace.run(ECHO, (b"{a}k",), (meant,))
    valkey_cluster.settle(number, giver, taker)
    moved = await keyspace.run(ECHO, (b"{a}k",), (meant,))
    told = await identity_of(keyspace, taker)
    assert meant != told
    assert asked == moved == [b"{a}k", told]


async def identity_of(keyspace, node):
    """Return the identity that is seen of a node."""
    (found,) = {
        each.identity
        for address, each in keyspace._nodes.items()
        if address.port == node.port
    }
    return found


async def test_a_circle_of_redirections_ends(valkey_cluster, monkeypatch):
    """Two nodes that each name the other are not asked thousands of times."""
    async with opened(valkey_cluster.url + "?timeout=0.2") as keyspace:
        held_by = keyspace._table[key_slot(b"a")].address
        one, other = (address for address in keyspace._nodes if address != held_by)
        circle = {one: other, other: one}
        monkeypatch.setattr(keyspace, "_learn", lambda _: None)  # nor is it mended
        monkeypatch.setattr(room, "redirection", lambda _, asked: circle[asked])
        keyspace._table[key_slot(b"a")] = keyspace._nodes[one]
        before = keyspace.round_trips
        assert isinstance(await outcome(keyspace.call(b"a", b"GET", b"a")), StoreError)
        assert keyspace.round_trips - before < 120


async def test_one_silent_node_holds_up_nobody_else(valkey_cluster):
    async with opened(valkey_cluster.url + "?timeout=0.2") as keyspace:
        silent = valkey_cluster.node_of("a")
        other = next(b"%d" % n for n in range(99) if elsewhere(valkey_cluster, n))
        silent.pause()
        try:
            lost = keyspace.call(b"a", b"GET", b"a")
            began = time.monotonic()
            assert await keyspace.call(other, b"EXISTS", other) == 0
            assert time.monotonic() - began < 0.15
            assert isinstance(await outcome(lost), LostError)
        finally:
            silent.resume()
        await until(lambda: answers(keyspace, b"a"))


async def test_a_node_that_lost_its_slots_answers_what_it_was_asked(valkey_cluster):
    async with opened(valkey_cluster.url) as keyspace:
        held_by = keyspace._table[key_slot(b"a")].address
        other = next(address for address in keyspace._nodes if address != held_by)
        calls = [keyspace.call(b"a", b"INCR", b"a") for _ in range(20)]
        trips = keyspace.round_trips
        keyspace._learn([other] * room.SLOTS)
        assert list(keyspace._nodes) == [other]
        assert await asyncio.gather(*calls) == list(range(1, 21))
        # It is redirected to who has the slot, which is a node again.
        assert await keyspace.call(b"a", b"INCR", b"a") == 21
        assert keyspace.round_trips > trips


async def test_the_nodes_of_the_url_are_asked_when_nobody_else_is_left(keyspace):
    """As when all nodes have come back under other addresses."""
    known = [address for address in await keyspace._ask_anybody() if address]
    nodes, keyspace._nodes = keyspace._nodes, {}
    assert await keyspace._ask_anybody() == known
    keyspace._nodes = nodes


async def test_a_slot_that_nobody_holds(valkey_cluster, monkeypatch):
    """At the start it is told; later it fails by itself."""

    def with_a_hole(answer, asked):
        return [*read_slots(answer, asked)[:-1], None]

    monkeypatch.setattr(room, "read_slots", with_a_hole)
    with pytest.raises(StoreError, match="slots that no node holds"):
        await open_keyspace(valkey_cluster.url).start()
    monkeypatch.undo()
    async with opened(valkey_cluster.url) as keyspace:
        keyspace._table[key_slot(b"a")] = None
        with pytest.raises(DownError, match="nobody holds it"):
            keyspace.identity(b"a")
        with pytest.raises(DownError, match="no node of the cluster"):
            await keyspace.call(b"a", b"GET", b"a")
        keyspace._stale.set()
        await until(lambda: answers(keyspace, b"a"))


async def test_a_redirection_that_leads_nowhere_is_handed_on(
    valkey_cluster, monkeypatch
):
    monkeypatch.setattr(room, "redirection", lambda *_: None)
    async with opened(valkey_cluster.url) as keyspace:
        wrong = next(n for n in keyspace._nodes.values() if n is not keyspace._table[0])
        keyspace._table[0] = wrong
        key = next(b"%d" % n for n in range(99_999) if key_slot(b"%d" % n) == 0)
        assert (await outcome(keyspace.call(key, b"GET", key))).code == "MOVED"


async def test_a_single_server_is_no_cluster(valkey):
    url = valkey.url.replace("redis://", "redis+cluster://").removesuffix("/0")
    with pytest.raises(DownError, match="does not say who holds which slot"):
        await open_keyspace(url).start()


async def test_a_node_is_not_taken_for_all(valkey_cluster):
    with pytest.raises(DownError, match=r"write redis\+cluster://"):
        await open_keyspace(valkey_cluster.nodes[0].url).start()


async def test_nobody_there_is_told():
    with pytest.raises(DownError, match=r"cannot be reached.*cannot be reached"):
        await open_keyspace("redis+cluster://127.0.0.1:1,127.0.0.1:2").start()


async def test_a_replica_takes_over(anyio_backend):
    """A node dies under load: its slots fail for as long as the others need to agree,
    the rest goes on, and copies of before are void."""
    with running_cluster(replicas=1) as cluster:
        # One that is not named in the URL is found, and a replica may name them all.
        url = f"redis+cluster://127.0.0.1:{cluster.replicas[0].port}?timeout=0.2"
        async with opened(url) as keyspace:
            before = keyspace.identity(b"a")
            other = next(b"%d" % n for n in range(99) if elsewhere(cluster, n))
            await keyspace.call(b"a", b"SET", b"a", 1)
            cluster.node_of("a").kill()
            await until(lambda: is_refused(keyspace, b"a"))
            with pytest.raises(DownError, match="away"):
                keyspace.identity(b"a")
            assert await answers(keyspace, other)
            await until(lambda: answers(keyspace, b"a"), seconds=15)
            assert keyspace.identity(b"a") != before
            # All slots together, also those that were asked for by nobody.
            for number in range(30):
                assert await answers(keyspace, b"%d" % number)


def elsewhere(cluster, number):
    return cluster.node_of(str(number)) is not cluster.node_of("a")


async def is_refused(keyspace, key):
    got = await outcome(keyspace.call(key, b"EXISTS", key))
    return isinstance(got, DownError | RefusedError)
