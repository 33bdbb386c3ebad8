"""Whether a value within a script stays within the literal that it was put into."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator

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
_CAPABLE = re.compile(r"[(`=]")
_SHORTEST = 5
# The same outside a literal, where honest text may stand by accident: x = 1.
_ACTIVE = re.compile(
    r"[(`]|(?:location|document|window|self|top|parent|on[a-z]+|html|href|src)\b.*=",
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


def breaking_out(code: str, values: Iterable[str]) -> str | None:
    """Return the value that is more than one literal of a script, if one is.

    Args:
        code: a script, folded.
        values: folded; those that ``is_capable`` lets through.

    Source: ASVS 5.0 V1.2.3; CWE-79, CWE-94.
    """
    script: _Script | None = None
    for value in values:
        start = code.find(value)
        while start >= 0:
            script = script or _Script(code)
            if script.is_code(start, start + len(value)):
                return value
            start = code.find(value, start + 1)
    return None


class _Script:
    """A script of which the literals are known."""

    def __init__(self, code: str) -> None:
        self._code = code
        self._literals = list(_literals(code))
        self._starts = [begins for begins, _, _ in self._literals]

    def is_code(self, start: int, end: int) -> bool:
        """Return whether what stands there is carried out: it has left the literal in
        which it begins, or is in none."""
        place = bisect_right(self._starts, start) - 1
        if place >= 0:
            begins, ends, kind = self._literals[place]
            if begins == start and end <= ends:
                return False  # a whole literal, or the beginning of one
            if begins < start < ends:
                inside = self._code[start:end]
                return ends < end or (kind == _TEMPLATE and "${" in inside)
        is_active = _ACTIVE.search(self._code, start, end) is not None
        return is_active and self._is_alone(start, end)

    def _is_alone(self, start: int, end: int) -> bool:
        """Return whether a value fills a gap between operators, as one that a template
        has put there does: the application's own code may contain the same words."""
        before = self._code[max(start - _NEAR, 0) : start].rstrip()
        after = self._code[end : end + _NEAR].lstrip(" \t")[:1]
        is_begun = not before or before[-1] in _BEFORE_SLOT or before.endswith("return")
        return is_begun and (not after or after in _AFTER_SLOT or after in "\r\n")


def _literals(code: str) -> Iterator[tuple[int, int, str]]:
    """Yield where comments, strings, templates and regular expressions stand."""
    place, before = 0, ""
    while (match := _TOKEN.search(code, place)) is not None:
        kind = match.lastgroup or ""
        place = match.end()
        if kind == "slash":
            regex = _REGEX.match(code, match.start())
            if regex is not None and _may_be_regex(before):
                yield match.start(), regex.end(), kind
                place = regex.end()
        elif kind not in {"word", "mark"}:
            yield match.start(), place, kind
        if kind != _COMMENT:
            before = match[0]


def _may_be_regex(before: str) -> bool:
    return not before or before in _BEFORE_REGEX or before in _WORDS_BEFORE_REGEX
