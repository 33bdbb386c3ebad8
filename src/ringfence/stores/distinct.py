"""How many different ones there were lately, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping


class Distinct:
    """Remembers which members were seen under a key, and when.

    Members are kept as salted 64-bit hashes. What has not been touched for longest is
    forgotten first, so that a key in use stays.

    Args:
        most: members remembered of all keys together, 8 or more; an eighth of them at
            most under one key.
    """

    def __init__(self, most: int) -> None:
        self._seen: OrderedDict[bytes, OrderedDict[int, float]] = OrderedDict()
        self._most = most
        self._most_under_one = most // 8
        self._count = 0

    @property
    def size(self) -> int:
        """Members that are remembered now."""
        return self._count

    def count(self, key: bytes, member: Hashable, period: float, now: float) -> int:
        """Add a member; return how many there were in the last ``period`` seconds."""
        members = self._seen.setdefault(key, OrderedDict())
        self._seen.move_to_end(key)
        before = len(members)
        digest = hash(member)
        members[digest] = now
        members.move_to_end(digest)
        while members and _first(members) <= now - period:
            members.popitem(last=False)
        if len(members) > self._most_under_one:
            members.popitem(last=False)
        self._count += len(members) - before
        self._forget()
        return len(members)

    def restore(self, key: bytes, members: Mapping[int, float]) -> None:
        """Go on with what ``members`` has said, here or elsewhere."""
        self._seen[key] = OrderedDict(members)
        self._count += len(members)

    def members(self, key: bytes) -> dict[int, float]:
        """Return the hashes of what was seen under a key, and when."""
        return dict(self._seen.get(key, {}))

    def _forget(self) -> None:
        while self._count > self._most:
            _, oldest = self._seen.popitem(last=False)
            self._count -= len(oldest)


def _first(members: OrderedDict[int, float]) -> float:
    return next(iter(members.values()))
