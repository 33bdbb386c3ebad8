"""A PostgreSQL that fails: alone, where it is the store for limits too, and behind a
Redis that goes on."""

import asyncio

import pytest
from tests.faults.serving import running_yard
from tests.faults.traffic import Traffic
from tests.servers.proxy import running_proxy

MINUTE = 60.0
DEADLINE = 5.0  # seconds: a registration asks up to eight times, each with its own
PATIENCE = "timeout=0.5&connect_timeout=0.5"
BEFORE, DURING, AFTER = 40, 20, 60  # answers to wait for

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def network(lasting_server):
    """Between the application and its database."""
    with running_proxy(lasting_server.port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def database(lasting_server, network):
    with lasting_server.database() as made:
        yield f"{made.address(network.port)}?{PATIENCE}"


@pytest.fixture(scope="module", params=["alone", "behind Redis"])
def yard(request, database, tmp_path_factory):
    store = database
    if request.param != "alone":
        store = request.getfixturevalue("valkey_server").url
    folder = tmp_path_factory.mktemp("yard")
    with running_yard(folder, store=store, database=database) as served:
        yield served


@pytest.fixture
def has_copies(yard):
    """Whether who is signed in is known without the database, too."""
    return yard.environ["RINGFENCE_STORE"].startswith("redis")


async def during(traffic, begin, end, *, has_copies):
    """Have traffic before, while and after the database fails; ask for all of it
    then. Where there are copies, who is signed in notices nothing."""
    await traffic.settle(residents=3)
    async with traffic.flowing():
        await traffic.until("answered", BEFORE)
        await asyncio.to_thread(begin)
        await traffic.until("refused", DURING if not has_copies else 4)
        if has_copies:
            assert await traffic.look_all() == [200] * 3
        await traffic.leave()
        await asyncio.to_thread(end)
        await traffic.recovered()
        await traffic.until("answered", AFTER)
    await traffic.audit()


async def test_a_database_that_is_killed(yard, lasting_server, has_copies):
    traffic = Traffic(yard, "database killed", deadline=DEADLINE)
    await during(
        traffic, lasting_server.kill, lasting_server.restart, has_copies=has_copies
    )


async def test_a_database_that_is_paused(yard, lasting_server, has_copies):
    traffic = Traffic(yard, "database paused", deadline=DEADLINE)
    await during(
        traffic, lasting_server.pause, lasting_server.resume, has_copies=has_copies
    )


async def test_a_database_that_refuses(yard, network, has_copies):
    traffic = Traffic(yard, "database refuses", deadline=DEADLINE)
    await during(traffic, network.refuse, network.accept, has_copies=has_copies)


async def test_a_database_that_is_too_slow(yard, network, has_copies):
    traffic = Traffic(yard, "database too slow", deadline=DEADLINE)
    await during(
        traffic,
        lambda: network.delay(reply=1000),
        lambda: (network.delay(), network.cut()),
        has_copies=has_copies,
    )


async def test_a_database_that_takes_no_writes(yard, lasting_server, has_copies):
    """As one that became a replica: what it knows may be old, so it is not asked."""
    setting = "default_transaction_read_only"
    try:
        await during(
            Traffic(yard, "database read-only", deadline=DEADLINE),
            lambda: lasting_server.set_up(setting, "on"),
            lambda: lasting_server.set_up(setting, "off"),
            has_copies=has_copies,
        )
    finally:
        lasting_server.set_up(setting, "off")


async def test_a_worker_whose_clock_jumps(yard):
    """The time is the database's: nobody is signed out, ahead or back, and nobody who
    left comes back."""
    traffic = Traffic(yard, "clock of a worker", deadline=DEADLINE)
    await traffic.settle()
    async with traffic.flowing():
        for ahead in (40 * MINUTE, -40 * MINUTE, 0.0):
            await asyncio.to_thread(yard.set_clock, 0, ahead)
            await traffic.until("answered", BEFORE)
    await traffic.audit()


async def test_a_database_whose_replies_are_lost(yard, network, has_copies):
    """Committed, but nobody knows: a sign-out that was not answered may be one."""
    traffic = Traffic(yard, "commits lost", deadline=DEADLINE)
    await during(
        traffic,
        network.lose_replies,
        lambda: network.lose_replies(0),
        has_copies=has_copies,
    )
