"""What a principal's id and tenant are in a column, and as a driver is given them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import Column, bindparam
from sqlalchemy.sql.elements import BindParameter

from ringfence.access.ownership.acting import acting
from ringfence.access.ownership.conditions import Subject
from ringfence.access.ownership.views import value_of
from ringfence.principal import Principal


def kind_of(column: Column[Any]) -> type:
    """Return the type that values of a column have in Python."""
    try:
        return column.type.python_type
    except NotImplementedError:
        return str


@lru_cache(4096)
def typed(text: str, kind: type) -> object:
    """Return an id as a column of this type holds it; ``None`` where it cannot hold it,
    which is equal to nothing.

    Args:
        text: an id, as the principal has it.
        kind: ``str``, ``int`` or ``UUID``; of any other the text itself.
    """
    if not text:
        return None
    try:
        if issubclass(kind, int):
            number = int(text)
            return number if str(number) == text else None
        if issubclass(kind, UUID):
            return UUID(text)
    except ValueError:
        return None
    return text


def same(value: object, text: str) -> bool:
    """Return whether what a column holds is this id."""
    if value is None or not text:
        return False
    if value == text or str(value) == text:
        return True
    return isinstance(value, UUID) and value == typed(text, UUID)


def bound_to(
    subject: Subject, column: Column[Any], name: str = ""
) -> BindParameter[Any]:
    """Return a parameter whose value is, on each execution, the acting principal's: the
    text of the statement is the same for everybody, and is compiled once."""
    kind = kind_of(column)

    def value() -> object:
        actor = acting()
        if isinstance(actor, Principal):
            return typed(value_of(actor, subject), kind)
        return None

    return bindparam(
        name or f"ringfence_{subject.value}",
        callable_=value,
        type_=column.type,
        unique=True,
    )


def numerals(text: str) -> frozenset[object]:
    """Return what an id may look like where it is for a column of whole numbers.

    Stops the account ``007`` of a foreign issuer, or ``7 ``, from being the account 7:
    a database reads such texts as the number (CWE-1289).
    """
    number = typed(text, int)
    return frozenset() if number is None else frozenset({number, text})


def spellings(text: str) -> frozenset[object]:
    """Return what an id may look like where a driver is given it."""
    found: set[object] = {text, typed(text, int), typed(text, UUID)}
    as_uuid = typed(text, UUID)
    if isinstance(as_uuid, UUID):
        found |= {str(as_uuid), as_uuid.hex, as_uuid.bytes}
    return frozenset(found - {None})
