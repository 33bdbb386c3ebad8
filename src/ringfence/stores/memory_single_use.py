"""What may be used once, and what was taken back, in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar

from ringfence.clock import Clock
from ringfence.errors import StoreBusyError
from ringfence.stores.contracts import AccountRecord, Ticket, Told, counter_key

MOST_REMEMBERED = 100_000
_LOOKED_AT = 8  # entries that each new one looks at, to forget what has expired
_COME_AGAIN = 60  # seconds

_Name = tuple[str, bytes]
Kept = TypeVar("Kept", bound=Hashable)


class PresentAccounts(Protocol):
    """What accounts may be now, told at once."""

    def present(self, account_id: str) -> AccountRecord | None:
        """Return an account that may be used.

        Raises:
            StoreError: the accounts are not open.
        """

    def is_at(self, account_id: str, epoch: int) -> bool:
        """Return whether an account may be used and is at an epoch.

        Raises:
            StoreError: the accounts are not open.
        """


class MemoryTicketStore:
    """Single-use tokens of one process. See ``contracts.TicketStore``.

    Args:
        accounts: tells whether an account may be used.
        clock: tells the time.
        most: tickets of all accounts together; more are refused.
    """

    def __init__(
        self, accounts: PresentAccounts, clock: Clock, most: int = MOST_REMEMBERED
    ) -> None:
        self._accounts = accounts
        self._clock = clock
        self._tickets: dict[_Name, Ticket] = {}
        self._expiries: Expiries[_Name] = Expiries(clock, most)
        self._of_account: dict[tuple[str, str], dict[_Name, None]] = {}

    async def issue(self, ticket: Ticket, seconds: float, *, most: int = 16) -> bool:
        """See ``contracts.TicketStore``."""
        name = (ticket.kind, ticket.token_hash)
        if name in self._tickets or not self._is_usable(ticket):
            return False
        for expired in self._expiries.take_expired():
            self._drop(expired)
        self._expiries.put(name, seconds)
        self._tickets[name] = ticket
        mine = self._of_account.setdefault((ticket.account_id, ticket.kind), {})
        mine[name] = None
        while len(mine) > most:
            self._take(next(iter(mine)))
        return True

    async def find(self, kind: str, token_hash: bytes) -> Ticket | None:
        """See ``contracts.TicketStore``."""
        name = (kind, token_hash)
        ticket = self._tickets.get(name)
        if ticket is None or not self._expiries.holds(name):
            return None
        return ticket if self._is_usable(ticket) else None

    async def redeem(self, kind: str, token_hash: bytes) -> Ticket | None:
        """See ``contracts.TicketStore``."""
        name = (kind, token_hash)
        standing = self._expiries.holds(name)
        ticket = self._take(name)
        if ticket is None or not standing or not self._is_usable(ticket):
            return None
        return ticket

    async def withdraw(self, account_id: str, kind: str) -> int:
        """See ``contracts.TicketStore``."""
        mine = list(self._of_account.get((account_id, kind), ()))
        for name in mine:
            self._take(name)
        return len(mine)

    def _is_usable(self, ticket: Ticket) -> bool:
        return self._accounts.is_at(ticket.account_id, ticket.epoch)

    def _take(self, name: _Name) -> Ticket | None:
        self._expiries.forget(name)
        return self._drop(name)

    def _drop(self, name: _Name) -> Ticket | None:
        ticket = self._tickets.pop(name, None)
        if ticket is None:
            return None
        owner = (ticket.account_id, ticket.kind)
        del self._of_account[owner][name]
        if not self._of_account[owner]:
            del self._of_account[owner]
        return ticket


class MemoryReplayStore:
    """What this process has seen. See ``contracts.ReplayStore``.

    Args:
        clock: tells the time.
        most: keys; more are refused with ``StoreBusyError``, since forgetting one would
            let it be used again.
    """

    def __init__(self, clock: Clock, most: int = MOST_REMEMBERED) -> None:
        self._seen: Expiries[bytes] = Expiries(clock, most)

    async def first(self, key: bytes, seconds: float) -> bool:
        """See ``contracts.ReplayStore``."""
        if self._seen.holds(key):
            return False
        self._seen.take_expired()
        self._seen.put(key, seconds)
        return True


class MemoryRevocationStore:
    """Signed tokens that this process has taken back. See
    ``contracts.RevocationStore``.

    Args:
        accounts: tells whether an account may be used.
        clock: tells the time.
        most: tokens; more are refused with ``StoreBusyError``, since forgetting one
            would make it good again.
    """

    def __init__(
        self, accounts: PresentAccounts, clock: Clock, most: int = MOST_REMEMBERED
    ) -> None:
        self._accounts = accounts
        self._revoked: Expiries[bytes] = Expiries(clock, most)

    async def revoke(self, token_id: bytes, account_id: str, seconds: float) -> None:
        """See ``contracts.RevocationStore``."""
        self._revoked.take_expired()
        self._revoked.put(counter_key(account_id, token_id), seconds)

    async def standing(
        self, token_ids: tuple[bytes, ...], account_id: str, told: Told | None = None
    ) -> int | None:
        """See ``contracts.RevocationStore``."""
        return self.recall(token_ids, account_id)

    def recall(
        self, token_ids: tuple[bytes, ...], account_id: str, told: Told | None = None
    ) -> int | None:
        """See ``contracts.RevocationStore``."""
        account = self._accounts.present(account_id)
        if account is None:
            return None
        if self._revoked and any(
            self._revoked.holds(counter_key(account_id, token_id))
            for token_id in token_ids
        ):
            return None
        return account.epoch


class Expiries(Generic[Kept]):
    """Until when things are remembered, in bounded memory.

    Args:
        clock: tells the time.
        most: things that are remembered at once.
    """

    def __init__(self, clock: Clock, most: int) -> None:
        self._clock = clock
        self._most = most
        self._until: OrderedDict[Kept, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._until)

    def holds(self, thing: Kept) -> bool:
        """Return whether a thing is remembered."""
        return self._until.get(thing, 0.0) > self._clock()

    def put(self, thing: Kept, seconds: float) -> None:
        """Remember a thing for so long, or longer if somebody has said so before.

        Raises:
            StoreBusyError: there is no room, and nothing has expired.
        """
        if thing not in self._until and len(self._until) >= self._most:
            message = f"{self._most} things to remember are the most"
            raise StoreBusyError(message, retry_after=_COME_AGAIN)
        until = self._clock() + seconds
        self._until[thing] = max(until, self._until.get(thing, 0.0))

    def forget(self, thing: Kept) -> None:
        """Forget a thing now."""
        self._until.pop(thing, None)

    def take_expired(self) -> list[Kept]:
        """Forget what has expired of the few that nobody has looked at for longest, and
        return it."""
        now = self._clock()
        gone = []
        for _ in range(min(_LOOKED_AT, len(self._until))):
            thing, until = self._until.popitem(last=False)
            if until > now:
                self._until[thing] = until
            else:
                gone.append(thing)
        return gone
