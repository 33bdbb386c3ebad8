"""One Redis before a PostgreSQL: what must be fast fails, what must last does not."""

import asyncio
import os
import random

import pytest
from tests.faults.serving import running_yard
from tests.faults.traffic import Traffic, hit
from tests.faults.yard import EXACT
from tests.servers.proxy import running_proxy
from tests.servers.valkey import running_sentinel, running_valkey

PATIENCE = "timeout=0.3&connect_timeout=0.3"
CUTS = 15
PAUSE = 10.0 if os.environ.get("CI") else 2.0  # seconds
BEFORE, DURING, AFTER = 40, 40, 60  # answers to wait for

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def store():
    with running_valkey("--dbfilename", "saved.rdb") as server:
        yield server


@pytest.fixture(scope="module")
def network(store):
    """Between the application and its store."""
    with running_proxy(store.port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def yard(network, lasting_server, tmp_path_factory):
    with (
        lasting_server.database() as database,
        running_yard(
            tmp_path_factory.mktemp("yard"),
            store=f"redis://127.0.0.1:{network.port}/0?{PATIENCE}",
            database=database.address(),
        ) as served,
    ):
        yield served


async def during(traffic, begin, end, seconds=0.0):
    """Have traffic before, while and after the store fails; ask for all of it then."""
    await traffic.settle(residents=3)
    async with traffic.flowing():
        await traffic.until("answered", BEFORE)
        await asyncio.to_thread(begin)
        await traffic.until("refused", DURING)
        await traffic.go_on(seconds)
        await traffic.leave()
        await asyncio.to_thread(end)
        await traffic.recovered()
        await traffic.until("answered", AFTER)
    await traffic.audit()


async def test_a_store_that_is_killed(yard, store):
    await during(Traffic(yard, "store killed"), store.kill, store.restart)


async def test_a_store_that_is_paused(yard, store):
    """Longer than any deadline: what it was sent is executed when it goes on, and
    nobody waits for that any more."""
    traffic = Traffic(yard, "store paused")
    await during(traffic, store.pause, store.resume, seconds=PAUSE)


async def test_a_store_that_refuses_connections(yard, network):
    await during(Traffic(yard, "store refuses"), network.refuse, network.accept)


async def test_a_store_whose_replies_are_lost(yard, network):
    """Executed, but nobody knows: what was not answered is not claimed either."""
    traffic = Traffic(yard, "replies lost")
    await during(traffic, network.lose_replies, lambda: network.lose_replies(0))


async def test_a_store_whose_connections_are_cut_all_the_time(yard, network):
    """At any moment: between a hold, a commit and a release, too."""
    traffic = Traffic(yard, "connections cut")
    moments = random.Random(5)
    await traffic.settle()
    network.delay(reply=10)
    async with traffic.flowing(joiners=3):
        for _ in range(CUTS):
            await traffic.until("answered", moments.randrange(4, 12))
            await asyncio.to_thread(network.cut)
        network.delay()
        await traffic.recovered()
        await traffic.until("answered", AFTER)
    await traffic.audit()
    assert traffic.count()["refused"]


async def test_a_store_that_is_too_slow(yard, network):
    await during(
        Traffic(yard, "store too slow"),
        lambda: network.delay(reply=700),
        lambda: (network.delay(), network.cut()),
    )


async def test_a_store_that_is_slow(yard, network):
    """Within its deadline it is waited for."""
    traffic = Traffic(yard, "store slow")
    await traffic.settle()
    network.delay(request=40, reply=40)
    async with traffic.flowing():
        await traffic.until("answered", BEFORE)
    network.delay()
    await traffic.audit()
    assert not traffic.count()["refused"]


async def test_a_store_that_became_a_replica(yard, store):
    def demote():
        with store.client() as client:
            client.replicaof("127.0.0.1", 1)

    def promote():
        with store.client() as client:
            client.replicaof("NO", "ONE")

    await during(Traffic(yard, "read-only replica"), demote, promote)


async def test_a_store_without_memory(yard, store):
    def fill():
        with store.client() as client:
            client.config_set("maxmemory", 1)

    def empty():
        with store.client() as client:
            client.config_set("maxmemory", 0)

    await during(Traffic(yard, "out of memory"), fill, empty)


async def test_a_store_that_forgets_everything(yard, store):
    """Its data are copies: the database is asked again, and nobody notices."""

    def forget():
        with store.client() as client:
            client.flushall()
            client.script_flush()

    traffic = Traffic(yard, "store emptied")
    await traffic.settle()
    async with traffic.flowing():
        for _ in range(3):
            await traffic.until("answered", BEFORE)
            await asyncio.to_thread(forget)
        await traffic.until("answered", AFTER)
    await traffic.audit()
    assert not traffic.count()["refused"]


async def test_a_store_that_comes_back_from_an_old_copy(yard, store):
    """Sessions that have ended since it was written stay ended: what it knows of them
    is from another life."""
    traffic = Traffic(yard, "old copy")
    await traffic.settle(residents=4)
    leaving = traffic.residents[2:]
    assert await traffic.look_all() == [200] * 4
    assert await traffic.look_all() == [200] * 4  # from copies
    with store.client(text=False) as client:
        client.save()
        saved = set(client.keys())
    traffic.residents = traffic.residents[:2]
    await traffic.sign_out_all(leaving)
    with store.client(text=False) as client:
        voided = saved - set(client.keys())
    await asyncio.to_thread(store.restart)
    with store.client(text=False) as client:
        assert voided & set(client.keys())
    async with traffic.flowing():
        await traffic.recovered()
        await traffic.until("answered", AFTER)
    await traffic.audit()
    (store.folder / "saved.rdb").unlink()


async def test_limits_never_open(yard, store, network):
    """While the store is away each process counts for itself, and goes on with the
    store's count afterwards."""
    with store.client() as client:
        client.flushall()
    assert (await hit(yard.port, "/exact", 2 * EXACT))[200] == EXACT
    await asyncio.to_thread(network.refuse)
    meanwhile = await hit(yard.port, "/exact", 4 * EXACT)
    await asyncio.to_thread(network.accept)
    assert meanwhile == {200: EXACT, 429: 3 * EXACT}
    traffic = Traffic(yard, "limits")
    await traffic.settle()
    await traffic.recovered()
    assert await hit(yard.port, "/exact", EXACT) == {429: EXACT}


async def test_a_primary_that_fails_under_a_sentinel(lasting_server, tmp_path):
    """The replica that takes over has not heard of the last sign-outs."""
    with (
        running_sentinel() as sentinel,
        lasting_server.database() as database,
        running_yard(
            tmp_path / "yard",
            store=f"{sentinel.url}?{PATIENCE}",
            database=database.address(),
        ) as yard,
    ):
        traffic = Traffic(yard, "failover")
        await traffic.settle(residents=4)
        leaving = traffic.residents[2:]
        assert await traffic.look_all() == [200] * 4
        assert await traffic.look_all() == [200] * 4
        with sentinel.primary.client() as client:
            assert client.wait(1, 5000) == 1
        with sentinel.primary.client() as client:
            client.config_set("requirepass", "not the replica's")
            client.client_kill_filter(_type="replica")
        traffic.residents = traffic.residents[:2]
        await traffic.sign_out_all(leaving)
        async with traffic.flowing():
            await traffic.until("answered", BEFORE)
            await asyncio.to_thread(sentinel.primary.kill)
            await traffic.until("refused", 10)
            await asyncio.to_thread(sentinel.await_leader, sentinel.replica)
            await traffic.recovered()
            await traffic.until("answered", AFTER)
        await traffic.audit()
