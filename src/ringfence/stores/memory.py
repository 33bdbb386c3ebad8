"""Accounts and sessions in memory, and sessions in memory beside a database."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Literal, Protocol

from ringfence.clock import Clock, system_clock
from ringfence.errors import StoreError
from ringfence.stores.contracts import AccountRecord, AccountStore, Stores
from ringfence.stores.memory_api_keys import MemoryApiKeyStore
from ringfence.stores.memory_factors import MemoryFactorStore
from ringfence.stores.memory_grants import MemoryGrantStore
from ringfence.stores.memory_links import MemoryLinkStore
from ringfence.stores.memory_sessions import (
    MOST_SESSIONS,
    MemorySessionStore,
    Standings,
)
from ringfence.stores.memory_single_use import (
    MemoryReplayStore,
    MemoryRevocationStore,
    MemoryTicketStore,
)


class MemoryStores:
    """Shelves that are empty again with every process: for tests and for trying out.

    Args:
        most: how many sessions there may be.
        clock: tells the time.
    """

    def __init__(self, most: int = MOST_SESSIONS, clock: Clock = system_clock) -> None:
        self.clock = clock
        self._kept = MemoryAccountStore()
        self.tickets = MemoryTicketStore(self._kept, clock)
        self.replays = MemoryReplayStore(clock)
        self.revocations = MemoryRevocationStore(self._kept, clock)
        self.factors = MemoryFactorStore(self._kept)
        self.grants = MemoryGrantStore(self._kept)
        self.api_keys = MemoryApiKeyStore(self._kept)
        self.links = MemoryLinkStore(self._kept)
        self._kept.tell(self.grants.end_now, "password", "access", "removal")
        self._kept.tell(self.api_keys.end_now, "access", "removal")
        self._kept.tell(self.factors.forget, "removal")
        self._kept.tell(self.links.forget, "removal")
        self.sessions = MemorySessionStore(self._kept, most)
        self.accounts: AccountStore = AccountsOverSessions(self._kept, self.sessions)

    async def start(self) -> None:
        """Open. See ``contracts.Stores``."""
        self._kept.open()
        self.sessions.open()

    async def stop(self) -> None:
        """Close. See ``contracts.Stores``."""
        self.sessions.close()
        self._kept.close()


_Change = Literal["password", "access", "removal"]


class StandingStores(Stores, Protocol):
    """Shelves whose accounts can be asked without waiting. ``standings`` is opened by
    whoever asks."""

    @property
    def standings(self) -> Standings: ...


class SessionsInMemory:
    """Shelves whose sessions are in memory, the accounts where they were.

    Args:
        database: keeps the accounts.
        most: how many sessions there may be.
    """

    def __init__(self, database: StandingStores, most: int = MOST_SESSIONS) -> None:
        self._database = database
        self.clock = database.clock
        self.tickets = database.tickets
        self.replays = database.replays
        self.revocations = database.revocations
        self.factors = database.factors
        self.grants = database.grants
        self.api_keys = database.api_keys
        self.links = database.links
        self.sessions = MemorySessionStore(database.standings, most)
        self.accounts: AccountStore = AccountsOverSessions(
            database.accounts, self.sessions
        )

    async def start(self) -> None:
        """Open. See ``contracts.Stores``."""
        await self._database.start()
        self._database.standings.open()
        self.sessions.open()

    async def stop(self) -> None:
        """Close. See ``contracts.Stores``."""
        self.sessions.close()
        self._database.standings.close()
        await self._database.stop()


class AccountsOverSessions:
    """Accounts whose changes reach the sessions in memory.

    Args:
        accounts: keeps them.
        sessions: of the same accounts.
    """

    def __init__(self, accounts: AccountStore, sessions: MemorySessionStore) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self.add = accounts.add
        self.by_email = accounts.by_email
        self.by_id = accounts.by_id
        self.upgrade_hash = accounts.upgrade_hash
        self.verify = accounts.verify
        self.page = accounts.page
        self.epoch = accounts.epoch

    async def set_password(
        self, account_id: str, password_hash: str, *, epoch: int
    ) -> int:
        """See ``contracts.AccountStore``."""
        raised = await self._accounts.set_password(
            account_id, password_hash, epoch=epoch
        )
        if raised:
            self._sessions.end_now(account_id)
        return raised

    async def set_roles(self, account_id: str, roles: frozenset[str]) -> bool:
        """See ``contracts.AccountStore``."""
        change = self._accounts.set_roles(account_id, roles)
        return await self._outlived(account_id, change)

    async def set_tenant(self, account_id: str, tenant: str) -> bool:
        """See ``contracts.AccountStore``."""
        change = self._accounts.set_tenant(account_id, tenant)
        return await self._outlived(account_id, change)

    async def _outlived(
        self, account_id: str, change: Coroutine[Any, Any, bool]
    ) -> bool:
        """Make a change of an account that its sessions outlive."""
        self._sessions.expect_change(account_id)
        account: AccountRecord | None = None
        try:
            found = await change
            account = await self._accounts.by_id(account_id)
        finally:
            self._sessions.carry_over(account, account_id)
        return found

    async def set_disabled(self, account_id: str, *, disabled: bool) -> bool:
        """See ``contracts.AccountStore``."""
        found = await self._accounts.set_disabled(account_id, disabled=disabled)
        self._sessions.end_now(account_id)
        return found

    async def raise_epoch(self, account_id: str) -> int:
        """See ``contracts.AccountStore``."""
        raised = await self._accounts.raise_epoch(account_id)
        if raised:
            self._sessions.end_now(account_id)
        return raised

    async def remove(self, account_id: str) -> bool:
        """See ``contracts.AccountStore``."""
        removed = await self._accounts.remove(account_id)
        self._sessions.end_now(account_id)
        return removed


class MemoryAccountStore:
    """Accounts in a dictionary. See ``contracts.AccountStore``."""

    def __init__(self) -> None:
        self._by_id: dict[str, AccountRecord] = {}
        self._by_email: dict[str, str] = {}
        self._told: dict[_Change, list[Callable[[str], object]]] = {}
        self._open = False

    def tell(self, ending: Callable[[str], object], *changes: _Change) -> None:
        """Have something of an account ended with its changes.

        Args:
            ending: is told the id of the account, in the same step.
            changes: ``password``: it is another. ``access``: the account was disabled,
                or all that was decided for it is void. ``removal``: it is gone.
        """
        for change in changes:
            self._told.setdefault(change, []).append(ending)

    def _end(self, account_id: str, change: _Change) -> None:
        for ending in self._told.get(change, ()):
            ending(account_id)

    def open(self) -> None:
        """Begin to answer; what was kept before is still there."""
        self._open = True

    def close(self) -> None:
        """Stop answering. Idempotent."""
        self._open = False

    def changed(self) -> bool:
        """See ``Standings``: whoever changes an account here tells the sessions."""
        return False

    async def standing(self, account_id: str) -> AccountRecord | None:
        """See ``Standings``."""
        return self._opened().get(account_id)

    def present(self, account_id: str) -> AccountRecord | None:
        """See ``memory_single_use.PresentAccounts``."""
        account = self._opened().get(account_id)
        return None if account is None or account.disabled else account

    def is_at(self, account_id: str, epoch: int) -> bool:
        """See ``memory_single_use.PresentAccounts``."""
        account = self.present(account_id)
        return account is not None and account.epoch == epoch

    async def add(self, account: AccountRecord) -> bool:
        """See ``contracts.AccountStore``."""
        if account.id in self._opened() or account.email_key in self._by_email:
            return False
        self._by_id[account.id] = account
        self._by_email[account.email_key] = account.id
        return True

    async def by_email(self, email_key: str) -> AccountRecord | None:
        """See ``contracts.AccountStore``."""
        return self._opened().get(self._by_email.get(email_key, ""))

    async def by_id(self, account_id: str) -> AccountRecord | None:
        """See ``contracts.AccountStore``."""
        return self._opened().get(account_id)

    async def set_password(
        self, account_id: str, password_hash: str, *, epoch: int
    ) -> int:
        """See ``contracts.AccountStore``."""
        account = self._opened().get(account_id)
        if account is None or account.epoch != epoch:
            return 0
        self._by_id[account_id] = replace(
            account, password_hash=password_hash, epoch=epoch + 1
        )
        self._end(account_id, "password")
        return epoch + 1

    async def verify(self, account_id: str, email_key: str, at: float) -> bool:
        """See ``contracts.AccountStore``."""
        account = self._opened().get(account_id)
        if account is None or account.email_key != email_key:
            return False
        self._by_id[account_id] = replace(account, verified=at)
        return True

    async def upgrade_hash(self, account_id: str, old: str, new: str) -> None:
        """See ``contracts.AccountStore``."""
        account = self._opened().get(account_id)
        if account is not None and account.password_hash == old:
            self._by_id[account_id] = replace(account, password_hash=new)

    async def set_roles(self, account_id: str, roles: frozenset[str]) -> bool:
        """See ``contracts.AccountStore``."""
        return self._change(account_id, lambda old: replace(old, roles=roles))

    async def set_tenant(self, account_id: str, tenant: str) -> bool:
        """See ``contracts.AccountStore``."""
        return self._change(account_id, lambda old: replace(old, tenant=tenant))

    async def set_disabled(self, account_id: str, *, disabled: bool) -> bool:
        """See ``contracts.AccountStore``."""
        found = self._change(account_id, lambda old: replace(old, disabled=disabled))
        if disabled:
            self._end(account_id, "access")
        return found

    def _change(
        self, account_id: str, change: Callable[[AccountRecord], AccountRecord]
    ) -> bool:
        account = self._opened().get(account_id)
        if account is None:
            return False
        self._by_id[account_id] = replace(change(account), epoch=account.epoch + 1)
        return True

    async def raise_epoch(self, account_id: str) -> int:
        """See ``contracts.AccountStore``."""
        if not self._change(account_id, lambda old: old):
            return 0
        self._end(account_id, "access")
        return self._opened()[account_id].epoch

    async def epoch(self, account_id: str) -> int | None:
        """See ``contracts.AccountStore``."""
        account = self.present(account_id)
        return None if account is None else account.epoch

    async def page(self, *, after: str, limit: int) -> list[AccountRecord]:
        """See ``contracts.AccountStore``."""
        ids = sorted(found for found in self._opened() if found > after)
        return [self._by_id[found] for found in ids[:limit]]

    async def remove(self, account_id: str) -> bool:
        """See ``contracts.AccountStore``."""
        account = self._opened().pop(account_id, None)
        if account is None:
            return False
        del self._by_email[account.email_key]
        self._end(account_id, "removal")
        return True

    def _opened(self) -> dict[str, AccountRecord]:
        if not self._open:
            raise StoreError("the accounts in memory are not open")
        return self._by_id
