"""Names and orders that a request may choose: out of an allow-list."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from ringfence.interpreters.objection import object_to
from ringfence.interpreters.sink import Sink
from ringfence.interpreters.sql.approved import APPROVED
from ringfence.interpreters.sql.constants import WORD

SINK = Sink("sql", "names")

Allowed = Mapping[str, str] | Collection[str]
"""Names, or what may be asked for with what is written for it."""

_NAME = re.compile(r"[^\W\d][\w$]*(?:\.[^\W\d][\w$]*){0,2}")
_DIRECTIONS = {"asc": "ASC", "desc": "DESC"}
_MOST_COLUMNS = 16


class Identifier(str):
    """A piece of a statement that an allow-list has chosen. It is a ``str``, to be put
    into a statement as it is; ``sql.query`` knows it from a value."""

    __slots__ = ()


def identifier(name: str, *, allowed: Allowed) -> Identifier:
    """Return a name that may stand in a statement: of a column, a table.

    Names cannot be bound, so that an allow-list is the only way.

    Args:
        name: as it was asked for.
        allowed: plain names; or a mapping of what may be asked for to what is written
            for it, where that differs or needs quotes: ``{"newest": "created_at",
            "order": '"order"'}``.

    Raises:
        InjectionRefusedError: it is not allowed; the guard answers with 400.
        ValueError: an allowed name is not plain: give a mapping.
        TypeError: ``allowed`` is one text, or the name is none.

    Source: OWASP SQL Injection Prevention Cheat Sheet, defence option 3; CWE-89.

    Not covered: whether this visitor may see what the name leads to.
    """
    written = _written(name, allowed)
    if written is None:
        object_to(SINK, "a name that is not in the allow-list")
    return _approve(written)


def order_by(text: str, *, allowed: Allowed, default: str = "") -> Identifier:
    """Return what may stand after ``ORDER BY``.

    Args:
        text: columns as they were asked for, with commas between: ``name``, ``-price``
            or ``price desc`` for the other direction; at most 16.
        allowed: as for ``identifier``.
        default: what is written where nothing was asked for.

    Raises:
        InjectionRefusedError: a column that is not allowed, or nothing was asked for
            and there is no default; the guard answers with 400.
        ValueError: an allowed name is not plain: give a mapping.
        TypeError: ``allowed`` is one text.

    Source: as for ``identifier``; CVE-2021-35042.
    """
    if not text.strip():
        if not default:
            object_to(SINK, "an order by nothing")
        return _approve(default)
    columns = text.split(",")
    if len(columns) > _MOST_COLUMNS:
        object_to(SINK, "an order by too many columns")
    return _approve(", ".join(_column(column, allowed) for column in columns))


def _column(asked: str, allowed: Allowed) -> str:
    name, _, direction = asked.strip().partition(" ")
    if name.startswith("-") and not direction:
        name, direction = name[1:], "desc"
    written = _written(name, allowed)
    way = _DIRECTIONS.get(direction.strip().lower() or "asc")
    if written is None or way is None:
        object_to(SINK, "an order that is not in the allow-list")
    return f"{written} {way}"


def _written(name: str, allowed: Allowed) -> str | None:
    """Return what is written for a name; ``None`` if it is not allowed."""
    if isinstance(allowed, (str, bytes)):
        raise TypeError("allowed is one text; write allowed={'name', 'price'}")
    if not isinstance(name, str):
        kind = type(name).__name__
        raise TypeError(f"a name is a text, and not {kind}; values are bound instead")
    if isinstance(allowed, Mapping):
        return allowed.get(name)
    for one in allowed:
        if _NAME.fullmatch(one) is None:
            raise ValueError(
                f"{one!r} is no plain name; say what is written for it:"
                " allowed={'asked for': 'written'}"
            )
    return name if name in allowed else None


def _approve(written: str) -> Identifier:
    for word in (written, *WORD.findall(written)):
        APPROVED.let_through(word)
    return Identifier(written)
