"""The shelves of a database, with copies in a faster store before them.

The database alone decides who is signed in. A copy says what it has said, as long as
nobody has changed it since, and spares it the question.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

from ringfence.clock import Clock
from ringfence.errors import StoreError
from ringfence.stores.contracts import (
    AccountStore,
    ApiKeyStore,
    CopyStore,
    FactorStore,
    GrantStore,
    LinkStore,
    ReplayStore,
    RevocationStore,
    SessionStore,
    Stores,
    TicketStore,
    Told,
    counter_key,
)
from ringfence.stores.copied_sessions import CopiedSessions
from ringfence.stores.held import HeldChanges
from ringfence.stores.seal import CopySeal, Keys

logger = logging.getLogger("ringfence.stores")

_STANDING = b"standing 2 "  # before the names of tokens that were not revoked
_REMEMBERED = 16_384  # about 8 MB


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
        # What is read seldom, or changes with each use, is asked of the database.
        self.factors: FactorStore = database.factors
        self.grants: GrantStore = database.grants
        self.api_keys: ApiKeyStore = database.api_keys
        self.links: LinkStore = database.links

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
        # Copies hold neither an account that is new, nor the hash of a password, nor
        # whether an address was proved.
        self.add = database.add
        self.upgrade_hash = database.upgrade_hash
        self.verify = database.verify
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

    async def set_tenant(self, account_id: str, tenant: str) -> bool:
        """See ``contracts.AccountStore``."""
        return await self._held.change(
            lambda: self._database.set_tenant(account_id, tenant), account_id
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


class _Known(NamedTuple):
    """A copy that was opened: as its store has it, with its generation and epoch."""

    sealed: bytes
    told: tuple[bytes, int]


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
        self._known: dict[tuple[tuple[bytes, ...], str], _Known] = {}

    async def revoke(self, token_id: bytes, account_id: str, seconds: float) -> None:
        """See ``contracts.RevocationStore``."""
        await self._held.change(
            lambda: self._database.revoke(token_id, account_id, seconds), account_id
        )

    def recall(
        self, token_ids: tuple[bytes, ...], account_id: str, told: Told | None = None
    ) -> int | None:
        """See ``contracts.RevocationStore``."""
        if told is None or told.owner != account_id:
            return self._database.recall(token_ids, account_id)
        sealed = told.copy
        if sealed is None:
            return None
        known = self._known.get((token_ids, account_id))
        if (
            known is not None
            and known.sealed == sealed
            and known.told == (told.generation, told.epoch)
            and self._seal.is_fresh(sealed)
        ):
            return told.epoch
        if self._seal.open(token_ids[0], told) != _content(token_ids):
            return None
        return self._remember(token_ids, sealed, told, told.epoch)

    async def standing(
        self, token_ids: tuple[bytes, ...], account_id: str, told: Told | None = None
    ) -> int | None:
        """See ``contracts.RevocationStore``."""
        if told is None:
            told = await self._copies.read(token_ids[0], account_id)
        if told.owner != account_id:
            return await self._database.standing(token_ids, account_id)
        epoch = self.recall(token_ids, account_id, told)
        return await self._fill(token_ids, told) if epoch is None else epoch

    async def _fill(self, token_ids: tuple[bytes, ...], told: Told) -> int | None:
        """Ask the database, and keep a copy of what it says."""
        epoch = await self._database.standing(token_ids, told.owner, told)
        if epoch is None or not told.lease:
            return epoch
        name = token_ids[0]
        sealed = self._seal.seal(name, told, _content(token_ids), epoch)
        try:
            await self._copies.keep(name, told, sealed, epoch)
        except StoreError as error:
            logger.warning("a token was found good but not copied: %s", error)
        return self._remember(token_ids, sealed, told, epoch)

    def _remember(
        self, token_ids: tuple[bytes, ...], sealed: bytes, told: Told, epoch: int
    ) -> int:
        """Open each copy once: a seal takes longer to check than all the rest."""
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        known = _Known(sealed, (told.generation, epoch))
        self._known[token_ids, told.owner] = known
        return epoch


def _content(token_ids: tuple[bytes, ...]) -> bytes:
    """Return what a copy says: that none of these was revoked. All of them: the first
    alone, whose name it has, may stand where another one does not."""
    return _STANDING + counter_key(*token_ids)
