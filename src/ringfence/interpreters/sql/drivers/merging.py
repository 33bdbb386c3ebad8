"""Drivers that write parameters into the text of a statement themselves.

They replace a placeholder wherever it stands, within a literal too: of ``'%s'`` and
``x`` they make ``''x''``, so that the value stands outside the quotes, as code. An
input need not even be the value: where it was written into a literal, it can *be* the
placeholder, ``'%(city)s'``, and another input that was bound correctly ends up there.
"""

from __future__ import annotations

import datetime as dt
import decimal
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from ringfence.interpreters.sink import Sink, here
from ringfence.interpreters.sql.lexer import USUAL, read

PYFORMAT = re.compile(r"%%|%(?:\([^()]*\))?[#0\- +]*(?:\d+|\*)?(?:\.\d+)?[a-zA-Z]")
NUMBERED = re.compile(r"\$\d+")

_LONGEST_KEPT = 10_000  # characters of a template whose verdict is remembered
_DEEPEST = 4  # rows of parameters within parameters
_WITHOUT_QUOTES = (
    bool,
    int,
    float,
    decimal.Decimal,
    dt.date,
    dt.time,
    dt.timedelta,
    type(None),
)


def check_merging(
    template: str,
    parameters: object,
    *,
    dialect: str,
    sink: Sink,
    placeholder: re.Pattern[str] = PYFORMAT,
) -> None:
    """Return when each parameter ends up where the template has a place for a value.

    Stops SQL injection through bound parameters (CWE-89) that a driver merges into a
    literal, an identifier or a comment.

    Args:
        template: a statement with placeholders.
        parameters: what the driver will put there, of any shape.
        dialect: ``postgres`` or ``mysql``.
        sink: the driver, for the ledger.
        placeholder: what the driver replaces.

    Raises:
        InjectionRefusedError: a placeholder stands within a token, and a text is bound.
    """
    whom = here()
    if whom is None or not parameters:
        return
    find = _kept_is_enclosed if len(template) <= _LONGEST_KEPT else _is_enclosed
    if find(template, dialect, placeholder) and _has_text(parameters):
        whom.refuse(
            sink,
            "a placeholder stands within quotes or a comment, where the driver "
            "would write a value with quotes of its own; write it without quotes",
        )


def _is_enclosed(template: str, dialect: str, placeholder: re.Pattern[str]) -> bool:
    """Tell whether a placeholder stands within a literal, identifier or comment."""
    tokens = read(template, dialect, backslash=USUAL[dialect])
    within = ("string", "quoted", "comment", "line_comment", "live_comment")
    return any(
        match[0] != "%%"
        for token in tokens.all
        if token.kind in within or token.kind == "unfinished"
        for match in placeholder.finditer(tokens.of(token))
    )


_kept_is_enclosed = lru_cache(maxsize=512)(_is_enclosed)


def _has_text(parameters: object, depth: int = 0) -> bool:
    """Tell whether a parameter may be written with quotes."""
    if isinstance(parameters, _WITHOUT_QUOTES):
        return False
    if isinstance(parameters, (str, bytes)) or depth >= _DEEPEST:
        return True
    values: Iterable[object] = ()
    if isinstance(parameters, Mapping):
        values = parameters.values()
    elif isinstance(parameters, (list, tuple)):
        values = parameters
    else:
        return True
    return any(_has_text(value, depth + 1) for value in values)
