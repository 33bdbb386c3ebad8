"""The safe way to put what a request has brought into a query."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

from ringfence.interpreters.objection import object_to
from ringfence.interpreters.sink import Sink

SINK = Sink("nosql", "nosql")

_SCALARS = (str, int, float, bytes, datetime, Decimal, UUID, type(None))
# What pymongo's types are called that hold one value. Known by name: the driver need
# not be installed where values are checked.
_OF_BSON = frozenset({"ObjectId", "Int64", "Decimal128", "Timestamp", "Binary"})
_CODE = "bson.code"  # JavaScript, which is a kind of ``str``

Scalar = TypeVar("Scalar")


def value(given: Scalar) -> Scalar:
    """Return a value that can only be compared with, for a filter or an update.

    Stops ``{"$ne": null}`` where a password was expected: objects, arrays, regular
    expressions and JavaScript are refused, also where a model or a handler forgot to
    say which type it wants.

    Args:
        given: text, a number, a truth value, ``None``, bytes, a date, a UUID, or what
            pymongo has for one value (``ObjectId``, ``Decimal128``, ...).

    Returns:
        ``given``.

    Raises:
        InjectionRefusedError: it is something else; answered with 400.

    Source: CWE-943; ASVS 5.0 1.2.4.

    Not covered: the name of the field (``field``), and patterns (``containing``).
    """
    if not _is_scalar(given):
        object_to(SINK, f"a {type(given).__name__} where one value is expected")
    return given


def equal(given: Scalar) -> dict[str, Scalar]:
    """Return the condition that a field equals a value: ``{"$eq": given}``.

    Args:
        given: as for ``value``.

    Raises:
        InjectionRefusedError: as for ``value``.

    Source: as for ``value``.
    """
    return {"$eq": value(given)}


def containing(given: str, *, ignore_case: bool = False) -> dict[str, str]:
    """Return the condition that a text contains another one, letter by letter.

    Stops ``.*``, which finds everything, and ``(a+)+$``, which keeps the server busy
    (CWE-1333): no character of ``given`` means anything but itself.

    Args:
        given: what is looked for.
        ignore_case: whether ``A`` finds ``a``.

    Raises:
        InjectionRefusedError: it is no text; answered with 400.

    Source: CWE-943, CWE-1333.

    Not covered: the time that a search without an index takes.
    """
    if not isinstance(given, str) or not _is_scalar(given):
        object_to(SINK, f"a {type(given).__name__} where text is expected")
    condition = {"$regex": re.escape(given)}
    if ignore_case:
        condition["$options"] = "i"
    return condition


def field(given: object, allowed: Collection[str]) -> str:
    """Return the name of a field that a request has chosen, to sort or group by.

    Stops names that lead elsewhere: ``password_hash``, ``$where``, ``owner.secret``.

    Args:
        given: what was asked for.
        allowed: the names that may be chosen.

    Raises:
        InjectionRefusedError: it is none of these; answered with 400.

    Source: CWE-943, CWE-915.
    """
    chosen = next((name for name in allowed if name == given), None)
    if chosen is None:
        object_to(SINK, "a field that may not be chosen")
    return chosen


def _is_scalar(given: object) -> bool:
    kind = type(given)
    if isinstance(given, _SCALARS):
        return kind.__module__ != _CODE
    return kind.__module__.partition(".")[0] == "bson" and kind.__name__ in _OF_BSON
