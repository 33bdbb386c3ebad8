"""Parts of values that applications commonly cut out before they use them.

``sort=-price`` loses its sign, ``price:desc`` and ``name__contains`` are taken apart,
a search is split into words. What is cut out of an input is input.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator
from itertools import pairwise
from threading import Lock

from ringfence.interpreters.untrusted import Input, Inputs, fold

_LONGEST = 65_536  # characters of a value that is taken apart
_LONGEST_LIST = 4_096  # of one whose middle is, too
_MOST = 50_000  # parts of what one request has brought
_REMEMBERED = 64  # requests
_CUTS = (":", "@", "__", "|", ".", "/", "=", " ", ",")
_SIGNS = "-+~!^$ "
_WORDS = re.compile(r"[\s,;|]+")
_LIST = re.compile(r"[,;|\s]")
_CODE = re.compile(r"""['"`;()#*=<>|\\]|--""")
_SHORTEST = 2
_SAYS = re.compile(r"\w")
_JOINED = re.compile(r"""['"]{2,}, ?['"]""")

Part = tuple[str, Input]
"""Folded, with the value that it was cut out of."""


class Parts:
    """Takes values apart, once a request."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, tuple[Inputs, tuple[Part, ...] | None]] = (
            OrderedDict()
        )
        self._lock = Lock()

    def of(self, inputs: Inputs) -> tuple[Part, ...] | None:
        """Return the parts of all values, each once, without the values themselves;
        ``None`` if there are too many to be looked for."""
        with self._lock:
            known = self._known.get(id(inputs))
        if known is not None and known[0] is inputs:
            return known[1]
        parts = _all_parts(inputs)
        with self._lock:
            self._known[id(inputs)] = (inputs, parts)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return parts


PARTS = Parts()


def _all_parts(inputs: Inputs) -> tuple[Part, ...] | None:
    known = {value.text for value in inputs.values}
    parts: dict[str, Input] = {}
    for given in inputs.values:
        is_long = len(given.text) > _LONGEST
        for part in (given.text.lstrip(_SIGNS),) if is_long else _cut(given.text):
            if _is_telling(part) and part not in known:
                parts.setdefault(part, given)
                if len(parts) > _MOST:
                    # Not those that fit: the one that matters would be the last.
                    return None
    return tuple((fold(part), given) for part, given in parts.items())


def _is_telling(part: str) -> bool:
    """Quotes and operators alone carry no code, but for what `_joined_anew` makes."""
    return len(part) >= _SHORTEST and (
        _SAYS.search(part) is not None or _JOINED.search(part) is not None
    )


def _cut(text: str) -> Iterator[str]:
    yield text.lstrip(_SIGNS)
    for cut in _CUTS:
        if cut in text:
            head, _, tail = text.partition(cut)
            yield from (head.strip(), tail.strip())
            head, _, tail = text.rpartition(cut)
            yield from (head.strip(), tail.strip())
    if _CODE.search(text) is None:
        return
    yield "".join(text.split())  # as of telephone numbers
    yield from _joined_anew(text)
    for cut in _CUTS if len(text) <= _LONGEST_LIST else ():
        if text.count(cut) > 1:
            for middle in text.split(cut)[1:-1]:
                if _CODE.search(middle) is not None:
                    yield middle.strip()
    for word in _WORDS.split(text):
        if _CODE.search(word) is not None:
            yield word


def _joined_anew(text: str) -> Iterator[str]:
    """Yield neighbours of a list as they stand once each has got quotes: where one is
    a quote, the next is code (``',)=,OR,==,--``), however short they are."""
    if "'" not in text and '"' not in text:
        return
    pieces = [piece.strip() for piece in _LIST.split(text)]
    for one, two in pairwise(pieces):
        if one and not one.strip("'\"") and two:
            for quote in "'\"":
                yield f"{one}{quote},{quote}{two}"
                yield f"{one}{quote}, {quote}{two}"
