"""Whether a value within a script stays within the literal that it was put into."""

from __future__ import annotations

import re
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
_SHORTEST = 3
_BEFORE_SLOT = frozenset("=([{,:;+-*/%&|?!<>\"'`")
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
    spans: list[tuple[int, int, str]] | None = None
    for value in values:
        start = code.find(value)
        while start >= 0:
            if spans is None:
                spans = list(_literals(code))
            if _is_code(code, spans, start, start + len(value)):
                return value
            start = code.find(value, start + 1)
    return None


def _is_code(
    code: str, spans: list[tuple[int, int, str]], start: int, end: int
) -> bool:
    for begins, ends, kind in spans:
        if begins < start < ends:
            if kind == _TEMPLATE and "${" in code[start:end]:
                return True
            return ends < end
        if begins >= end:
            break
        if begins == start and end <= ends:
            return False  # a whole literal, or the beginning of one
    return _stands_alone(code, start, end)


def _stands_alone(code: str, start: int, end: int) -> bool:
    """Return whether a value fills a gap between operators, as one that a template has
    put there does: the application's own code may contain the same words."""
    before = code[:start].rstrip()[-1:]
    after = code[end:].lstrip(" \t")[:1]
    return (not before or before in _BEFORE_SLOT or _is_word(code[:start])) and (
        not after or after in _AFTER_SLOT or after in "\r\n"
    )


def _is_word(before: str) -> bool:
    return before.rstrip().endswith("return")


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
