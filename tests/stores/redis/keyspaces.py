"""What tests of Redis do with a keyspace."""

import asyncio
from contextlib import asynccontextmanager

from ringfence.errors import StoreError
from ringfence.stores.redis.scripts import Script
from ringfence.stores.redis.server import open_keyspace

ECHO = Script(b"return {KEYS[1], ARGV[1]}", "echo")
COUNT = Script(b"return redis.call('INCR', KEYS[1])", "count")


@asynccontextmanager
async def opened(url):
    keyspace = open_keyspace(url)
    await keyspace.start()
    try:
        yield keyspace
    finally:
        await keyspace.stop()


async def outcome(call):
    """Return the reply or the ``StoreError``."""
    try:
        return await call
    except StoreError as error:
        return error


async def until(attempt, *, seconds=5.0):
    """Return the first true answer of ``attempt``; raise if none comes in time."""
    async with asyncio.timeout(seconds):
        while True:
            if answer := await attempt():
                return answer
            await asyncio.sleep(0.005)


async def answers(keyspace, key=b"k"):
    """Return whether a call succeeds."""
    return await outcome(keyspace.call(key, b"EXISTS", key)) in (0, 1)
