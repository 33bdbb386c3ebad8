"""Second factors in memory."""

from __future__ import annotations

from collections.abc import Sequence

from ringfence.stores.contracts import Factor
from ringfence.stores.memory_single_use import PresentAccounts

_Name = tuple[str, bytes]


class MemoryFactorStore:
    """Second factors of one process. See ``contracts.FactorStore``. An account has a
    bounded number of each kind, and so there is a bounded number of them all.

    Args:
        accounts: tells whether an account may be used.
    """

    def __init__(self, accounts: PresentAccounts) -> None:
        self._accounts = accounts
        self._factors: dict[_Name, Factor] = {}
        self._of_account: dict[str, dict[_Name, None]] = {}

    async def add(self, factor: Factor, *, epoch: int, most: int = 32) -> bool:
        """See ``contracts.FactorStore``."""
        if not self._accounts.is_at(factor.account_id, epoch):
            return False
        have = self._names(factor.account_id, factor.kind)
        if (factor.kind, factor.id) in self._factors or len(have) >= most:
            return False
        self._put(factor)
        return True

    async def find(self, kind: str, factor_id: bytes) -> Factor | None:
        """See ``contracts.FactorStore``."""
        factor = self._factors.get((kind, factor_id))
        owner = "" if factor is None else factor.account_id
        return None if self._accounts.present(owner) is None else factor

    async def of_account(self, account_id: str) -> list[Factor]:
        """See ``contracts.FactorStore``."""
        self._accounts.present(account_id)
        mine = (self._factors[name] for name in self._of_account.get(account_id, ()))
        return sorted(mine, key=lambda one: (one.created, one.kind, one.id))

    async def advance(
        self, kind: str, factor_id: bytes, *, counter: int, at: float
    ) -> bool:
        """See ``contracts.FactorStore``."""
        self._accounts.present("")
        factor = self._factors.get((kind, factor_id))
        if factor is None:
            return False
        if factor.counter >= counter and (factor.counter or counter):
            return False
        changed = factor._replace(counter=counter, used=at)
        self._factors[kind, factor_id] = changed
        return True

    async def rename(
        self, account_id: str, kind: str, factor_id: bytes, label: str
    ) -> bool:
        """See ``contracts.FactorStore``."""
        self._accounts.present(account_id)
        factor = self._factors.get((kind, factor_id))
        if factor is None or factor.account_id != account_id:
            return False
        self._factors[kind, factor_id] = factor._replace(label=label)
        return True

    async def remove(self, account_id: str, kind: str, factor_id: bytes) -> bool:
        """See ``contracts.FactorStore``."""
        self._accounts.present(account_id)
        factor = self._factors.get((kind, factor_id))
        if factor is None or factor.account_id != account_id:
            return False
        self._drop((kind, factor_id))
        return True

    async def replace(
        self, account_id: str, kind: str, factors: Sequence[Factor], *, epoch: int
    ) -> bool:
        """See ``contracts.FactorStore``."""
        if not self._accounts.is_at(account_id, epoch):
            return False
        mine = self._names(account_id, kind)
        names = {(one.kind, one.id) for one in factors}
        taken = names & (self._factors.keys() - set(mine))
        if taken or len(names) != len(factors):
            return False
        for name in mine:
            self._drop(name)
        for factor in factors:
            self._put(factor)
        return True

    def forget(self, account_id: str) -> None:
        """Forget the factors of an account that is gone."""
        for name in list(self._of_account.get(account_id, ())):
            self._drop(name)

    def _names(self, account_id: str, kind: str) -> list[_Name]:
        mine = self._of_account.get(account_id, {})
        return [name for name in mine if name[0] == kind]

    def _put(self, factor: Factor) -> None:
        name = (factor.kind, factor.id)
        self._factors[name] = factor
        self._of_account.setdefault(factor.account_id, {})[name] = None

    def _drop(self, name: _Name) -> None:
        owner = self._factors.pop(name).account_id
        del self._of_account[owner][name]
        if not self._of_account[owner]:
            del self._of_account[owner]
