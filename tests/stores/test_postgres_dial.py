"""A PostgreSQL that says nothing holds nobody up, and is found again by itself."""

import asyncio
import time

import pytest
from tests.servers.postgres import running_postgres
from tests.servers.proxy import running_proxy

from ringfence.errors import StoreError
from ringfence.stores.postgres.address import parse_address
from ringfence.stores.postgres.dial import Dial, open_driver

PATIENCE = 20  # seconds

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def server():
    with running_postgres(tcp=True) as running:
        yield running


@pytest.fixture
def network(server):
    with running_proxy(server.port) as proxy:
        yield proxy


@pytest.fixture
async def dial(server, network):
    with server.database() as database:
        address = parse_address(f"{database.address(network.port)}?connect_timeout=0.3")
        made = Dial(open_driver(address), address)
        yield made
        await made.close()


async def test_only_the_first_waits_for_a_server_that_says_nothing(dial, network):
    """Else each request would wait for as long as an attempt may take, and a backend
    whose limits go on in process would be as good as down (CWE-400)."""
    network.pause()
    with pytest.raises(StoreError, match="cannot be reached: no answer in time"):
        await dial.connect()
    before = time.monotonic()
    for _ in range(100):
        with pytest.raises(StoreError, match="cannot be reached"):
            await dial.connect()
    assert time.monotonic() - before < 0.3
    network.resume()


@pytest.mark.parametrize("fault", ["pause", "refuse"])
async def test_a_server_that_is_back_is_found_by_itself(dial, network, fault):
    """Nobody has to be refused for that."""
    getattr(network, fault)()
    with pytest.raises(StoreError):
        await dial.connect()
    getattr(network, {"pause": "resume", "refuse": "accept"}[fault])()
    async with asyncio.timeout(PATIENCE):
        while dial._is_down:  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0.01)
    await dial.driver.close(await dial.connect())


async def test_who_is_closed_seeks_no_more(dial, network):
    network.refuse()
    with pytest.raises(StoreError):
        await dial.connect()
    await dial.close()
    assert not [task for task in asyncio.all_tasks() if "_seek" in str(task)]
    network.accept()
    await dial.driver.close(await dial.connect())
