"""Keys of programs, and what keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol


class ApiKeyRecord(NamedTuple):
    """A key that a program signs its requests with. Times are Unix seconds.

    Args:
        id: names it in lists; good for nothing else.
        token_hash: SHA-256 of the key; the key itself is nowhere stored.
        account_id: for whom the program works.
        label: what its owner calls it, at most 64 characters.
        hint: the first and last characters, for recognising it.
        scopes: what it opens; empty for nothing but what asks for no scope.
        created: when it was made.
        expires: when it ends.
        used: when it was last used, within a minute; 0 if never.
        roles: the account's, read with the key.
        tenant: the account's, read with the key.
    """

    id: str
    token_hash: bytes
    account_id: str
    label: str
    hint: str
    scopes: frozenset[str]
    created: float
    expires: float
    used: float = 0.0
    roles: frozenset[str] = frozenset()
    tenant: str = ""


class ApiKeyStore(Protocol):
    """Keys of programs. Every method may raise ``StoreError``.

    A change of the password leaves them; ``raise_epoch``, disabling and removing the
    account end them in the same transaction.

    Source: ASVS 5.0 V13.2; CWE-613.
    """

    async def add(self, key: ApiKeyRecord, *, epoch: int, most: int = 64) -> bool:
        """Add a key; return ``False`` and add nothing if the account is gone, disabled
        or no longer at ``epoch``, or has ``most`` keys already."""

    async def read(self, token_hash: bytes) -> ApiKeyRecord | None:
        """Return a key whose account may be used; expiry is the caller's to judge. One
        read by an index, on SQLite without leaving the event loop."""

    async def touch(self, seen: Mapping[bytes, float]) -> None:
        """Write when keys (by their hashes) were last used, in one transaction. Never
        moves a time back, never revives a key."""

    async def of_account(self, account_id: str) -> list[ApiKeyRecord]:
        """Return the account's keys, the latest first."""

    async def end(self, account_id: str, key_id: str) -> bool:
        """End one key of this account; return whether it had such a key."""

    async def end_all(self, account_id: str) -> int:
        """End all keys of this account; return how many."""

    async def forget_expired(self, before: float) -> int:
        """Delete keys that have expired before this time; return how many."""
