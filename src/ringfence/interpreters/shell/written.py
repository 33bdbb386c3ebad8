"""What the application's own code says, word by word: that is not an input, even if a
request happens to bring the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from types import FrameType

from ringfence.interpreters.callers import frames, is_standard

_MOST_FRAMES = 40
_GAP = re.compile(r"%[-#0 +]*[0-9.*]*[sdrifx]|\{[^{}]*\}|\$\{?\w+\}?")

Span = tuple[int, int]


class Fixed(str):
    """A word of a template, which carries with it that no request has written it: the
    template may stand where no frame leads to."""

    __slots__ = ()


def written_in(text: str) -> list[Span]:
    """Return the parts of a text that stand as they are in the code that has led here:
    literals of its functions, constants of its modules, and what surrounds the gaps of
    a template.

    Asked only once an input was found. A constant is what is called so (``LIKE_THIS``):
    under other names of a module may lie what a request has brought. Python's own
    modules do not count: ``/bin/sh`` stands in ``subprocess``.
    """
    spans: list[Span] = []
    for constant in {known for frame in _frames() for known in _constants(frame)}:
        start = text.find(constant)
        while start >= 0:
            spans.append((start, start + len(constant)))
            start = text.find(constant, start + 1)
    return spans


def is_within(start: int, end: int, spans: Iterable[Span]) -> bool:
    """Return whether one of the spans holds a part of a text."""
    return any(first <= start and end <= last for first, last in spans)


def _frames() -> Iterator[FrameType]:
    return (frame for frame in islice(frames(), _MOST_FRAMES) if not is_standard(frame))


def _constants(frame: FrameType) -> Iterator[str]:
    named = tuple(frame.f_globals.items())  # more may be added meanwhile
    constants = (value for name, value in named if name.isupper())
    for value in (*frame.f_code.co_consts, *constants):
        if type(value) is str:
            yield from _pieces(value)
        elif type(value) in {tuple, frozenset}:
            for inner in value:
                if type(inner) is str:
                    yield from _pieces(inner)


def _pieces(constant: str) -> Iterator[str]:
    """Yield a constant, and what surrounds its gaps; punctuation alone excuses nothing:
    some code somewhere always has a ``;`` or a ``>`` in it."""
    for piece in {constant, *_GAP.split(constant)}:
        if any(map(str.isalnum, piece)):
            yield piece
