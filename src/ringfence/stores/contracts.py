"""What the shelves promise. Every store is run through the same contract suite."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable


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
        epoch: raised with every change of the password or the roles. What was decided
            under an older epoch (a sign-in still on its way, say) is void.
    """

    id: str
    email: str
    email_key: str
    password_hash: str = field(repr=False)
    roles: frozenset[str]
    disabled: bool
    created: float
    epoch: int = 0


class SessionRecord(NamedTuple):
    """A session together with what its account may be *now*. Times are Unix seconds.

    A named tuple, not a frozen dataclass: one is made for every request, and it is
    made in a fifth of the time.

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
        proved: when the owner last proved who they are: the sign-in, or a confirmation
            since then.
        last_network: network of the last use (see ``Use``), written with ``last_seen``.
        last_device: the browser of the last use, likewise.
        moved_at: when the session was first used from another network and another
            device at once, 0 if never.
        moved_network: network of that use.
        moved_device: the browser of that use.
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
    proved: float = 0.0
    last_network: str = ""
    last_device: str = ""
    moved_at: float = 0.0
    moved_network: str = ""
    moved_device: str = ""


class Use(NamedTuple):
    """When and from where a session was last used.

    Args:
        at: Unix seconds.
        network: the client's address, IPv6 grouped to /64.
        device: a short description of the browser.
    """

    at: float
    network: str
    device: str


class AccountStore(Protocol):
    """Accounts. Every method may raise ``StoreError``."""

    async def add(self, account: AccountRecord) -> bool:
        """Add an account; return ``False`` if its ``email_key`` is taken. Writes to
        the disk in both cases, so that the time does not tell which it was."""

    async def by_email(self, email_key: str) -> AccountRecord | None: ...

    async def by_id(self, account_id: str) -> AccountRecord | None: ...

    async def set_password(
        self, account_id: str, password_hash: str, *, epoch: int
    ) -> int:
        """Set the password, raise the epoch and end every session of the account, in
        one transaction; return the new epoch. Return 0 and change nothing if the
        account is gone or no longer at ``epoch``: of two changes that were both
        allowed by the same old password only one may win."""

    async def upgrade_hash(self, account_id: str, old: str, new: str) -> None:
        """Replace ``old`` by another hash of the same password, if it is still
        there. Sessions and epoch stay."""

    async def set_roles(self, account_id: str, roles: frozenset[str]) -> bool:
        """Set the roles and raise the epoch; return whether there is an account."""

    async def set_disabled(self, account_id: str, *, disabled: bool) -> bool:
        """Disable or enable; disabling ends every session of the account. Return
        whether there is an account."""

    async def page(self, *, after: str, limit: int) -> list[AccountRecord]:
        """Return up to ``limit`` accounts ordered by id, beginning after ``after``."""

    async def remove(self, account_id: str) -> bool:
        """Remove the account and its sessions; return whether there was one."""


class SessionStore(Protocol):
    """Sessions. Every method may raise ``StoreError``."""

    async def read(self, token_hash: bytes) -> SessionRecord | None:
        """Return the session unless it was revoked or its account is disabled. Expiry
        is the caller's to judge. On SQLite this is a prepared primary-key read."""

    async def add(
        self, session: SessionRecord, *, epoch: int, replaces: bytes | None
    ) -> bool:
        """Add a session and, in the same transaction, end the one it replaces.

        Return ``False`` and add nothing if the account is gone, disabled or no longer
        at ``epoch``: a sign-in with the old password that is overtaken by a change of
        password must not leave a session behind.
        """

    def recall(self, token_hash: bytes) -> SessionRecord | None:
        """Return what ``read`` would return, if that is known without waiting; ``None``
        says nothing. Without a change the record is the same object every time."""

    async def read_many(
        self, token_hashes: Collection[bytes]
    ) -> Mapping[bytes, SessionRecord]:
        """Return those of these sessions that ``read`` would return, in few reads and
        without holding up the event loop."""

    async def touch(self, seen: Mapping[bytes, Use]) -> None:
        """Write when and from where sessions were last used, all in one transaction.
        Never moves a time back, never revives a session."""

    async def mark_moved(self, token_hash: bytes, use: Use) -> bool:
        """Write down that a session has moved, and where to, unless that is written
        down already; return whether it was this call. Of several at once only one is
        told so."""

    async def of_account(self, account_id: str) -> list[SessionRecord]:
        """Return the account's sessions, the latest sign-in first."""

    async def end(self, account_id: str, public_id: str) -> bool:
        """End one session of this account; return whether it had such a session."""

    async def end_all(self, account_id: str, *, keep: bytes | None) -> int:
        """End the account's sessions but ``keep``; return how many."""

    async def end_token(self, token_hash: bytes) -> bool:
        """End the session with this token; return whether there was one."""

    async def forget_expired(self, *, created_before: float, seen_before: float) -> int:
        """Delete what was made or seen before these times; return how many."""


def counter_key(*parts: str | bytes) -> bytes:
    """Return a key that no other parts can have.

    Each part is written with its length: of keys that are only strung together, one
    account can be named so that it draws from another's budget (CVE-2026-25480).

    Args:
        parts: the purpose first, then whom the budget is for. Whoever calls folds every
            spelling of one thing into one (case of an address, forms of IPv6).
    """
    return b"".join(
        b"%d:%b," % (len(raw), raw)
        for raw in (
            part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass")
            for part in parts
        )
    )


class Charge(NamedTuple):
    """What one request takes from one budget.

    Args:
        key: names the budget: purpose and whom it is for; made by ``counter_key``. Keys
            are compared byte for byte.
        amount: how many are allowed in ``period``, 1 or more.
        period: seconds.
        exact: a sliding window without edges, for small amounts such as sign-ins
            (never more than ``amount`` in *any* ``period``); else GCRA, one number a
            key, for large ones.
        holds: what running over costs: seconds for which the key is refused, the first
            time, the second, and so on; the last repeats. Empty: nothing but the wait.
        burst: how many GCRA allows at once, 0 for ``amount``; an exact window has none.
        coarser: keys that count in the place of ``key`` where a store is full, the
            finest first: the network of an address, say.
    """

    key: bytes
    amount: int
    period: float
    exact: bool = False
    holds: tuple[float, ...] = ()
    burst: int = 0
    coarser: tuple[bytes, ...] = ()


class Verdict(NamedTuple):
    """What became of a list of charges.

    Args:
        refused: index of the charge that refuses, -1 if all were taken.
        retry_after: seconds until the refusing one would allow again, 0 if none.
        remaining: how many more the scarcest charge allows at once now.
        held: the refusing key is under a hold, not merely used up.
        scarcest: index of the charge that ``remaining`` is about.
    """

    refused: int
    retry_after: float
    remaining: int
    held: bool = False
    scarcest: int = 0


class CounterStore(Protocol):
    """Budgets that requests draw from. Every method may raise ``StoreError``.

    ``now`` is Unix time in seconds, of the same clock in every call.

    **Holds.** Running over a charge with ``holds`` holds its key for exactly that long:
    until the hold ends everything is refused, and what is refused costs nothing and
    prolongs nothing. What was counted is settled with it: afterwards the whole amount
    is there again (five wrong passwords, a minute's lock, five more). The
    next time costs the next hold, as long as the last one is remembered: after its end
    for as long again as it lasted, and for one ``period`` at least. So a hold grows,
    ends, and is forgotten after a while of good conduct; none is permanent.
    """

    async def take(self, charges: Sequence[Charge], now: float) -> Verdict:
        """Take all charges or none, atomically: a refused request costs nothing in the
        budgets that would have allowed it. They are asked in order, and only the first
        that refuses is held."""

    async def give_back(self, charges: Sequence[Charge], now: float) -> None:
        """Return what ``take`` took, for an attempt that turned out to be honest.

        Args:
            charges: the same.
            now: what was given to ``take``.
        """

    async def lift(self, keys: Sequence[bytes]) -> None:
        """End holds and forget what was counted, after a proof by other means."""

    async def distinct(
        self, key: bytes, member: bytes, period: float, now: float
    ) -> int:
        """Count ``member`` under ``key``; return how many different ones were counted
        there in the last ``period``, this one included.

        Shows what single budgets cannot: one network that tries each of many accounts
        only once or twice. Exact up to a bound of the store, from there on the bound.
        """


@runtime_checkable
class ImmediateCounters(Protocol):
    """Counters that need not wait, for whoever decides on every request."""

    def decide(self, charges: Sequence[Charge], now: float) -> Verdict:
        """Do what ``take`` of the same store does, at once."""

    def passes(self, charge: Charge, now: float) -> bool:
        """Take a single charge if that needs no more than a look, and return ``True``.

        ``False`` says nothing and changes nothing: ask ``decide``. For the one question
        that every request asks, and that hardly ever has another answer.
        """


class Stores(Protocol):
    """The open shelves of one database."""

    @property
    def accounts(self) -> AccountStore: ...

    @property
    def sessions(self) -> SessionStore: ...

    async def start(self) -> None:
        """Migrate and open. May be called again after ``stop``.

        Raises:
            StoreError: the database cannot be opened, read or migrated.
        """

    async def stop(self) -> None:
        """Close every connection and end every thread. Idempotent."""
