"""What sqlglot says about the literals of a statement: the second of two readers.

An attacker wins where the guard reads a quote differently from the engine. Two readers
written by different people seldom make the same mistake, so that they must agree on
every text in which an input stands.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from threading import Lock
from typing import Any

from ringfence.interpreters.sql.lexer import Tokens

_MOST_REMEMBERED = 1_048_576  # characters of statements
_QUOTES = frozenset("'\"`]$")

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
        said = self._ask(tokens.text, dialect)
        return said == frozenset(
            token.end for token in tokens.all if token.kind in {"string", "quoted"}
        )

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
