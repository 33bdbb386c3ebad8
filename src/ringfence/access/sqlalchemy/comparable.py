"""What a column can be compared with: what never equals it stops the start-up."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from difflib import get_close_matches
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Enum, Interval
from sqlalchemy.dialects.mysql import TINYINT
from sqlalchemy.types import TypeDecorator, TypeEngine

from ringfence.access.ownership.rules import Constant

Kind = TypeEngine[Any]

_NO_ID = (bool, float, Decimal, datetime, date, time, timedelta)

# By the type that values of a column have in Python, what equals one of them.
_EQUAL: dict[type, tuple[type, ...]] = {
    str: (str,),
    int: (int,),
    float: (int, float, Decimal),
    Decimal: (int, float, Decimal),
    UUID: (UUID,),
    bytes: (bytes,),
    datetime: (datetime,),
    date: (date,),
    time: (time,),
    timedelta: (timedelta,),
}

_OVERRIDES = (
    "process_bind_param",
    "process_literal_param",
    "bind_processor",
    "bind_expression",
    "comparator_factory",
)


def constant(column: Column[Any], value: Constant) -> Constant:
    """Return a constant as conditions compare a column with it: of an enumeration the
    text that stands in the database.

    Args:
        column: of any type; one that the application converts itself takes any value.
        value: as declared; ``None`` is null, and fits everywhere.

    Raises:
        ValueError: the column can never hold it; the message goes on after the names
            of model and column.
    """
    kind = _plain(column.type)
    if value is None or kind is None:
        return value
    if isinstance(kind, Enum):
        return _named(kind, value)
    if isinstance(value, bool):
        fits = _python_type(kind) in (bool, None) or isinstance(kind, TINYINT)
    else:
        fits = _fits(kind, value)
    if not fits:
        message = (
            f"is {_said(column)}, which never equals the {type(value).__name__} "
            f"{value!r}; {_cure(kind, value)}"
        )
        raise ValueError(message)
    return value


def check_holds_ids(column: Column[Any]) -> None:
    """Refuse a column in which an id is not told reliably from another.

    Raises:
        ValueError: likewise.
    """
    kind = _plain(column.type)
    python = None if kind is None else _python_type(kind)
    if python is None or not issubclass(python, _NO_ID):
        return
    if issubclass(python, Decimal) and getattr(kind, "scale", None) == 0:
        return
    message = (
        f"is {_said(column)}, in which no id stands as it is; make it text, a UUID or "
        "an integer"
    )
    raise ValueError(message)


def is_constant(column: Column[Any], held: object, value: Constant) -> bool:
    """Return whether what an object has for a column is a constant of a condition."""
    kind = _plain(column.type)
    if isinstance(kind, Enum) and held is not None and value is not None:
        try:
            return _named(kind, held) == value
        except ValueError:
            return False
    return held == value


def _plain(kind: Kind) -> Kind | None:
    """Return the type whose values are compared; ``None`` where the application turns
    them into others."""
    while isinstance(kind, TypeDecorator) and not isinstance(kind, Interval):
        made = type(kind)
        if any(
            getattr(made, name) is not getattr(TypeDecorator, name)
            for name in _OVERRIDES
        ):
            return None
        kind = kind.impl_instance
    return kind


def _python_type(kind: Kind) -> type | None:
    try:
        return kind.python_type
    except NotImplementedError:  # types of a dialect, or of the application
        return None


def _fits(kind: Kind, value: object) -> bool:
    python = _python_type(kind)
    if python is bool:
        return isinstance(value, int) and value in (0, 1)
    return python is None or isinstance(value, _EQUAL.get(python, object))


def _named(kind: Enum, value: object) -> str:
    """Return what stands in the database for one of an enumeration."""
    names = kind.enums
    members: list[object] = list(kind.enum_class or ())
    if len(members) != len(names):  # aliases count, or there is no class
        members = list(getattr(kind.enum_class, "__members__", {}).values())
    pairs = list(zip(names, members, strict=False))
    for name, member in pairs:
        if value is member:
            return name
    if isinstance(value, str) and value in names:
        return names[names.index(value)]
    for name, member in pairs:  # a member that is a text itself
        if isinstance(value, str) and value == member:
            return name
    near = get_close_matches(str(getattr(value, "name", value)), names, 1, 0.5)
    guess = f"; is it {near[0]!r}?" if near else ""
    message = (
        f"is of an enumeration, in which {value!r} is not: write one of "
        f"{', '.join(map(repr, names))}{guess}"
    )
    raise ValueError(message)


def _said(column: Column[Any]) -> str:
    return f"of the type {column.type!r}"


def _cure(kind: Kind, value: object) -> str:
    python = _python_type(kind)
    if python is str and not isinstance(value, bytes):
        return f"write {str(getattr(value, 'value', value))!r}, or name another column"
    if python is int and isinstance(value, bool):
        return f"write {int(value)}, or make the column Boolean"
    if python is int and isinstance(value, str) and value.isdecimal():
        return f"write {int(value)}"
    if python is bool:
        return "write True or False"
    named = "" if python is None else f" {python.__name__}"
    return f"write a constant that is a{named}, or name another column"
