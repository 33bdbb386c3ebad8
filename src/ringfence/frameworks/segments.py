"""Path templates cut at their slashes, and how two of them relate."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

ANY_TEXT = "[^/]+"
_INTEGER = "[0-9]+"
_FLOAT = r"[0-9]+(\.[0-9]+)?"


@dataclass(frozen=True)
class Parameter:
    """A segment that holds at least one parameter.

    Args:
        pattern: what the whole segment must match, as a regular expression.
        prefix: the literal text it begins with.
        suffix: the literal text it ends with.
    """

    pattern: str
    prefix: str = ""
    suffix: str = ""

    @cached_property
    def whole(self) -> re.Pattern[str]:
        """The compiled pattern."""
        return re.compile(self.pattern)


Segment = str | Parameter
Segments = tuple[Segment, ...]


class Tail(IntEnum):
    """What may follow the segments."""

    NONE = 0
    """Nothing."""
    SOME = 1
    """Something that cannot be told from the template."""
    ALL = 2
    """Any further segments at all, after a slash."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Which paths a template can match.

    Args:
        segments: what each of them begins with.
        tail: what may follow.
    """

    segments: Segments
    tail: Tail

    def covers(self, other: Reach) -> bool:
        """Return whether every path of ``other`` is one of these too. In doubt not."""
        own = len(self.segments)
        if self.tail is Tail.NONE:
            fits = other.tail is Tail.NONE and len(other.segments) == own
        else:
            longer = len(other.segments) + (other.tail is not Tail.NONE) > own
            fits = self.tail is Tail.ALL and longer
        return fits and all(map(_includes, self.segments, other.segments))

    def meets(self, other: Reach) -> bool:
        """Return whether some path belongs to both. In doubt yes."""
        own, others = len(self.segments), len(other.segments)
        if self.tail is Tail.NONE and other.tail is Tail.NONE:
            fits = own == others
        else:
            fits = (own > others or self.tail is not Tail.NONE) and (
                others > own or other.tail is not Tail.NONE
            )
        return fits and all(map(_overlaps, self.segments, other.segments))

    def precedes(self, other: Reach) -> bool:
        """Return whether these paths are the narrower ones at the first difference.

        Then to stand earlier is what the developer must have meant: ``/users/me``
        before ``/users/{id}``, ``/health/{x}`` before ``/{tenant}/me``.
        """
        for own, others in zip(self.segments, other.segments, strict=False):
            below, above = _includes(others, own), _includes(own, others)
            if below != above:
                return below
            if not below:
                return False
        if other.tail is Tail.NONE:
            return False
        return self.tail is Tail.NONE or len(self.segments) > len(other.segments)


EVERYWHERE = Reach((), Tail.SOME)
"""What a pattern is taken to reach that cannot be understood."""


def _includes(first: Segment, second: Segment) -> bool:
    """Return whether ``first`` matches all that ``second`` does. In doubt not."""
    if isinstance(first, str):
        return first == second
    if isinstance(second, str):
        return first.whole.fullmatch(second) is not None
    return first.pattern in {ANY_TEXT, second.pattern} or (
        first.pattern,
        second.pattern,
    ) == (_FLOAT, _INTEGER)


def _overlaps(first: Segment, second: Segment) -> bool:
    """Return whether some text matches both. In doubt yes."""
    if isinstance(first, str) or isinstance(second, str):
        return _includes(first, second) or _includes(second, first)
    return _begin_alike(first.prefix, second.prefix) and _begin_alike(
        first.suffix[::-1], second.suffix[::-1]
    )


def _begin_alike(first: str, second: str) -> bool:
    return first.startswith(second) or second.startswith(first)
