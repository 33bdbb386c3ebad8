"""Accounts, and what keeps them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """An account as it is stored. Times are Unix seconds.

    Args:
        id: random, 128 bits as URL-safe text; never reused.
        email: as the owner wrote it, for display and mail.
        email_key: ``email`` folded for comparison; unique.
        password_hash: a PHC string, empty when no password is set.
        roles: roles held.
        disabled: no sign-in, and every session is refused.
        created: when the account was made.
        epoch: raised with every change of the password, the roles or the tenant. What
            was decided under an older epoch (a sign-in still on its way, say) is void.
        verified: when the owner has proved that mail to ``email`` reaches them, Unix
            seconds; 0 if they never did.
        tenant: the id of the tenant that it belongs to; empty for none.
    """

    id: str
    email: str
    email_key: str
    password_hash: str = field(repr=False)
    roles: frozenset[str]
    disabled: bool
    created: float
    epoch: int = 0
    verified: float = 0.0
    tenant: str = ""


class AccountStore(Protocol):
    """Accounts. Every method may raise ``StoreError``.

    Source: CWE-613, CWE-367; ASVS 5.0 V7.4.2, V7.4.3.
    """

    async def add(self, account: AccountRecord) -> bool:
        """Add an account; return ``False`` if its ``email_key`` is taken. Writes to
        the disk in both cases, so that the time does not tell which it was."""

    async def by_email(self, email_key: str) -> AccountRecord | None:
        """Return the account with this folded address, disabled or not."""

    async def by_id(self, account_id: str) -> AccountRecord | None:
        """Return the account, disabled or not."""

    async def set_password(
        self, account_id: str, password_hash: str, *, epoch: int
    ) -> int:
        """Set the password, raise the epoch and end every session and every family of
        refresh tokens of the account, in one transaction; return the new epoch. Return
        0 and change nothing if the account is gone or no longer at ``epoch``: of two
        changes that were both allowed by the same old password only one may win."""

    async def verify(self, account_id: str, email_key: str, at: float) -> bool:
        """Note that the address was proved; return ``False`` and change nothing if the
        account is gone or has another address by now."""

    async def upgrade_hash(self, account_id: str, old: str, new: str) -> None:
        """Replace ``old`` by another hash of the same password, if it is still
        there. Sessions and epoch stay."""

    async def set_roles(self, account_id: str, roles: frozenset[str]) -> bool:
        """Set the roles and raise the epoch; return whether there is an account."""

    async def set_tenant(self, account_id: str, tenant: str) -> bool:
        """Set the tenant, empty for none, and raise the epoch; return whether there is
        an account. Its sessions go on in the new tenant, as with new roles."""

    async def set_disabled(self, account_id: str, *, disabled: bool) -> bool:
        """Disable or enable; disabling ends every session, family of refresh tokens
        and API key of the account. Return whether there is an account."""

    async def page(self, *, after: str, limit: int) -> list[AccountRecord]:
        """Return accounts, ordered by id.

        Args:
            after: begin after this id; empty for the first.
            limit: how many at most, 1 or more.
        """

    async def remove(self, account_id: str) -> bool:
        """Remove the account with all that is its own: sessions, families of refresh
        tokens, API keys, factors and links; return whether there was one."""

    async def raise_epoch(self, account_id: str) -> int:
        """Raise the epoch and end every session, family of refresh tokens and API key
        of the account, in one transaction: nothing that was decided before now holds
        any longer. Return the new epoch, 0 if there is no such account."""

    async def epoch(self, account_id: str) -> int | None:
        """Return the epoch of an account that may be used, ``None`` if it is gone or
        disabled. For whoever holds something that was decided under an epoch: a signed
        token, say."""
