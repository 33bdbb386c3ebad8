"""The primary that sentinels name."""

import time

import pytest
from tests.attacks.serving import free_port
from tests.servers.valkey import running_sentinel
from tests.stores.redis.keyspaces import answers, opened, until

from ringfence.stores.redis.address import Address
from ringfence.stores.redis.failures import DownError
from ringfence.stores.redis.server import open_keyspace

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio", {"use_uvloop": True}


async def test_the_primary_is_found_and_its_successor_too():
    """The primary dies: the next connection is to whom the sentinel names then, and
    what was known of the dead one is void."""
    with running_sentinel() as sentinel:
        port = sentinel.watcher.port
        for url in (
            sentinel.url,
            f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{port}/main?timeout=0.2",
        ):
            async with opened(url) as keyspace:
                assert await keyspace.call(b"n", b"INCR", b"n") > 0
        unknown = open_keyspace(f"redis+sentinel://127.0.0.1:{port}/other")
        with pytest.raises(DownError, match="knows no service 'other'"):
            await unknown.start()
        async with opened(url) as keyspace:
            before = keyspace.identity(b"n")
            sentinel.primary.kill()
            await until(lambda: names(sentinel, sentinel.replica), seconds=15)
            began = time.monotonic()
            await until(lambda: answers(keyspace))
            assert time.monotonic() - began < 1.0
            assert keyspace.identity(b"n") != before
            assert await keyspace.call(b"n", b"INCR", b"n") == 3
            # Who was the primary comes back as a replica, and is not used.
            sentinel.primary.start()
            assert await keyspace.call(b"n", b"INCR", b"n") == 4


async def test_no_sentinel_is_told():
    keyspace = open_keyspace("redis+sentinel://127.0.0.1:1,127.0.0.1:2/main")
    with pytest.raises(DownError, match=r"127.0.0.1:1 .*127.0.0.1:2 "):
        await keyspace.start()


async def test_a_sentinel_here_leads_nowhere_else_in_clear_text():
    """The start-up lets clear text pass where the URL names this machine only; a
    sentinel may name any (CWE-319)."""
    with running_sentinel() as sentinel:
        with sentinel.watcher.client() as client:
            client.execute_command("SENTINEL", "REMOVE", "main")
            client.execute_command("SENTINEL", "MONITOR", "main", "192.0.2.1", 6379, 1)
        with pytest.raises(DownError, match=r"192.0.2.1:6379 .*needs TLS"):
            await open_keyspace(sentinel.url).start()


@pytest.mark.parametrize(
    ("text", "is_here"),
    [
        *(("127.0.0.1", True), ("127.9.9.9:1", True), ("[::1]:6379", True)),
        *(("localhost", True), ("redis.localhost:1", True)),
        *(("192.0.2.1", False), ("[2001:db8::1]", False), ("localhost.example", False)),
    ],
)
async def test_what_is_on_this_machine(text, is_here):
    assert Address.parse(text, 6379).is_here is is_here


async def test_a_server_is_no_sentinel(valkey):
    url = valkey.url.replace("redis://", "redis+sentinel://").replace("/0", "/main")
    with pytest.raises(DownError, match=r"unknown command .*is it a sentinel"):
        await open_keyspace(url).start()


async def names(sentinel, server):
    return sentinel.leader() == server.port
