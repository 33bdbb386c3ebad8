"""How an engine cuts a statement into tokens: where a literal begins and ends.

sqlglot reads a dialect, and what an engine reads is not always the same. What stands
here follows the engines; ``second_opinion`` asks sqlglot, and both have to agree.
"""

from __future__ import annotations

import re
import string
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

Kind = Literal[
    "string",
    "quoted",
    "number",
    "placeholder",
    "word",
    "line_comment",
    "comment",
    "live_comment",
    "mark",
    "unfinished",
]

_SPACE = r"[ \t\n\r\f\v]"
_LETTERS = f"{string.ascii_letters}_"
_WITHIN = f"{string.digits}$"


def _letters(more: str = "") -> str:
    """Return a class of letters and of ``more``. Every engine takes whatever is beyond
    ASCII for a letter: said by what is none, which compiles in no time."""
    others = sorted({chr(code) for code in range(128)} - set(_LETTERS + more))
    return f"[^{re.escape(''.join(others))}]"


_LETTER, _ALNUM, _INNER = _letters(), _letters(string.digits), _letters(_WITHIN)
_ALONE = f"(?<!{_letters(':' + _WITHIN)})"
_WORD = rf"{_LETTER}{_INNER}*"
_NUMBER = (
    r"(?:0[xX][0-9a-fA-F_]+|0[bBoO][0-7_]+"
    r"|(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9]+)?)"
    rf"(?!{_ALNUM})"
)
_PYFORMAT = r"%\([^()]*\)s|%s"
_MARKS = r"->>|->|\|\||<<|>>|<=>|<=|<>|>=|==|!=|::|:=|."
_PLAIN = "'[^']*(?:''[^']*)*'"
_ESCAPED = r"'[^'\\]*(?:(?:''|\\.)[^'\\]*)*'"
_DOUBLE = '"[^"]*(?:""[^"]*)*"'
_DOUBLE_ESCAPED = r'"[^"\\]*(?:(?:""|\\.)[^"\\]*)*"'
_BACKTICK = "`[^`]*(?:``[^`]*)*`"


def _pattern(**groups: str) -> re.Pattern[str]:
    # Alternatives are tried one after the other: most tokens are found by the first
    # few, which read only what no other alternative could read otherwise (a word that
    # may be the prefix of a literal is left to these). White space behind a token is
    # passed over with it.
    groups = {
        "plain": rf"{_LETTER}{_INNER}*+(?!['\"&])",
        "sign": "[,;()]",
        "digits": f"[0-9]++(?!{_letters('.')})",
        "space": f"{_SPACE}+",
        **groups,
    }
    named = "|".join(f"(?P<{name}>{pattern})" for name, pattern in groups.items())
    return re.compile(f"(?:{named}){_SPACE}*", re.DOTALL)


def _sqlite() -> re.Pattern[str]:
    return _pattern(
        line_comment=r"--[^\n]*",
        comment=r"/\*.*?(?:\*/|\Z)",  # SQLite ends an open comment with the text
        string=f"[xX]?{_PLAIN}",
        quoted=rf"{_DOUBLE}|{_BACKTICK}|\[[^\]]*\]",
        number=_NUMBER,
        placeholder=rf"\?[0-9]*|{_ALONE}[:@$]{_INNER}+",
        word=_WORD,
        unfinished="['\"`\\[].*",
        mark=_MARKS,
    )


def _postgres() -> re.Pattern[str]:
    return _pattern(
        line_comment=r"--[^\n\r]*",
        comment=r"/\*",  # they nest: see ``_nested``
        string=rf"[eE]{_ESCAPED}|(?:[nNbBxX]|[uU]&)?{_PLAIN}"
        rf"|\$(?P<tag>(?:{_LETTER}{_ALNUM}*)?)\$.*?\$(?P=tag)\$",
        quoted=f"(?:[uU]&)?{_DOUBLE}",
        placeholder=rf"\$[0-9]+|{_PYFORMAT}|{_ALONE}:{_ALNUM}+",
        number=_NUMBER,
        unfinished="['\"].*|[eE]'.*|/\\*.*"
        rf"|\$(?:{_LETTER}{_ALNUM}*)?\$.*",
        word=_WORD,
        mark=_MARKS,
    )


def _mysql(*, backslash: bool) -> re.Pattern[str]:
    single = _ESCAPED if backslash else _PLAIN
    double = _DOUBLE_ESCAPED if backslash else _DOUBLE
    return _pattern(
        live_comment=r"/\*(?:!|M!|\+).*?\*/",  # the engine carries out what is in it
        line_comment=r"(?:\#|--(?=[\x00-\x20]|\Z))[^\n]*",
        comment=r"/\*.*?\*/",
        string=rf"(?:[nNxXbB])?(?:{single}|{double})",
        quoted=_BACKTICK,
        placeholder=rf"\?|{_PYFORMAT}",
        number=_NUMBER,
        unfinished=r"['\"`].*|/\*.*",
        word=rf"{_WORD}|@@?{_letters('.' + _WITHIN)}*",
        mark=_MARKS,
    )


_PATTERNS = {
    ("sqlite", False): _sqlite(),
    ("postgres", False): _postgres(),
    ("mysql", True): _mysql(backslash=True),
    ("mysql", False): _mysql(backslash=False),
}
USUAL = {"sqlite": False, "postgres": False, "mysql": True}
"""Whether a back-slash escapes in a plain literal, as the engine is delivered."""


class Token(NamedTuple):
    """A token, from ``start`` up to ``end``; white space is none."""

    kind: Kind
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Tokens:
    """A statement as one engine, in one of its modes, reads it.

    Args:
        text: the statement.
        all: its tokens, in order.
        ends: where each ends.
    """

    text: str
    all: tuple[Token, ...]
    ends: tuple[int, ...]

    def touched(self, start: int, end: int) -> tuple[int, int]:
        """Return which tokens, from first up to last, stand between two places."""
        first = bisect_left(self.ends, start + 1)
        last = first
        while last < len(self.all) and self.all[last].start < end:
            last += 1
        return first, last

    def of(self, token: Token) -> str:
        """Return what is written there."""
        return self.text[token.start : token.end]


def read(text: str, dialect: str, *, backslash: bool) -> Tokens:
    """Cut a statement into tokens.

    Args:
        text: of any length; the time it takes grows with it.
        dialect: ``sqlite``, ``postgres`` or ``mysql``.
        backslash: whether one escapes what follows within a plain literal.

    Source: SQLite's "tokenize.c" grammar as documented in "SQL As Understood By
        SQLite"; PostgreSQL manual 4.1; MySQL manual 11.1 and 11.7.
    """
    pattern = _PATTERNS.get((dialect, backslash)) or _PATTERNS[dialect, USUAL[dialect]]
    tokens = tuple(_tokens(pattern, text, nested=dialect == "postgres"))
    return Tokens(text, tokens, tuple([end for _, _, end in tokens]))


# A third of the time: it skips the function that every named tuple has to make one.
_token: Callable[[tuple[Kind, int, int]], Token] = partial(tuple.__new__, Token)
_MEANING: dict[str, Kind] = {
    "plain": "word",
    "sign": "mark",
    "digits": "number",
    "tag": "string",  # of two groups the inner closes last
}


def _tokens(pattern: re.Pattern[str], text: str, *, nested: bool) -> Iterator[Token]:
    place = 0
    while place < len(text):
        for match in pattern.finditer(text, place):
            group: Any = match.lastgroup
            kind: Any = _MEANING.get(group, group)
            start, place = match.span(kind if group == "tag" else group)
            if nested and kind == "comment":
                place = _nested(text, start)
                kind = "comment" if place else "unfinished"
                place = place or len(text)
                yield _token((kind, start, place))
                break
            if kind != "space":
                yield _token((kind, start, place))
        else:
            return


_DELIMITER = re.compile(r"/\*|\*/")


def _nested(text: str, start: int) -> int:
    """Return where a comment that may hold others ends, or 0."""
    depth = 0
    for match in _DELIMITER.finditer(text, start):
        depth += 1 if match[0] == "/*" else -1
        if depth == 0:
            return match.end()
    return 0
