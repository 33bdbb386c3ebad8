"""Waits for a line, then opens the stores and adds one account."""

import asyncio
import sys

from tests.contracts.records import account

from ringfence.stores.open import open_stores


async def start(database, name):
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    stores = open_stores(database)
    await stores.start()
    await stores.accounts.add(account(name))
    await stores.stop()


if __name__ == "__main__":
    asyncio.run(start(sys.argv[1], sys.argv[2]))
