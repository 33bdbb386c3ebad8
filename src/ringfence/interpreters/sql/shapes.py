"""The shape of a statement: what is left when its values are taken out."""

from __future__ import annotations

import re

from ringfence.interpreters.sql.lexer import USUAL, Token, Tokens, read

_VALUES = frozenset({"string", "number", "placeholder"})
_COMMENTS = frozenset({"comment", "line_comment"})
_OPERAND = re.compile(r"[\w)\]\"`?]")
_MANY = re.compile(r"\?(?:, \?)+")
_MANY_ROWS = re.compile(r"(\([^()]*\))(?:, \1)+")
_BEFORE_A_VALUE = frozenset(
    ["limit", "offset", "between", "and", "or", "then", "else", "when", "where"]
)


def shape_of(text: str, dialect: str) -> str:
    """Return the shape of a statement.

    Literals, numbers and placeholders become ``?``, several of them in a list one,
    comments go, and so do differences in spaces and in the case of words. All else
    stays, and in its order: two statements of one shape differ in their values only.

    Args:
        text: the statement.
        dialect: ``sqlite``, ``postgres`` or ``mysql``.
    """
    tokens = read(text, dialect, backslash=USUAL[dialect])
    words: list[str] = []
    for place, token in enumerate(tokens.all):
        if token.kind in _COMMENTS or _is_sign(tokens, place):
            continue
        words.append(_written(tokens, token))
    joined = _join(words)
    joined = _MANY.sub("?", joined)
    return _MANY_ROWS.sub(r"\1", joined)


def _written(tokens: Tokens, token: Token) -> str:
    if token.kind in _VALUES:
        return "?"
    if token.kind == "word":
        return tokens.of(token).lower()
    return tokens.of(token)


def _is_sign(tokens: Tokens, place: int) -> bool:
    """Return whether a token is the sign of the number that follows it."""
    token = tokens.all[place]
    if tokens.of(token) not in {"-", "+"} or place + 1 == len(tokens.all):
        return False
    following = tokens.all[place + 1]
    if following.kind != "number" or following.start != token.end or place == 0:
        return False
    before = tokens.of(tokens.all[place - 1])
    return before.lower() in _BEFORE_A_VALUE or _OPERAND.match(before[-1]) is None


def _join(words: list[str]) -> str:
    """Put a space between words, and none where nobody writes one."""
    joined = ""
    for word in words:
        glued = (
            not joined or word in {",", ")", ";", "."} or joined.endswith(("(", "."))
        )
        joined += word if glued else f" {word}"
    return joined
