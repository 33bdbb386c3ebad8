"""Reading the keys file again while the guard runs, so that keys can be rotated."""

from __future__ import annotations

import asyncio
import logging

from ringfence.errors import SettingsError
from ringfence.exchange import own_work
from ringfence.secrets.keyring import Keyring

logger = logging.getLogger("ringfence.secrets")

EVERY = 15.0
"""Seconds. Shorter than any wait that ``ringfence keys rotate`` allows, by far."""


class KeyWatch:
    """Takes over what ``ringfence keys rotate`` has written.

    Off the way of requests: in a thread, one at a time, at fixed intervals. A file that
    is damaged, exposed or gone changes nothing: the keys of before stay, and the log
    says so, once for each reason.

    Args:
        keyring: opened.
        every: seconds between two looks.
    """

    def __init__(self, keyring: Keyring, *, every: float = EVERY) -> None:
        self._keyring = keyring
        self._every = every
        self._said = ""
        self._watching: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look, in the running loop."""
        self._watching = asyncio.create_task(self._watch(), name="ringfence-keys")

    async def stop(self) -> None:
        """Look no more. Idempotent."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
            self._watching = None

    async def _watch(self) -> None:
        own_work.set(True)  # a request that names the file must not keep us from it
        while True:
            await asyncio.sleep(self._every)
            await self.look()

    async def look(self) -> None:
        """Read the file once more."""
        try:
            if await asyncio.to_thread(self._keyring.reread):
                logger.info("The keys file has changed; its keys are in use from now")
        except SettingsError as error:
            said = str(error)
            if said != self._said:
                logger.error("Keys stay as they were: %s", said)  # noqa: TRY400 - the trace would say nothing more
            self._said = said
        else:
            self._said = ""
