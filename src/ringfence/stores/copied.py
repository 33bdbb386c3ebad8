"""The shelves of a database, with copies in a faster store before them.

The database alone decides who is signed in. A copy says what it has said, as long as
nobody has changed it since, and spares it the question.
"""

from __future__ import annotations

import logging

from ringfence.clock import Clock
from ringfence.errors import StoreError
from ringfence.stores.contracts import (
    AccountStore,
    CopyStore,
    ReplayStore,
    RevocationStore,
    SessionStore,
    Stores,
    TicketStore,
    Told,
)
from ringfence.stores.copied_sessions import CopiedSessions
from ringfence.stores.held import HeldChanges
from ringfence.stores.seal import CopySeal, Keys

logger = logging.getLogger("ringfence.stores")

_STANDING = b"standing 1"  # what copies of tokens say: that they were not revoked


class CopiedStores:
    """Shelves of a database with copies before them. See ``contracts.Stores``.

    A change is refused with nothing changed while the store of copies cannot be
    reached: a session that is said to have ended must not go on from a copy.

    Args:
        database: keeps everything.
        copies: opened and closed by whoever made them.
        keys: that copies are sealed with; asked for when the first one is made.
    """

    def __init__(self, database: Stores, copies: CopyStore, keys: Keys) -> None:
        seal = CopySeal(keys, database.clock)
        self._database = database
        self._held = HeldChanges(copies)
        self.accounts: AccountStore = CopiedAccounts(database.accounts, self._held)
        self.sessions: SessionStore = CopiedSessions(
            database.sessions, copies, seal, self._held
        )
        self.revocations: RevocationStore = CopiedRevocations(
            database.revocations, copies, seal, self._held
        )
        # What is used once is asked for once: there is nothing to copy.
        self.tickets: TicketStore = database.tickets
        self.replays: ReplayStore = database.replays

    @property
    def clock(self) -> Clock:
        """See ``contracts.Stores``."""
        return self._database.clock

    async def start(self) -> None:
        """Open the database. See ``contracts.Stores``."""
        await self._database.start()

    async def stop(self) -> None:
        """Let changes end, then close the database. See ``contracts.Stores``."""
        await self._held.stop()
        await self._database.stop()


class CopiedAccounts:
    """Accounts whose changes void the copies of their sessions. See
    ``contracts.AccountStore``.

    Args:
        database: keeps the accounts.
        held: changes it.
    """

    def __init__(self, database: AccountStore, held: HeldChanges) -> None:
        self._database = database
        self._held = held
        # Copies hold neither an account that is new, nor the hash of a password.
        self.add = database.add
        self.upgrade_hash = database.upgrade_hash
        self.by_email = database.by_email
        self.by_id = database.by_id
        self.page = database.page
        self.epoch = database.epoch

    async def set_password(
        self, account_id: str, password_hash: str, *, epoch: int
    ) -> int:
        """See ``contracts.AccountStore``."""
        return await self._held.change(
            lambda: self._database.set_password(account_id, password_hash, epoch=epoch),
            account_id,
        )

    async def set_roles(self, account_id: str, roles: frozenset[str]) -> bool:
        """See ``contracts.AccountStore``."""
        return await self._held.change(
            lambda: self._database.set_roles(account_id, roles), account_id
        )

    async def set_disabled(self, account_id: str, *, disabled: bool) -> bool:
        """See ``contracts.AccountStore``."""
        return await self._held.change(
            lambda: self._database.set_disabled(account_id, disabled=disabled),
            account_id,
        )

    async def remove(self, account_id: str) -> bool:
        """See ``contracts.AccountStore``."""
        return await self._held.change(
            lambda: self._database.remove(account_id), account_id
        )

    async def raise_epoch(self, account_id: str) -> int:
        """See ``contracts.AccountStore``."""
        return await self._held.change(
            lambda: self._database.raise_epoch(account_id), account_id
        )


class CopiedRevocations:
    """Revoked tokens, with copies that say which are not. See
    ``contracts.RevocationStore``.

    Args:
        database: knows which tokens were taken back.
        copies: say of single tokens that they were not.
        seal: tells our copies from others.
        held: changes the database.
    """

    def __init__(
        self,
        database: RevocationStore,
        copies: CopyStore,
        seal: CopySeal,
        held: HeldChanges,
    ) -> None:
        self._database = database
        self._copies = copies
        self._seal = seal
        self._held = held

    async def revoke(self, token_id: bytes, account_id: str, seconds: float) -> None:
        """See ``contracts.RevocationStore``."""
        await self._held.change(
            lambda: self._database.revoke(token_id, account_id, seconds), account_id
        )

    async def standing(
        self, token_id: bytes, account_id: str, told: Told | None = None
    ) -> int | None:
        """See ``contracts.RevocationStore``."""
        if told is None:
            told = await self._copies.read(token_id, account_id)
        if told.owner != account_id:
            return await self._database.standing(token_id, account_id)
        if self._seal.open(token_id, told) == _STANDING:
            return told.epoch
        epoch = await self._database.standing(token_id, account_id)
        if epoch is not None and told.lease:
            sealed = self._seal.seal(token_id, told, _STANDING, epoch)
            try:
                await self._copies.keep(token_id, told, sealed, epoch)
            except StoreError as error:
                logger.warning("a token was found good but not copied: %s", error)
        return epoch
