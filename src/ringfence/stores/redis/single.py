"""Keys on one server: the one that a URL names, or the primary that sentinels name."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from ringfence.errors import StoreError
from ringfence.stores.redis.connection import Entry, SharedConnection
from ringfence.stores.redis.dial import Dial, Dialler
from ringfence.stores.redis.failures import DownError, RefusedError
from ringfence.stores.redis.inspection import PROBE, PROBE_KEY
from ringfence.stores.redis.packing import Word, pack
from ringfence.stores.redis.scripts import Script, pack_call
from ringfence.stores.redis.url import Target


class SingleKeyspace:
    """Keys on one server.

    Args:
        target: what the URL says.
        dial: makes a connection; ``None`` to the one server that the URL names.
    """

    is_cluster = False

    def __init__(self, target: Target, dial: Dial | None = None) -> None:
        address = target.addresses[0]
        dialler = Dialler(target)
        self._connection = SharedConnection(
            dial or (lambda: dialler.dial(address)), target.timeout, run_whole
        )

    @property
    def round_trips(self) -> int:
        return self._connection.round_trips

    def call(self, key: bytes, *command: Word) -> asyncio.Future[Any]:
        return self._connection.submit(pack(command))

    def run(
        self, script: Script, keys: Sequence[bytes], args: Sequence[Word]
    ) -> asyncio.Future[Any]:
        packed = pack_call(script, keys, args)
        return self._connection.submit(packed, (script, keys, args))

    def identity(self, key: bytes) -> bytes:
        identity = self._connection.identity
        if not identity:
            raise DownError(f"Redis {self._connection.why}")
        return identity

    async def start(self) -> None:
        await self._connection.start()
        try:
            await prove(self.run(PROBE, (PROBE_KEY,), (b"1",)))
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        await self._connection.stop()


def run_whole(
    connection: SharedConnection, entry: Entry, refusal: RefusedError
) -> bool:
    """Send the text of a script that the server does not know; it was not run."""
    if refusal.code != "NOSCRIPT":
        return False
    script, keys, args = entry.again
    packed = pack((b"EVAL", script.text, len(keys), *keys, *args))
    connection.resubmit(packed, entry)
    return True


async def prove(probe: asyncio.Future[Any]) -> None:
    """See that scripts may run and write.

    Raises:
        StoreError: they may not; says what to change.
    """
    ways_out = {
        "NOPERM": "give its user the rule in docs/guides/stores.md",
        "OOM": "it is full; raise its maxmemory",
        "MISCONF": "it cannot save to its disk; see its log",
        "NOREPLICAS": "too few replicas follow it; see min-replicas-to-write",
        "READONLY": "name the primary",
    }
    try:
        await probe
    except RefusedError as error:
        is_denied = error.code == "NOPERM" or "ACL failure" in error.text
        instead = ways_out.get("NOPERM" if is_denied else error.code, "see its log")
        message = f"a script that writes does not run: {error}; {instead}"
        raise StoreError(message) from error
