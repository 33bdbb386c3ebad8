"""Identities at other providers in memory."""

from __future__ import annotations

from ringfence.stores.contracts import Link, is_identity
from ringfence.stores.memory_single_use import PresentAccounts


class MemoryLinkStore:
    """Linked identities of one process. See ``contracts.LinkStore``.

    Args:
        accounts: tells whether an account may be used.
    """

    def __init__(self, accounts: PresentAccounts) -> None:
        self._accounts = accounts
        self._links: dict[tuple[str, str], Link] = {}
        self._of_account: dict[str, list[Link]] = {}

    async def add(self, link: Link, *, epoch: int, most: int = 16) -> bool:
        """See ``contracts.LinkStore``."""
        if not self._accounts.is_at(link.account_id, epoch):
            return False
        identity = (link.issuer, link.subject)
        if not is_identity(*identity):
            return False
        mine = self._of_account.get(link.account_id, [])
        if identity in self._links or len(mine) >= most:
            return False
        self._links[identity] = link
        self._of_account[link.account_id] = [*mine, link]
        return True

    async def find(self, issuer: str, subject: str) -> Link | None:
        """See ``contracts.LinkStore``."""
        self._accounts.present("")
        return self._links.get((issuer, subject))

    async def of_account(self, account_id: str) -> list[Link]:
        """See ``contracts.LinkStore``."""
        self._accounts.present(account_id)
        mine = self._of_account.get(account_id, [])
        return sorted(mine, key=lambda one: (one.created, one.issuer, one.subject))

    async def remove(self, account_id: str, issuer: str, subject: str) -> bool:
        """See ``contracts.LinkStore``."""
        self._accounts.present(account_id)
        link = self._links.get((issuer, subject))
        if link is None or link.account_id != account_id:
            return False
        del self._links[issuer, subject]
        self._of_account[account_id].remove(link)
        return True

    def forget(self, account_id: str) -> None:
        """Forget the links of an account that is gone."""
        for link in self._of_account.pop(account_id, []):
            del self._links[link.issuer, link.subject]
