"""A Redis Cluster before a PostgreSQL, while its slots and its nodes change."""

import asyncio

import pytest
from tests.faults.serving import running_yard
from tests.faults.traffic import Traffic
from tests.servers.valkey import running_cluster

PATIENCE = "timeout=0.3&connect_timeout=0.3"
MOVED = 8  # slots

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def cluster():
    with running_cluster(replicas=1) as nodes:
        yield nodes


@pytest.fixture(scope="module")
def yard(cluster, lasting_server, tmp_path_factory):
    with (
        lasting_server.database() as database,
        running_yard(
            tmp_path_factory.mktemp("yard"),
            store=f"{cluster.url}?{PATIENCE}",
            database=database.address(),
        ) as served,
    ):
        yield served


async def test_slots_that_move(yard, cluster):
    """ASK while they do, MOVED when they have: nobody notices."""
    giver, taker, _ = cluster.nodes
    traffic = Traffic(yard, "slots moving")
    await traffic.settle(residents=6)
    async with traffic.flowing():
        await traffic.until("answered", 40)
        for slot in cluster.slots_in_use(giver)[:MOVED]:
            await asyncio.to_thread(cluster.move, slot, giver, taker)
            await traffic.until("answered", 10)
            await asyncio.to_thread(cluster.settle, slot, giver, taker)
            await traffic.until("answered", 10)
    await traffic.audit()
    assert not traffic.count()["refused"]


async def test_a_node_that_fails_over(yard, cluster):
    """Its replica takes over, and void is what it knows of who is signed in."""
    traffic = Traffic(yard, "node fails over")
    await traffic.settle(residents=6)
    failing, heir = cluster.nodes[1], cluster.replicas[1]
    async with traffic.flowing():
        await traffic.until("answered", 60)
        await asyncio.to_thread(failing.kill)
        await traffic.until("refused", 10)
        await asyncio.to_thread(cluster.await_primary, heir)
        await traffic.recovered()
        await traffic.until("answered", 60)
    await traffic.audit()
