"""The accounts as the application's own pages may see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ringfence.exchange import active
from ringfence.identity.accounts import Accounts
from ringfence.identity.cause import Cause
from ringfence.identity.refusals import Invalid
from ringfence.stores.contracts import AccountRecord

if TYPE_CHECKING:  # it needs an extra
    from ringfence.identity.factors.verify import SecondFactors

_MOST = 1000


@dataclass(frozen=True, slots=True)
class Account:
    """An account without its password, so that no handler can let the hash slip out.

    Args:
        id: as in ``Principal.id``.
        email: as its owner wrote it.
        roles: roles held.
        disabled: no sign-in is possible.
        created: when it was made, Unix seconds.
        tenant: as in ``Principal.tenant``.
    """

    id: str
    email: str
    roles: frozenset[str]
    disabled: bool
    created: float
    tenant: str = ""

    @classmethod
    def of(cls, record: AccountRecord) -> Account:
        """Return what a record shows."""
        return cls(
            id=record.id,
            email=record.email,
            roles=record.roles,
            disabled=record.disabled,
            created=record.created,
            tenant=record.tenant,
        )


class Directory:
    """Look accounts up, unlock and remove them. ``Guard.accounts`` is one.

    Each method may raise ``StoreError``.

    Args:
        accounts: what decides about accounts.
        factors: what decides about second factors; ``None`` where they are off.

    Not covered: who may do this. Give the routes that use it a policy with a role.
    """

    def __init__(
        self, accounts: Accounts, factors: SecondFactors | None = None
    ) -> None:
        self._accounts = accounts
        self._factors = factors

    async def find(self, account_id: str) -> Account | None:
        """Return an account, if it is there."""
        record = await self._accounts.by_id(account_id)
        return None if record is None else Account.of(record)

    async def list(self, *, after: str = "", limit: int = 50) -> list[Account]:
        """Return accounts in the order of their ids.

        Args:
            after: the last id of the page before, empty for the first page.
            limit: how many at most, 1 to 1000.

        Raises:
            ValueError: the limit is out of range.
        """
        if not 1 <= limit <= _MOST:
            raise ValueError(f"limit is {limit}; it must be from 1 to {_MOST}")
        records = await self._accounts.page(after=after, limit=limit)
        return [Account.of(record) for record in records]

    async def remove(self, account_id: str) -> bool:
        """Remove an account with its sessions, and tell the ledger who did it.

        Returns:
            Whether there was such an account.
        """
        record = await self._accounts.by_id(account_id)
        if record is None:
            return False
        return await self._accounts.remove(record.email, _cause()) is None

    async def set_tenant(self, account_id: str, tenant: str) -> bool:
        """Move an account to another tenant, at once, and tell the ledger who did it.

        Its access tokens end, since they name the old tenant; its sessions, refresh
        tokens and API keys go on in the new one.

        Args:
            account_id: of the account.
            tenant: letters, digits and ``. _ : -``, 64 at most; empty for none.

        Returns:
            Whether there was such an account.

        Raises:
            ValueError: this is no id of a tenant.
        """
        refused = await self._accounts.set_tenant(account_id, tenant, _cause())
        if isinstance(refused, Invalid):
            raise ValueError(dict(refused.fields)["tenant"])  # noqa: TRY004 - the value's
        return refused is None

    async def unlock(self, account_id: str) -> bool:
        """End the lock that failed sign-ins have put on an account, and tell the ledger
        who did it.

        Returns:
            Whether there was such an account.

        Not covered: other server processes, where counters are kept in memory.
        """
        return await self._accounts.unlock(account_id, _cause()) is None

    async def remove_factors(self, account_id: str) -> bool:
        """Take all second factors of an account away, recovery codes included, and tell
        its owner and the ledger who did it. For an owner who has lost everything.

        Returns:
            Whether there were any.

        Not covered: whether it is the owner who asks. Whoever asks in the owner's name
        gets in with the password alone afterwards (CWE-640); have it proved by other
        means, and not by the mailbox that recovers the password.
        """
        account = await self._accounts.by_id(account_id)
        if account is None or self._factors is None:
            return False
        return await self._factors.remove_all(account, _cause())


def _cause() -> Cause:
    """Return the request that asks, with who sent it."""
    exchange = active.get()
    if exchange is None:
        return Cause()
    by = "" if exchange.principal is None else exchange.principal.id
    return Cause(request_id=exchange.request_id, client=exchange.client, by=by)
