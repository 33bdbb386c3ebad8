"""Keys of programs in memory."""

from __future__ import annotations

from collections.abc import Mapping

from ringfence.stores.contracts import AccountRecord, ApiKeyRecord
from ringfence.stores.memory_single_use import PresentAccounts


class MemoryApiKeyStore:
    """Keys of programs of one process. See ``contracts.ApiKeyStore``. An account has a
    bounded number of them.

    Args:
        accounts: tells whether an account may be used.
    """

    def __init__(self, accounts: PresentAccounts) -> None:
        self._accounts = accounts
        self._keys: dict[bytes, ApiKeyRecord] = {}
        self._of_account: dict[str, dict[bytes, None]] = {}

    async def add(self, key: ApiKeyRecord, *, epoch: int, most: int = 64) -> bool:
        """See ``contracts.ApiKeyStore``."""
        if not self._accounts.is_at(key.account_id, epoch):
            return False
        have = len(self._of_account.get(key.account_id, ()))
        if key.token_hash in self._keys or have >= most:
            return False
        self._keys[key.token_hash] = key
        self._of_account.setdefault(key.account_id, {})[key.token_hash] = None
        return True

    async def read(self, token_hash: bytes) -> ApiKeyRecord | None:
        """See ``contracts.ApiKeyStore``."""
        key = self._keys.get(token_hash)
        account = self._accounts.present("" if key is None else key.account_id)
        if key is None or account is None:
            return None
        return _of(key, account)

    async def touch(self, seen: Mapping[bytes, float]) -> None:
        """See ``contracts.ApiKeyStore``."""
        self._accounts.present("")
        for token_hash, at in seen.items():
            key = self._keys.get(token_hash)
            if key is not None and key.used < at:
                self._keys[token_hash] = key._replace(used=at)

    async def of_account(self, account_id: str) -> list[ApiKeyRecord]:
        """See ``contracts.ApiKeyStore``."""
        account = self._accounts.present(account_id)
        if account is None:
            return []
        mine = [self._keys[name] for name in self._of_account.get(account_id, ())]
        mine.sort(key=lambda one: (-one.created, one.id))
        return [_of(key, account) for key in mine]

    async def end(self, account_id: str, key_id: str) -> bool:
        """See ``contracts.ApiKeyStore``."""
        self._accounts.present(account_id)
        for name in self._of_account.get(account_id, ()):
            if self._keys[name].id == key_id:
                self._drop(name)
                return True
        return False

    async def end_all(self, account_id: str) -> int:
        """See ``contracts.ApiKeyStore``."""
        self._accounts.present(account_id)
        return self.end_now(account_id)

    def end_now(self, account_id: str) -> int:
        """End all keys of an account at once; return how many."""
        mine = list(self._of_account.get(account_id, ()))
        for name in mine:
            self._drop(name)
        return len(mine)

    async def forget_expired(self, before: float) -> int:
        """See ``contracts.ApiKeyStore``."""
        self._accounts.present("")
        expired = [name for name, key in self._keys.items() if key.expires < before]
        for name in expired:
            self._drop(name)
        return len(expired)

    def _drop(self, name: bytes) -> None:
        owner = self._keys.pop(name).account_id
        del self._of_account[owner][name]
        if not self._of_account[owner]:
            del self._of_account[owner]


def _of(key: ApiKeyRecord, account: AccountRecord) -> ApiKeyRecord:
    return key._replace(roles=account.roles, tenant=account.tenant)
