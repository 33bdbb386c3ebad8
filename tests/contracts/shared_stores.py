"""The stores that processes share, opened under a prefix of each test's own."""

from contextlib import asynccontextmanager
from itertools import count

from tests.contracts.clocks import TIME, ClockedKeyspace

from ringfence.stores.redis.server import open_keyspace
from ringfence.stores.redis.shared import RedisShared

REDIS = {"redis": "valkey_server", "redis-cluster": "valkey_nodes"}
"""Kinds, and the fixtures that serve them."""

_NUMBERS = count()


@asynccontextmanager
async def in_redis(server):
    """Yield what makes a fresh store there; with a clock, its time is the clock's."""
    keyspace = open_keyspace(f"{server.url}?timeout=20")  # a busy machine is no fault
    await keyspace.start()

    def make(clock=None, *, wrap=lambda keyspace: keyspace):
        prefix = b"ringfence:%d:" % next(_NUMBERS)
        if clock is None:
            return RedisShared(wrap(keyspace), prefix)
        return RedisShared(ClockedKeyspace(wrap(keyspace), clock), prefix, time=TIME)

    try:
        yield make
    finally:
        await keyspace.stop()
