"""What the shelves promise. Every store is run through the same contract suite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """An account as it is stored. Times are Unix seconds.

    Args:
        id: random, 128 bits as URL-safe text; never reused.
        email: as the owner wrote it, for display and mail.
        password_hash: a PHC string, empty when no password is set.
        roles: roles held.
        disabled: no sign-in, and every session is refused.
        created: when the account was made.
    """

    id: str
    email: str
    password_hash: str
    roles: frozenset[str]
    disabled: bool
    created: float


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A session together with what its account may be *now*. Times are Unix seconds.

    Args:
        token_hash: SHA-256 of the cookie's token; the token itself is nowhere stored.
        public_id: names the session in lists and in ``DELETE /auth/sessions/{id}``;
            good for nothing else.
        account_id: the owner.
        roles: the account's roles, read with the session, so that a change of role
            holds at once.
        factors: how the owner proved who they are.
        created: time of the sign-in; the absolute expiry counts from here.
        last_seen: written at most once a minute; the idle expiry counts from here.
        address: client address at sign-in.
        device: a short description of the browser at sign-in.
    """

    token_hash: bytes
    public_id: str
    account_id: str
    roles: frozenset[str]
    factors: frozenset[str]
    created: float
    last_seen: float
    address: str
    device: str


class AccountStore(Protocol):
    """Accounts. Every method may raise ``StoreError``."""

    async def add(self, account: AccountRecord) -> bool:
        """Add an account; return ``False`` if the address is taken (compared as
        ``email_key`` of ``identity.accounts`` folds it)."""

    async def by_email(self, email: str) -> AccountRecord | None: ...

    async def by_id(self, account_id: str) -> AccountRecord | None: ...

    async def set_password(
        self, account_id: str, password_hash: str, *, now: float
    ) -> None:
        """Set the password and end every session of the account, in one transaction."""

    async def set_roles(self, account_id: str, roles: frozenset[str]) -> None: ...

    async def page(self, *, after: str, limit: int) -> list[AccountRecord]:
        """Return up to ``limit`` accounts ordered by id, beginning after ``after``."""

    async def remove(self, account_id: str) -> bool:
        """Remove the account and its sessions; return whether there was one."""


class SessionStore(Protocol):
    """Sessions. Every method may raise ``StoreError``."""

    async def read(self, token_hash: bytes) -> SessionRecord | None:
        """Return the session unless it was revoked or its account is disabled. Expiry
        is the caller's to judge. On SQLite this is a prepared primary-key read."""

    async def add(self, session: SessionRecord, *, replaces: bytes | None) -> None:
        """Add a session and, in the same transaction, end the one it replaces."""

    async def touch(self, token_hash: bytes, *, now: float) -> None: ...

    async def of_account(self, account_id: str) -> list[SessionRecord]: ...

    async def end(self, account_id: str, public_id: str) -> bool: ...

    async def end_all(self, account_id: str, *, keep: bytes | None) -> int: ...

    async def end_token(self, token_hash: bytes) -> bool: ...

    async def forget_expired(self, *, created_before: float, seen_before: float) -> int:
        """Delete what can never be used again; return how many."""
