"""Families of refresh tokens in memory."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from ringfence.stores.contracts import AccountRecord, Grant, Rotated, Rotation
from ringfence.stores.memory_single_use import MOST_REMEMBERED, PresentAccounts

_MOST_OF_ACCOUNT = 256
_GONE = Rotated("gone")


class _Last(NamedTuple):
    """The last rotation of a family."""

    presented: bytes = b""
    answer: bytes = b""
    binding: bytes = b""
    repeat_until: float = 0.0
    is_repeated: bool = False


class _Family(NamedTuple):
    grant: Grant
    last: _Last = _Last()


class MemoryGrantStore:
    """Families of refresh tokens of one process. See ``contracts.GrantStore``.

    Bounded like sessions: the family that was unused the longest gives way, and of an
    account with very many its own.

    Args:
        accounts: tells whether an account may be used.
        most: families of all accounts together.
    """

    def __init__(self, accounts: PresentAccounts, most: int = MOST_REMEMBERED) -> None:
        self._accounts = accounts
        self._most = most
        self._families: OrderedDict[bytes, _Family] = OrderedDict()
        self._of_account: dict[str, OrderedDict[bytes, None]] = {}

    async def add(self, grant: Grant, *, epoch: int) -> bool:
        """See ``contracts.GrantStore``."""
        if not self._accounts.is_at(grant.account_id, epoch):
            return False
        if grant.id in self._families:
            return False
        self._make_room(grant.account_id)
        capped = grant._replace(expires=min(grant.expires, grant.ends))
        self._families[grant.id] = _Family(capped)
        own = self._of_account.setdefault(grant.account_id, OrderedDict())
        own[grant.id] = None
        return True

    async def find(self, grant_id: bytes) -> Grant | None:
        """See ``contracts.GrantStore``."""
        family = self._families.get(grant_id)
        account = self._owner(family)
        if family is None or account is None:
            return None
        return _of(family.grant, account)

    async def rotate(
        self, grant_id: bytes, presented: bytes, rotation: Rotation
    ) -> Rotated:
        """See ``contracts.GrantStore``."""
        family = self._families.get(grant_id)
        if self._owner(family) is None or family is None:
            return _GONE
        grant, last = family
        if grant.expires <= rotation.at:
            return _GONE
        owner = grant.account_id
        if grant.token_hash == presented:
            self._put(_rotated(grant, presented, rotation))
            return Rotated("rotated", account_id=owner)
        if (
            last.presented != presented
            or last.binding != rotation.binding
            or rotation.at >= last.repeat_until
        ):
            self._drop(grant_id)
            return Rotated("reused", account_id=owner)
        if last.is_repeated:
            return Rotated("again", account_id=owner)
        self._families[grant_id] = _Family(grant, last._replace(is_repeated=True))
        return Rotated("replayed", last.answer, owner)

    async def of_account(self, account_id: str) -> list[Grant]:
        """See ``contracts.GrantStore``."""
        account = self._accounts.present(account_id)
        if account is None:
            return []
        names = self._of_account.get(account_id, ())
        mine = [_of(self._families[name].grant, account) for name in names]
        return sorted(mine, key=lambda one: (-one.created, one.id))

    async def end(self, account_id: str, grant_id: bytes) -> bool:
        """See ``contracts.GrantStore``."""
        self._accounts.present(account_id)
        if grant_id not in self._of_account.get(account_id, ()):
            return False
        self._drop(grant_id)
        return True

    async def end_all(self, account_id: str) -> int:
        """See ``contracts.GrantStore``."""
        self._accounts.present(account_id)
        return self.end_now(account_id)

    def end_now(self, account_id: str) -> int:
        """End all families of an account at once; return how many."""
        mine = list(self._of_account.get(account_id, ()))
        for name in mine:
            self._drop(name)
        return len(mine)

    async def forget_expired(self, now: float) -> int:
        """See ``contracts.GrantStore``."""
        self._accounts.present("")
        families = self._families.items()
        expired = [name for name, (grant, _) in families if grant.expires <= now]
        for name in expired:
            self._drop(name)
        return len(expired)

    def _owner(self, family: _Family | None) -> AccountRecord | None:
        owner = "" if family is None else family.grant.account_id
        return self._accounts.present(owner)

    def _make_room(self, owner: str) -> None:
        mine = self._of_account.get(owner, OrderedDict())
        if len(mine) >= _MOST_OF_ACCOUNT:
            self._drop(next(iter(mine)))
        elif len(self._families) >= self._most:
            self._drop(next(iter(self._families)))

    def _put(self, family: _Family) -> None:
        name, owner = family.grant.id, family.grant.account_id
        self._families[name] = family
        self._families.move_to_end(name)
        self._of_account[owner].move_to_end(name)

    def _drop(self, name: bytes) -> None:
        owner = self._families.pop(name).grant.account_id
        del self._of_account[owner][name]
        if not self._of_account[owner]:
            del self._of_account[owner]


def _rotated(grant: Grant, presented: bytes, rotation: Rotation) -> _Family:
    until = rotation.at + rotation.grace if rotation.grace > 0 else 0.0
    changed = grant._replace(
        token_hash=rotation.token_hash,
        generation=grant.generation + 1,
        used=rotation.at,
        expires=min(rotation.expires, grant.ends),
    )
    last = _Last(presented, rotation.answer, rotation.binding, until)
    return _Family(changed, last)


def _of(grant: Grant, account: AccountRecord) -> Grant:
    return grant._replace(
        roles=account.roles, epoch=account.epoch, tenant=account.tenant
    )
