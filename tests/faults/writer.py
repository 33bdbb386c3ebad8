"""Writes accounts, sessions and revocations until it is killed, and says down a pipe
what has been acknowledged."""

import asyncio

from tests.contracts.records import account, session

from ringfence.stores.open import open_stores


def write(database, run, said):
    """Write for ever."""
    asyncio.run(_write(database, run, said.send))


async def _write(database, run, say):
    stores = open_stores(database)
    await stores.start()
    number = 0
    while True:
        name = f"{run}-{number}"
        await stores.accounts.add(account(name))
        say(("account", name))
        for which in ("kept", "ended"):
            await stores.sessions.add(
                session(f"{which}-{name}", name), epoch=0, replaces=None
            )
            say((which, name))
        await stores.sessions.end_token(
            session(f"ended-{name}").token_hash, f"id-{name}"
        )
        say(("revoked", name))
        await stores.accounts.set_password(f"id-{name}", "changed", epoch=0)
        say(("changed", name))
        number += 1
