"""Comparisons that stand in a statement beyond doubt: nothing to their left or right
could take part in them, whatever an engine thinks of precedence.

A second opinion, from the tokens: ``owner = ? IS NOT NULL`` and
``x BETWEEN 1 AND owner = ?`` are none, however a parser reads them.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from ringfence.access.statements.lexer import Token

_BEFORE = frozenset({"WHERE", "ON", "AND", "OR", "("})
_AFTER = frozenset(
    {
        *("", "AND", "OR", ")", ",", "WHERE", "GROUP", "ORDER", "HAVING", "LIMIT"),
        *("OFFSET", "FETCH", "FOR", "RETURNING", "UNION", "INTERSECT", "EXCEPT", "ON"),
        *("JOIN", "LEFT", "RIGHT", "FULL", "INNER", "CROSS", "NATURAL", "WINDOW"),
    }
)
# Casts that leave an id as it is: VARCHAR(2) would make `u1` of `u10`.
_KINDS = frozenset(
    {"VARCHAR", "TEXT", "INTEGER", "INT", "BIGINT", "SMALLINT", "UUID", "BOOLEAN"}
)
_SAME = frozenset(
    {
        exp.DataType.Type.VARCHAR,
        exp.DataType.Type.TEXT,
        exp.DataType.Type.INT,
        exp.DataType.Type.BIGINT,
        exp.DataType.Type.SMALLINT,
        exp.DataType.Type.UUID,
        exp.DataType.Type.BOOLEAN,
    }
)
# Of a column, these make several values the same: '07' and '7', 1 and 2.
_MERGING = frozenset(
    {
        exp.DataType.Type.INT,
        exp.DataType.Type.BIGINT,
        exp.DataType.Type.SMALLINT,
        exp.DataType.Type.BOOLEAN,
    }
)
# SQLite makes 12 of '12abc', where PostgreSQL refuses.
_SAME_IN_SQLITE = frozenset({exp.DataType.Type.VARCHAR, exp.DataType.Type.TEXT})


def tight(tokens: Sequence[Token]) -> frozenset[str]:
    """Return the comparisons with ``=`` and ``IN`` that stand alone, each as a text."""
    found = set()
    for place, token in enumerate(tokens):
        if token.text in ("=", "=="):
            start, left = _leftwards(tokens, place)
            end, right = _rightwards(tokens, place + 1)
        elif token.kind == "word" and token.text.upper() == "IN":
            start, left = _leftwards(tokens, place)
            end, right = _listed(tokens, place + 1)
        else:
            continue
        alone = _word(tokens, start) in _BEFORE and _word(tokens, end) in _AFTER
        if left and right and alone:
            found.add(f"{left}={right}")
    return frozenset(found)


def comparison(left: exp.Expr, right: exp.Expr) -> str:
    """Return the text of a comparison as ``tight`` would have it; of parameters and
    columns alone."""
    return f"{_text(left)}={_text(right)}"


def _text(node: exp.Expr) -> str:
    node = node.unnest()
    while isinstance(node, exp.Cast):
        node = node.this
    match node:
        case exp.Placeholder():
            return f":{node.this}"
        case exp.Column():
            return ".".join(str(part.this) for part in node.parts)
        case exp.Literal():
            return f"'{node.this}'" if node.is_string else str(node.this)
        case exp.Boolean():
            return str(node.this).upper()
        case exp.Null():
            return "NULL"
        case _:
            return ""


def unwrapped(node: exp.Expr, dialect: str) -> exp.Expr:
    """Return what a cast that changes nothing stands around; the node for others."""
    node = node.unnest()
    same = _SAME_IN_SQLITE if dialect == "sqlite" else _SAME
    while isinstance(node, exp.Cast) and not isinstance(node, exp.TryCast):
        to = node.args["to"]
        others = [name for name, value in node.args.items() if value]
        if not isinstance(to, exp.DataType) or to.this not in same:
            break
        if to.expressions or set(others) - {"this", "to"}:
            break
        inner = node.this.unnest()
        if to.this in _MERGING and not isinstance(inner, exp.Placeholder):
            break
        node = inner
    return node


def _word(tokens: Sequence[Token], place: int) -> str:
    if not 0 <= place < len(tokens):
        return ""
    token = tokens[place]
    return token.text.upper() if token.kind in ("word", "mark") else "?"


def _operand(token: Token) -> str:
    match token.kind:
        case "param" | "number" | "string":
            return token.text
        case "quoted":
            return token.value
        case "word":
            upper = token.text.upper()
            return upper if upper in ("TRUE", "FALSE", "NULL") else token.text
        case _:
            return ""


def _leftwards(tokens: Sequence[Token], place: int) -> tuple[int, str]:
    """Return the place before the operand that ends before ``place``, and its text."""
    at = place - 1
    if at >= 1 and tokens[at].kind == "word" and tokens[at - 1].text == "::":
        at -= 2
    if at < 0 or not _operand(tokens[at]):
        return at, ""
    parts = [_operand(tokens[at])]
    at -= 1
    while at >= 1 and tokens[at].text == "." and _operand(tokens[at - 1]):
        parts.insert(0, _operand(tokens[at - 1]))
        at -= 2
    return at, ".".join(parts)


def _rightwards(tokens: Sequence[Token], place: int) -> tuple[int, str]:
    """Return the place after the operand that begins at ``place``, and its text."""
    at, end = place, len(tokens)
    if at >= end:
        return at, ""
    if _word(tokens, at) == "CAST" and at + 5 < end:
        inner, kind = _operand(tokens[at + 2]), _word(tokens, at + 4)
        closed = tokens[at + 5].text == ")" and _word(tokens, at + 3) == "AS"
        return at + 6, inner if closed and kind in _KINDS else ""
    if not _operand(tokens[at]):
        return at, ""
    parts = [_operand(tokens[at])]
    at += 1
    while at + 1 < end and tokens[at].text == "." and _operand(tokens[at + 1]):
        parts.append(_operand(tokens[at + 1]))
        at += 2
    while at + 1 < end and tokens[at].text == "::" and _word(tokens, at + 1) in _KINDS:
        at += 2
    return at, ".".join(parts)


def _listed(tokens: Sequence[Token], place: int) -> tuple[int, str]:
    """Return the place after a list, and the text of its first value."""
    at, end = place + 1, len(tokens)
    if _word(tokens, place) != "(":
        return place, ""
    first = ""
    while at < end:
        at, text = _rightwards(tokens, at)
        first = first or text
        if not text or _word(tokens, at) not in (",", ")"):
            return at, ""
        if _word(tokens, at) == ")":
            return at + 1, first
        at += 1
    return at, ""
