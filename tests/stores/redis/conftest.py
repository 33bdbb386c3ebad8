"""Keyspaces that are open for one test."""

import pytest
from tests.servers.proxy import running_proxy
from tests.stores.redis.keyspaces import opened


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request):
    """Both loops: they order timers, replies and writes differently."""
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture
async def keyspace(valkey, anyio_backend):
    # A busy machine is no fault; those are tried elsewhere.
    async with opened(valkey.url + "?timeout=10") as keyspace:
        yield keyspace


@pytest.fixture
def proxy(valkey):
    """A proxy before the server."""
    with running_proxy(valkey.port) as proxy:
        yield proxy
