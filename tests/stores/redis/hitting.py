"""One of several processes that hit one limit at the same time.

Run with a URL, a prefix, how many processes there are, and how many hits each makes;
prints how many passed of each kind.
"""

import asyncio
import sys

from tests.stores.redis.keyspaces import until

from ringfence.stores.contracts import Charge, Question, counter_key
from ringfence.stores.redis.server import open_keyspace
from ringfence.stores.redis.shared import RedisShared

SINGLE = Charge(counter_key("single"), 300, 864_000.0)
EXACT = Charge(counter_key("exact"), 50, 3_600.0, exact=True)
WIDE = Charge(counter_key("wide"), 10_000_000, 864_000.0)


async def meet(keyspace, key, processes):
    """Wait until all are there, so that their hits fall together."""
    await keyspace.call(key, b"INCR", key)

    async def are_there():
        return int(await keyspace.call(key, b"GET", key)) == processes

    await until(are_there, seconds=20)


async def main(url, prefix, processes, hits):
    shared = RedisShared(keyspace := open_keyspace(url), prefix.encode())
    await shared.start()
    counters = shared.counters("limits")
    await meet(keyspace, prefix.encode() + b"meeting", processes)

    async def passed(attempt):
        verdicts = await asyncio.gather(*(attempt() for _ in range(hits)))
        return sum(verdict.refused < 0 for verdict in verdicts)

    async def ask():
        return (await shared.ask(Question((WIDE, SINGLE)))).verdict

    async def take():
        return await counters.take([EXACT])

    sys.stdout.write(f"{await passed(ask)} {await passed(take)}\n")
    await shared.stop()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3], *map(int, sys.argv[3:5])))
