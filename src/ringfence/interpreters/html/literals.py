"""Whether a value within a script stays within the literal that it was put into."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator

_TOKEN = re.compile(
    r"""
    (?P<comment> //[^\n\r\u2028\u2029]* | /\*.*?(?:\*/|\Z) | <!--[^\n\r]* )
    | (?P<string> "(?:[^"\\\n\r]|\\.)*(?:"|\\?\Z|(?=[\n\r]))
                | '(?:[^'\\\n\r]|\\.)*(?:'|\\?\Z|(?=[\n\r])) )
    | (?P<template> `(?:[^`\\]|\\.)*(?:`|\\?\Z) )
    | (?P<slash> / )
    | (?P<word> [\w$]+ )
    | (?P<mark> [^\s] )
    """,
    re.DOTALL | re.VERBOSE,
)
_REGEX = re.compile(r"/(?:[^/\\\[\n\r]|\\.|\[(?:[^\]\\\n\r]|\\.)*\])+/")
# After these a slash begins a regular expression; after a value it divides.
_BEFORE_REGEX = frozenset("([{=,;:!&|?+-*%~^<>")
_WORDS_BEFORE_REGEX = frozenset({"return", "typeof", "case", "in", "of", "void"})

# Nothing is carried out without a call, an assignment or a template.
_CAPABLE = re.compile(r"[(`=]|instanceof")
_SHORTEST = 5
_BEGINNING = 12  # characters by which values are looked for
_FEW = 64  # values that are looked for one by one
_MOST_COMPARED = 100_000
_MOST_FAILED = 200
# The same outside a literal, where honest text may stand by accident: x = 1.
_ACTIVE = re.compile(
    r"[(`]|instanceof|(?:location|document|window|self|top|parent|on[a-z]+|html|href|src)\b.*=",
    re.DOTALL,
)
_NEAR = 64  # characters around a value
# Not after a semicolon or a brace: there statements stand, and those are a page's own.
_BEFORE_SLOT = frozenset("=([,:+-*/%&|?!<>\"'`")
_AFTER_SLOT = frozenset("=)]},:;+-*/%&|?<>\"'`")

_TEMPLATE = "template"
_COMMENT = "comment"


def is_capable(value: str) -> bool:
    """Return whether a value could do anything within a script."""
    return len(value) >= _SHORTEST and _CAPABLE.search(value) is not None


def by_beginning(values: Iterable[str]) -> dict[str, list[str]]:
    """Return values by how they begin, which is what they are looked for by."""
    grouped: dict[str, list[str]] = {}
    for value in values:
        grouped.setdefault(value[:_BEGINNING], []).append(value)
    return grouped


def breaking_out(code: str, values: dict[str, list[str]]) -> str | None:
    """Return the value that is more than one literal of a script, if one is; also one
    of which the end was cut off.

    Args:
        code: a script, folded.
        values: folded, of ``by_beginning``; those that ``is_capable`` lets through.

    Raises:
        ValueError: it cannot be found out in a bounded time (CWE-407).

    Source: ASVS 5.0 V1.2.3; CWE-79, CWE-94.
    """
    script: _Script | None = None
    compared = 0
    for beginning in _that_occur(code, values):
        start = code.find(beginning)
        while start >= 0:
            script = script or _Script(code)
            for value in values[beginning]:
                if script.is_code(start, value):
                    return value
            compared += len(values[beginning])
            if compared > _MOST_COMPARED:
                message = "too many values are like its script"
                raise ValueError(message)
            start = code.find(beginning, start + 1)
    return None


def _that_occur(code: str, beginnings: Collection[str]) -> Iterable[str]:
    if len(beginnings) <= _FEW:
        return beginnings
    known = {
        code[at : at + length]
        for length in range(_SHORTEST, _BEGINNING + 1)
        for at in range(len(code) - length + 1)
    }
    return [beginning for beginning in beginnings if beginning in known]


class _Script:
    """A script of which the literals are known."""

    def __init__(self, code: str) -> None:
        self._code = code
        self._literals = list(_literals(code))
        self._starts = [begins for begins, _, _ in self._literals]

    def is_code(self, start: int, value: str) -> bool:
        """Return whether a value, of which the beginning stands there, is carried out:
        it has left the literal in which it begins, or is in none."""
        alike = self._alike(start, value)
        is_whole, end = alike == len(value), start + alike
        place = bisect_right(self._starts, start) - 1
        if place >= 0:
            begins, ends, kind = self._literals[place]
            if begins == start and end <= ends:  # a whole literal, or its beginning
                return kind == _TEMPLATE and "${" in self._code[start:end]
            if begins < start < ends:
                if kind == _TEMPLATE and "${" in self._code[start:end]:
                    return True
                if is_whole:
                    return ends < end
                return _CAPABLE.search(self._code, ends, end) is not None
        if not is_whole:
            return False
        is_active = _ACTIVE.search(self._code, start, end) is not None
        return is_active and self._is_alone(start, end)

    def _alike(self, start: int, value: str) -> int:
        """Return how many characters of a value stand at a place."""
        low, high = 0, len(value)
        while low < high:
            middle = (low + high + 1) // 2
            if self._code.startswith(value[:middle], start):
                low = middle
            else:
                high = middle - 1
        return low

    def _is_alone(self, start: int, end: int) -> bool:
        """Return whether a value fills a gap between operators, as one that a template
        has put there does: the application's own code may contain the same words."""
        before = self._code[max(start - _NEAR, 0) : start].rstrip()
        after = self._code[end : end + _NEAR].lstrip(" \t")[:1]
        is_begun = not before or before[-1] in _BEFORE_SLOT or before.endswith("return")
        return is_begun and (not after or after in _AFTER_SLOT or after in "\r\n")


def _literals(code: str) -> Iterator[tuple[int, int, str]]:
    """Yield where comments, strings, templates and regular expressions stand."""
    place, before, failed = 0, "", 0
    while (match := _TOKEN.search(code, place)) is not None:
        kind = match.lastgroup or ""
        place = match.end()
        if kind == "slash":
            if _may_be_regex(before):
                regex = _REGEX.match(code, match.start())
                if regex is not None:
                    yield match.start(), regex.end(), kind
                    place = regex.end()
                elif (failed := failed + 1) > _MOST_FAILED:
                    message = "its script has too many slashes"
                    raise ValueError(message)  # each is followed to its line's end
        elif kind not in {"word", "mark"}:
            yield match.start(), place, kind
        if kind != _COMMENT:
            before = match[0]


def _may_be_regex(before: str) -> bool:
    return not before or before in _BEFORE_REGEX or before in _WORDS_BEFORE_REGEX
