"""Budgets counted in the memory of one process."""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from ringfence.clock import Clock, system_clock
from ringfence.stores.bounded import Bounded
from ringfence.stores.contracts import Charge, Verdict
from ringfence.stores.distinct import Distinct

_NEVER = float("-inf")
_NEARLY_ONE = (
    0.99  # of a step: thousands of added floating-point times are that far off
)
_JITTER = 1.0  # seconds back that are no change of the clock
_MANY = float(sys.maxsize)
_READY_MADE = 4_096
_TAKEN = tuple(Verdict(-1, 0.0, remaining) for remaining in range(_READY_MADE))
"""The everyday answers: making one takes as long as deciding."""


class MemoryCounters:
    """Count in dictionaries of bounded size. Implements ``CounterStore``.

    A key that is held, over its limit, or partly used is never evicted: nobody washes
    away what they have done by filling the store with other names. Without room a new
    key counts under the coarser keys of its charge, then under one of 256 that
    strangers share; those are not held, since a hold would hit the innocent.

    A decision waits for nothing, so that it is atomic in its event loop.

    Args:
        keys: most keys with GCRA, and most with an exact window, 64 or more. They take
            about 200 and 400 bytes each.
        members: most members that ``distinct`` remembers, of all keys together; about
            200 bytes each, an eighth of them at most under one key.
        clock: tells the time.

    Not covered: other processes (with four workers a client gets up to four times the
    amount); threads.

    Source: CWE-307, CWE-770, CWE-799; ASVS 5.0 V2.4.1, V6.3.1.
    """

    def __init__(
        self,
        *,
        keys: int = 100_000,
        members: int = 32_768,
        clock: Clock = system_clock,
    ) -> None:
        self._clock = clock
        self._holds: dict[bytes, _Hold] = {}
        self._rates = Bounded(keys, lambda: _NEVER, self._rate_is_idle)
        self._windows = Bounded(keys, _Window, self._window_is_idle)
        self._arrivals = self._rates.states
        self._seen = Distinct(members)

    @property
    def size(self) -> int:
        """Keys that are counted now, and members that are remembered."""
        counted = len(self._rates.states) + len(self._windows.states)
        return counted + self._seen.size

    async def take(self, charges: Sequence[Charge]) -> Verdict:
        """Take all charges or none."""
        now = self._clock()
        return self.decide(charges, now)._replace(at=now)

    def passes(self, charge: Charge, now: float) -> bool:
        """Take one charge where a single look is enough; else change nothing."""
        key, amount, period, exact, holds, burst, _, _ = charge
        if exact or holds:
            return False
        arrivals = self._arrivals
        arrival = arrivals.get(key)
        if arrival is None:
            return False
        step = period / amount
        if arrival < now:
            arrivals[key] = now + step
            return True
        if arrival - now > step * ((burst or amount) - 1):
            return False
        arrivals[key] = arrival + step
        return True

    def decide(self, charges: Sequence[Charge], now: float) -> Verdict:
        """Take all charges or none, without an event loop.

        GCRA keeps one number a key: when the budget will be whole again. Each request
        moves it on by one step, and it may be a burst of steps ahead at most.
        """
        arrivals = self._arrivals
        least = _MANY
        scarcest = index = 0
        for key, amount, period, exact, holds, burst, _, _ in charges:
            if holds and self._is_held(key, now):
                return self._refuse_held(charges, index, now)
            if exact:
                key = self._windows.place(charges[index], now)  # noqa: PLW2901 - where it counts
                left: float = self._windows.states[key].take(amount, period, now)
            else:
                arrival = arrivals.get(key)
                if arrival is None:
                    key = self._rates.place(charges[index], now)  # noqa: PLW2901 - where it counts
                    arrival = arrivals[key]
                if arrival < now:  # noqa: PLR1730 - a third of the time of max()
                    arrival = now
                step = period / amount
                left = (now - arrival) / step + (burst or amount) - _NEARLY_ONE
                if left >= 0:
                    arrivals[key] = arrival + step
            if left < 0:
                return self._refuse(charges, index, key, now)
            if left < least:
                least, scarcest = left, index
            index += 1  # noqa: SIM113 - enumerate() would make a pair each time
        if scarcest == 0 and least < _READY_MADE:
            return _TAKEN[int(least)]
        return Verdict(-1, 0.0, int(least), scarcest=scarcest)

    async def give_back(self, charges: Sequence[Charge], at: float) -> None:
        """Return what ``take`` took then."""
        self._return(charges, at)

    async def lift(self, keys: Sequence[bytes]) -> None:
        """End holds and forget what was counted."""
        for key in keys:
            self._holds.pop(key, None)
            self._rates.reset(key)
            self._windows.reset(key)

    async def distinct(self, key: bytes, member: bytes, period: float) -> int:
        """Count a member; return how many different ones there were lately."""
        return self._seen.count(key, member, period, self._clock())

    def restore(self, key: bytes, kept: Kept) -> None:
        """Go on with what ``kept`` has said of a key, here or elsewhere."""
        if kept.arrival is not None:
            self._rates.states[key] = kept.arrival
        if kept.times:
            window = self._windows.states[key] = _Window()
            window.times.frombytes(kept.times)
            window.period = kept.period
        if kept.hold is not None:
            self._holds[key] = _Hold(*kept.hold)

    def kept(self, key: bytes) -> Kept:
        """Return what is known of a key, so that it can be kept elsewhere."""
        arrival = self._arrivals.get(key, _NEVER)
        window = self._windows.states.get(key) or _Window()
        return Kept(
            None if arrival == _NEVER else arrival,
            window.period,
            window.times.tobytes(),
            self._holds.get(key),
        )

    def _refuse(
        self, charges: Sequence[Charge], index: int, key: bytes, now: float
    ) -> Verdict:
        """Refuse because of a charge that is counted under ``key``."""
        charge = charges[index]
        held = bool(charge.holds) and key == charge.key
        wait = self._hold(charge, now) if held else self._wait(charge, key, now)
        if index:
            self._return(charges[:index], now)
        return Verdict(index, wait, 0, held, index)

    def _wait(self, charge: Charge, key: bytes, now: float) -> float:
        """Return the seconds until a charge that is over would be allowed."""
        _, amount, period, exact, _, burst, _, _ = charge
        if exact:
            return self._windows.states[key].wait(amount, period, now)
        step = period / amount
        ahead = step * (burst or amount)
        arrival = self._arrivals[key]
        if arrival > now + ahead:
            # A clock that was set back would refuse until it has caught up.
            arrival = self._arrivals[key] = now + ahead
        return arrival + step - ahead - now

    def _return(self, charges: Sequence[Charge], now: float) -> None:
        for charge in charges:
            shelf = self._windows if charge.exact else self._rates
            key = shelf.find(charge)
            if key is None:
                continue
            if charge.exact:
                self._windows.states[key].give_back(now)
            else:
                self._arrivals[key] -= charge.period / charge.amount

    def _is_held(self, key: bytes, now: float) -> bool:
        hold = self._holds.get(key)
        return hold is not None and hold.until > now

    def _refuse_held(
        self, charges: Sequence[Charge], index: int, now: float
    ) -> Verdict:
        key = charges[index].key
        hold = self._holds[key]
        if hold.until - now > hold.length:  # the clock was set back
            hold = self._holds[key] = hold.moved_to(now)
        self._return(charges[:index], now)
        return Verdict(index, hold.until - now, 0, held=True, scarcest=index)

    def _hold(self, charge: Charge, now: float) -> float:
        """Hold the key of a charge; return for how long. The hold is the price: what
        was counted is settled, else a short hold on a long period would never end."""
        last = self._holds.get(charge.key)
        level = last.level + 1 if last is not None and last.forgotten > now else 0
        length = charge.holds[min(level, len(charge.holds) - 1)]
        (self._windows if charge.exact else self._rates).reset(charge.key)
        self._holds[charge.key] = _Hold(
            until=now + length,
            length=length,
            level=level,
            memory=max(length, charge.period),
        )
        return length

    def _rate_is_idle(self, key: bytes, arrival: float, now: float) -> bool:
        return arrival <= now and self._is_forgotten(key, now)

    def _window_is_idle(self, key: bytes, window: _Window, now: float) -> bool:
        return window.is_over(now) and self._is_forgotten(key, now)

    def _is_forgotten(self, key: bytes, now: float) -> bool:
        hold = self._holds.get(key)
        if hold is None:
            return True
        if hold.forgotten > now:
            return False
        del self._holds[key]
        return True


class Kept(NamedTuple):
    """What is known of one key.

    Args:
        arrival: of GCRA, when its budget will be whole again.
        period: of its window.
        times: in its window, packed.
        hold: that is on it, or was: its end, length, level and memory.
    """

    arrival: float | None = None
    period: float = 0.0
    times: bytes = b""
    hold: tuple[float, float, int, float] | None = None

    @property
    def expires(self) -> float:
        """When it is as good as nothing."""
        ends = [0.0 if self.arrival is None else self.arrival]
        if self.times:
            ends.append(array("d", self.times)[-1] + self.period)
        if self.hold is not None:
            ends.append(_Hold(*self.hold).forgotten)
        return max(ends)


class _Hold(NamedTuple):
    """Until when a key is refused, and how long that is remembered afterwards."""

    until: float
    length: float
    level: int
    memory: float

    @property
    def forgotten(self) -> float:
        return self.until + self.memory

    def moved_to(self, now: float) -> _Hold:
        return self._replace(until=now + self.length)


class _Window:
    """The times of what was taken in the last ``period``, in order."""

    __slots__ = ("period", "times")

    def __init__(self) -> None:
        self.times: array[float] = array("d")
        self.period = 0.0

    def take(self, amount: int, period: float, now: float) -> int:
        times = self.times
        self.period = period
        if times and times[-1] > now:
            now = self._settle(now)
        del times[: bisect_right(times, now - period)]
        left = amount - len(times) - 1
        if left >= 0:
            times.append(now)
        return max(left, -1)

    def wait(self, amount: int, period: float, now: float) -> float:
        """Return the seconds until enough of what fills it is over, 0 or more."""
        return max(0.0, self.times[-amount] + period - now)

    def give_back(self, now: float) -> None:
        times = self.times
        index = bisect_left(times, now)
        if index < len(times) and times[index] == now:
            del times[index]

    def is_over(self, now: float) -> bool:
        return not self.times or self.times[-1] <= now - self.period

    def _settle(self, now: float) -> float:
        """Return the time to go on with after the clock has gone back. Where it was
        set, everything moves with it, else nothing would be allowed until it has
        caught up."""
        times = self.times
        late = times[-1] - now
        if late <= _JITTER:
            return times[-1]
        for index, time in enumerate(times):
            times[index] = time - late
        return now
