"""What sqlglot says about the literals of a statement: the second of two readers.

An attacker wins where the guard reads a quote differently from the engine. Two readers
written by different people seldom make the same mistake, so that they must agree on
every text in which an input stands.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from threading import Lock
from typing import Any

from ringfence.interpreters.sql.lexer import Tokens

_MOST_REMEMBERED = 1_048_576  # characters of statements
_QUOTES = frozenset("'\"`]$")

_PLAIN_LITERAL = re.compile(r"(?<!\w)'[A-Za-z0-9 ]+'")
_FILLED = "'x'"
_INTRICATE = re.compile(r"[\\$#{@&]|--|/[*/]|[^\x00-\x7f]")

Ends = frozenset[int]


@lru_cache(maxsize=8)
def open_tokenizer(dialect: str) -> tuple[Callable[[str], list[Any]], type[Exception]]:
    """Return sqlglot's tokenizer of a dialect, and what it raises.

    Imported late: it takes 0.3 s, and most applications bind their values.
    """
    from sqlglot import Dialect  # noqa: PLC0415 - see above
    from sqlglot.errors import SqlglotError  # noqa: PLC0415 - see above

    return Dialect.get_or_raise(dialect).tokenize, SqlglotError


class SecondOpinion:
    """Asks sqlglot, and remembers what it said, bounded by the length of the texts."""

    def __init__(self) -> None:
        self._said: OrderedDict[tuple[str, str], Ends | None] = OrderedDict()
        self._size = 0
        self._lock = Lock()

    def agrees(self, tokens: Tokens, dialect: str) -> bool:
        """Return whether sqlglot finds literals and quoted names to end where they do
        in ``tokens``."""
        text, ends = _outline(tokens)
        return self._ask(text, dialect) == ends

    def _ask(self, text: str, dialect: str) -> Ends | None:
        key = (dialect, text)
        with self._lock:
            if key in self._said:
                self._said.move_to_end(key)
                return self._said[key]
        said = _ends(text, dialect)
        with self._lock:
            if key not in self._said:
                self._said[key] = said
                self._size += len(text)
            while self._size > _MOST_REMEMBERED:
                (_, oldest), _ = self._said.popitem(last=False)
                self._size -= len(oldest)
        return said


def _quoted(tokens: Tokens) -> Ends:
    return frozenset(
        token.end for token in tokens.all if token.kind in {"string", "quoted"}
    )


def _outline(tokens: Tokens) -> tuple[str, Ends]:
    """Return a statement with its plain values taken out, and where literals and
    quoted names end in it.

    A reader goes from left to right, and within a literal it looks for nothing but its
    end and for escapes: with which letters, digits and spaces one is filled, and which
    digits a number has, makes no difference to where literals end. So statements that
    differ in these alone are asked about once, unless something in them may be read as
    a whole (a comment, a literal between dollars) by one reader only.
    """
    text, place = tokens.text, 0
    if _INTRICATE.search(text) is not None:
        return text, _quoted(tokens)
    pieces: list[str] = []
    ends: list[int] = []
    gained = 0  # characters that the outline has more than the text
    for kind, start, end in tokens.all:
        if kind == "string":
            if _PLAIN_LITERAL.fullmatch(text, start, end) is not None:
                pieces += text[place:start], _FILLED
                gained += len(_FILLED) - (end - start)
                place = end
            ends.append(end + gained)
        elif kind == "quoted":
            ends.append(end + gained)
        elif kind == "number" and text[start:end].isdecimal():
            pieces += text[place:start], "1"
            gained += 1 - (end - start)
            place = end
    pieces.append(text[place:])
    return "".join(pieces), frozenset(ends)


def _ends(text: str, dialect: str) -> Ends | None:
    """Return where quoted tokens end, or ``None`` for what cannot be read."""
    tokenize, cannot = open_tokenizer(dialect)
    try:
        tokens = tokenize(text)
    except cannot:
        return None
    return frozenset(
        token.end + 1
        for token in tokens
        if text[token.end] in _QUOTES and token.end > token.start
    )


SECOND = SecondOpinion()
