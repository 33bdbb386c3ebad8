"""A dictionary of bounded size that forgets what is idle, and only that."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from ringfence.stores.contracts import Charge, counter_key

State = TypeVar("State")

_SWEPT_FOR_A_NEW_KEY = 2  # so that idle keys go faster than new ones come
_SWEPT_WHEN_FULL = 16
_LAST_RESORTS = 256
_SHARES = 64  # that the room is divided into, once half of it is taken
_FEWEST = 8  # keys of a share


class Bounded(Generic[State]):
    """What is counted under each key.

    Idle keys are dropped as new ones come: from a quarter of the room on, each new key
    looks at the two that have not been looked at for longest, so that no request ever
    pays for a sweep of them all. Once half of the room is taken, keys that have the
    same coarsest key get no more than a share of the rest: an IPv6 site costs nothing
    and has 65,536 networks, and two of them would fill it all.

    Args:
        most: keys, an eighth of them coarser ones only. On top of them come at most 256
            for each kind of budget, which are shared in the end.
        fresh: makes the state of a key that nothing was taken from.
        is_idle: tells whether a key's state at a time is as good as a fresh one.
    """

    def __init__(
        self,
        most: int,
        fresh: Callable[[], State],
        is_idle: Callable[[bytes, State, float], bool],
    ) -> None:
        self.states: dict[bytes, State] = {}
        # Each key once with its group, but for the last resorts.
        self._waiting: deque[tuple[bytes, bytes]] = deque()
        self._in_group: dict[bytes, int] = {}
        self._most = most
        self._most_own = most - most // 8
        self._roomy = most // 4  # below it, what is idle may well come again
        self._scarce = most // 2
        self._share = max(_FEWEST, most // _SHARES)
        self._fresh = fresh
        self._is_idle = is_idle

    def place(self, charge: Charge, now: float) -> bytes:
        """Return the key under which a charge counts, with a state in ``states``.

        Where there is no room for its own, that is the finest of its coarser keys for
        which there is, or in the end one that strangers share: never none.
        """
        if charge.key in self.states:
            return charge.key
        if len(self._waiting) > self._roomy:
            self._sweep(_SWEPT_FOR_A_NEW_KEY, now)
        group = charge.coarser[-1] if charge.coarser else b""
        if self._has_share(group) and self._admits(
            charge.key, self._most_own, now, group
        ):
            return charge.key
        for key in charge.coarser:
            if self._admits(key, self._most, now):
                return key
        key = _last_resort(charge)
        if key not in self.states:
            self.states[key] = self._fresh()
        return key

    def find(self, charge: Charge) -> bytes | None:
        """Return the key under which a charge has been counted, if it is there."""
        for key in (charge.key, *charge.coarser):
            if key in self.states:
                return key
        key = _last_resort(charge)
        return key if key in self.states else None

    def reset(self, key: bytes) -> None:
        """Forget what was counted under a key."""
        if key in self.states:
            self.states[key] = self._fresh()

    def _has_share(self, group: bytes) -> bool:
        if not group or len(self._waiting) < self._scarce:
            return True
        return self._in_group.get(group, 0) < self._share

    def _admits(self, key: bytes, most: int, now: float, group: bytes = b"") -> bool:
        if key in self.states:
            return True
        if len(self._waiting) >= most:
            self._sweep(_SWEPT_WHEN_FULL, now)
            if len(self._waiting) >= most:
                return False
        self.states[key] = self._fresh()
        self._waiting.append((key, group))
        if group:
            self._in_group[group] = self._in_group.get(group, 0) + 1
        return True

    def _sweep(self, count: int, now: float) -> None:
        states, waiting = self.states, self._waiting
        for _ in range(min(count, len(waiting))):
            key, group = waiting.popleft()
            if not self._is_idle(key, states[key], now):
                waiting.append((key, group))
                continue
            del states[key]
            if group:
                self._leave(group)

    def _leave(self, group: bytes) -> None:
        left = self._in_group.pop(group) - 1
        if left:
            self._in_group[group] = left


def _last_resort(charge: Charge) -> bytes:
    """Return one of a fixed number of keys for each kind of budget. Python's hash is
    salted, so that nobody chooses with whom they share."""
    kind = f"{charge.amount}/{charge.period}/{charge.burst}"
    return counter_key("last resort", kind, str(hash(charge.key) % _LAST_RESORTS))
