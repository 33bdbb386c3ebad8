"""Reading tags out of a page, wherever a browser might see one.

A browser's parser is in one of many states at each character, and templates, fragments
and foreign markup (SVG) shift them. No state is kept here: every ``<`` before a letter
is read as a tag, also within comments, scripts and values. What is found besides real
tags does no harm, since only what a request has brought counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

_NAME = re.compile(r"<([a-z][^\t\n\f\r />]*)")
_END_OF_NAME = r"(?=[\t\n\f\r />])"
_GAP = re.compile(r"[\t\n\f\r /]*")
_ATTRIBUTE = re.compile(
    r"""
    ([^\t\n\f\r />][^\t\n\f\r />=]*)
    (?:[\t\n\f\r ]*=[\t\n\f\r ]*(?:"([^"]*)"|'([^']*)'|(?!["'])([^\t\n\f\r >]*)))?
    """,
    re.VERBOSE,
)
_LEFT_OPEN = re.compile(r"""[\t\n\f\r ]*=[\t\n\f\r ]*(?:["']|$)""")


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a tag.

    Args:
        name: folded.
        start: of the name, in the text.
        value: as written, folded, with its entities.
        value_start: of the value, after its quote.
    """

    name: str
    start: int
    value: str
    value_start: int

    @property
    def value_end(self) -> int:
        """Where the value ends, before its quote."""
        return self.value_start + len(self.value)


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag that opens an element.

    Args:
        name: folded.
        start: of its ``<``.
        end: after its ``>``; ``-1`` while that has not come.
        attributes: in their order.
    """

    name: str
    start: int
    end: int
    attributes: tuple[Attribute, ...]

    @property
    def local_name(self) -> str:
        """The name without the prefix of an XML namespace."""
        return self.name.rpartition(":")[2]

    def value_of(self, name: str) -> str:
        """Return the value of the first attribute of this name, or ``""``."""
        found = (each.value for each in self.attributes if each.name == name)
        return next(found, "")


def tags_of(
    text: str, names: Iterable[str] = (), *, start: int = 0, again: Iterable[int] = ()
) -> Iterator[Tag]:
    """Yield every tag of a folded text.

    Args:
        text: folded.
        names: of the elements that are asked for; without, of all.
        start: from where on they are asked for.
        again: where others begin that are asked for, too.

    Each place where an attribute may begin is read once, however many tags claim it:
    a thousand tags within one another would else be read a million times (CWE-407).
    """
    reader = _Reader(text)
    for place in again:
        begun = _NAME.match(text, place)
        if begun is not None and place not in reader.read:
            yield reader.tag_at(begun)
    for match in _of(tuple(names)).finditer(text, start):
        if match.start() not in reader.read:
            yield reader.tag_at(match)


@cache
def _of(names: tuple[str, ...]) -> re.Pattern[str]:
    if not names:
        return _NAME
    return re.compile(f"<({'|'.join(names)}){_END_OF_NAME}")


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self.read: set[int] = set()
        self._bracket = (0, -1)  # from where one was looked for, and where it is

    def tag_at(self, match: re.Match[str]) -> Tag:
        text, name, place = self._text, match[1], match.end()
        attributes: list[Attribute] = []
        while True:
            place = _end_of_gap(text, place)
            if place >= len(text):
                return Tag(name, match.start(), -1, tuple(attributes))
            if text[place] == ">":
                return Tag(name, match.start(), place + 1, tuple(attributes))
            if place in self.read:  # by another tag, whose attributes these are, too
                return Tag(name, match.start(), self._end(place), tuple(attributes))
            self.read.add(place)
            found = _ATTRIBUTE.match(text, place)
            if found is None or (
                found.lastindex == 1 and _LEFT_OPEN.match(text, found.end())
            ):
                return Tag(name, match.start(), -1, tuple(attributes))
            attributes.append(_attribute(found))
            place = found.end()

    def _end(self, place: int) -> int:
        """Return where a tag ends of which the attributes have been read already."""
        begun, bracket = self._bracket
        if not begun <= place <= bracket:
            found = self._text.find(">", place)
            bracket = found if found >= 0 else len(self._text)
            self._bracket = place, bracket
        return bracket + 1 if bracket < len(self._text) else -1


def _attribute(found: re.Match[str]) -> Attribute:
    group = found.lastindex or 1
    if group == 1:
        return Attribute(found[1], found.start(), "", found.end())
    return Attribute(found[1], found.start(), found[group], found.start(group))


def _end_of_gap(text: str, place: int) -> int:
    match = _GAP.match(text, place)
    return place if match is None else match.end()
