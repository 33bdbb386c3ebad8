"""Budgets that requests draw from, and what counts them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable


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
        owner: id of the account whose budget it is, if it is one's: a store of several
            nodes keeps it beside what else it knows of the account.
    """

    key: bytes
    amount: int
    period: float
    exact: bool = False
    holds: tuple[float, ...] = ()
    burst: int = 0
    coarser: tuple[bytes, ...] = ()
    owner: str = ""


class Verdict(NamedTuple):
    """What became of a list of charges.

    Args:
        refused: index of the charge that refuses, -1 if all were taken.
        retry_after: seconds until the refusing one would allow again, 0 if none.
        remaining: how many more the scarcest charge allows at once now.
        held: the refusing key is under a hold, not merely used up.
        scarcest: index of the charge that ``remaining`` is about.
        at: when that was, by the clock of the store; for ``give_back``.
    """

    refused: int
    retry_after: float
    remaining: int
    held: bool = False
    scarcest: int = 0
    at: float = 0.0


class CounterStore(Protocol):
    """Budgets that requests draw from. Every method may raise ``StoreError``.

    Time is the store's own: of two processes whose clocks differ neither gets more.

    **Holds.** Running over a charge with ``holds`` holds its key for exactly that long:
    until the hold ends everything is refused, and what is refused costs nothing and
    prolongs nothing. What was counted is settled with it: afterwards the whole amount
    is there again (five wrong passwords, a minute's lock, five more). The
    next time costs the next hold, as long as the last one is remembered: after its end
    for as long again as it lasted, and for one ``period`` at least. So a hold grows,
    ends, and is forgotten after a while of good conduct; none is permanent.

    Source: CWE-307, CWE-770, CWE-799; ASVS 5.0 V2.4.1, V6.3.1.

    Not covered: a store that forgets (a restart without persistence, a failover) opens
    what was used up, for one ``period``, and ends holds early.
    """

    async def take(self, charges: Sequence[Charge]) -> Verdict:
        """Take all charges or none, atomically: a refused request costs nothing in the
        budgets that would have allowed it. They are asked in order, and only the first
        that refuses is held.

        Raises:
            StoreError: nobody knows whether they were taken; do not take them again.
        """

    async def give_back(self, charges: Sequence[Charge], at: float) -> None:
        """Return what ``take`` took, for an attempt that turned out to be honest.

        Args:
            charges: the same.
            at: when they were taken: ``Verdict.at``.
        """

    async def lift(self, keys: Sequence[bytes]) -> None:
        """End holds and forget what was counted, after a proof by other means."""

    async def distinct(self, key: bytes, member: bytes, period: float) -> int:
        """Count ``member`` under ``key``; return how many different ones were counted
        there in the last ``period``, this one included.

        Shows what single budgets cannot: one network that tries each of many accounts
        only once or twice. Exact up to a bound of the store, from there on the bound.

        Args:
            key: made by ``counter_key``.
            member: what is counted, of any length.
            period: seconds, more than 0.
        """


@runtime_checkable
class ImmediateCounters(Protocol):
    """Counters that need not wait, for whoever decides on every request.

    ``now`` is Unix time in seconds, of the clock that the counters have.
    """

    def decide(self, charges: Sequence[Charge], now: float) -> Verdict:
        """Do what ``take`` of the same store does, at once."""

    def passes(self, charge: Charge, now: float) -> bool:
        """Take a single charge if that needs no more than a look, and return ``True``.

        ``False`` says nothing and changes nothing: ask ``decide``. For the one question
        that every request asks, and that hardly ever has another answer.
        """
