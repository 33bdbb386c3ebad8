"""Changes in a database whose answers are copied elsewhere: hold, change, release."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from ringfence.errors import StoreError
from ringfence.stores.contracts import CopyStore

logger = logging.getLogger("ringfence.stores")

Changed = TypeVar("Changed")

# A hold lasts half a minute (see ``CopyStore``). The database has less, so that what it
# does after we have given up is done before copies are made again.
_CHANGE_SECONDS = 20.0
_AGAIN_SECONDS = 1.0
_COPY_SECONDS = 300.0  # as long as any copy is kept


class HeldChanges:
    """Changes something of an account while there are no copies of it.

    A request that has read an old answer could keep it as a copy after a revocation,
    and so bring back a session that its owner has ended: that is what a hold stops.

    A change goes on when whoever asked for it is cancelled (a client that has hung up):
    of a change that is torn off in the middle nobody knows whether it was committed, or
    will be in a moment.

    Args:
        copies: of what the database says.
        again: seconds between attempts to void copies that could not be released.

    Source: CWE-367, CWE-613; ASVS 5.0 V7.4.1.

    Not covered: a process that dies between commit and release, in the very moment in
    which the server of the copies loses the hold; a database that commits later than
    ten seconds after we have given it up. A copy may then be five minutes old.
    """

    def __init__(self, copies: CopyStore, again: float = _AGAIN_SECONDS) -> None:
        self._copies = copies
        self._again = again
        self._changes: set[asyncio.Task[Any]] = set()
        self._owed: set[asyncio.Task[Any]] = set()

    async def change(
        self, work: Callable[[], Awaitable[Changed]], *owners: str
    ) -> Changed:
        """Change the database while nothing of these owners is copied.

        Args:
            work: changes it, in one transaction.
            owners: ids of the accounts that it changes, at least one.

        Raises:
            StoreError: the copies cannot be held, so that nothing was changed; or the
                database has failed, and what came of the change is not known.
        """
        changing = _begin(self._changes, self._held(work, sorted(set(owners))))
        return await asyncio.shield(changing)

    async def _held(
        self, work: Callable[[], Awaitable[Changed]], owners: list[str]
    ) -> Changed:
        await self._hold(owners)
        # Without a ``finally``: where the database has failed, a commit may still be on
        # its way. The holds then run out by themselves, and meanwhile it is asked.
        try:
            async with asyncio.timeout(_CHANGE_SECONDS):
                changed = await work()
        except TimeoutError as error:
            message = f"the database took longer than {_CHANGE_SECONDS:g} s to change"
            raise StoreError(message) from error
        for owner in owners:
            await self._release(owner)
        return changed

    async def _hold(self, owners: list[str]) -> None:
        for number, owner in enumerate(owners):
            try:
                await self._copies.hold(owner)
            except StoreError:
                for held in owners[:number]:
                    await self._release(held)
                raise

    async def _release(self, owner: str) -> None:
        try:
            await self._copies.release(owner)
        except StoreError as error:
            logger.warning(
                "copies could not be released, and will be voided: %s", error
            )
            _begin(self._owed, self._void(owner))

    async def _void(self, owner: str) -> None:
        """Void the copies of an owner as soon as their store can be reached.

        The hold may have been lost, with a server that came back empty, and a copy made
        just before the commit. A second hold does no harm where a second release would
        end somebody else's.
        """
        for _ in range(int(_COPY_SECONDS / self._again)):
            await asyncio.sleep(self._again)
            try:
                await self._copies.hold(owner)
            except StoreError:
                continue
            return

    async def stop(self) -> None:
        """Let changes end that have begun. Idempotent."""
        if self._changes:
            await asyncio.wait(self._changes)
        for task in self._owed:
            task.cancel()
        if self._owed:
            await asyncio.wait(self._owed)


def _begin(
    tasks: set[asyncio.Task[Any]], doing: Coroutine[Any, Any, Changed]
) -> asyncio.Task[Changed]:
    """Start a task that is kept until it has ended."""
    task = asyncio.create_task(doing)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    task.add_done_callback(_look_at)
    return task


def _look_at(task: asyncio.Task[Any]) -> None:
    """Take note of how a task has ended, though nobody may be waiting for it."""
    if not task.cancelled():
        task.exception()
