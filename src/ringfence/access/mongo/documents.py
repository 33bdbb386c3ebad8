"""Conditions on a document that is here and not in the database: one about to be
written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ringfence.access.ownership.conditions import (
    All,
    Always,
    Condition,
    Has,
    Is,
    Subject,
)
from ringfence.access.ownership.conditions import Any as AnyOf
from ringfence.access.ownership.rules import Constant

Mine = Callable[[Subject], str]
"""Returns the id, or the tenant, of whoever asks."""

Atom = Is | Has


def true_of(condition: Condition, atom_holds: Callable[[Atom], bool]) -> bool:
    """Return whether a condition that was reduced to who asks is true, given which of
    the comparisons that it is made of are."""
    match condition:
        case Is() | Has():
            return atom_holds(condition)
        case All(parts):
            return all(true_of(part, atom_holds) for part in parts)
        case AnyOf(parts):
            return any(true_of(part, atom_holds) for part in parts)
        case _:
            return isinstance(condition, Always)


def holds(condition: Condition, document: Mapping[str, Any], mine: Mine) -> bool:
    """Return whether MongoDB would find a condition true of this document."""
    return true_of(
        condition,
        lambda atom: matches(document, path_of(atom), wanted(atom, mine)),
    )


def path_of(atom: Atom) -> tuple[str, ...]:
    """Return the names on the way to the field that is compared."""
    return tuple(atom.column.split("."))


def wanted(atom: Atom, mine: Mine) -> Constant:
    """Return what the field must be."""
    return mine(atom.subject) if isinstance(atom, Is) else atom.value


def matches(value: Any, path: tuple[str, ...], wanted: Constant) -> bool:
    """Return whether a path leads to a value, through arrays as MongoDB's filters do.

    Args:
        value: a document, or what stands in a field.
        path: the names that are left to follow.
        wanted: what is looked for; ``None`` is null, or nothing at all.
    """
    if not path:
        inside = value if isinstance(value, (list, tuple)) else ()
        return _same(value, wanted) or any(_same(each, wanted) for each in inside)
    if isinstance(value, Mapping):
        return matches(value.get(path[0]), path[1:], wanted)
    if isinstance(value, (list, tuple)):
        documents = [each for each in value if isinstance(each, Mapping)]
        return any(matches(each, path, wanted) for each in documents)
    return wanted is None


def below(value: Any, name: str) -> list[Any]:
    """Return what stands under a name, in each document where it is an array."""
    held = value.get(name) if isinstance(value, Mapping) else None
    return list(held) if isinstance(held, (list, tuple)) else [held]


def _same(value: Any, wanted: Constant) -> bool:
    # True is not 1 to MongoDB, and the text of an ObjectId is not the ObjectId.
    if isinstance(wanted, (bool, str)) or isinstance(value, (bool, str)):
        return type(value) is type(wanted) and value == wanted
    return bool(value == wanted)


def is_unset(document: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    """Return whether nothing, or null, stands in a field that could be filled in."""
    found: Any = document
    for name in path:
        if not isinstance(found, Mapping):
            return False
        found = found.get(name)
        if found is None:
            return True
    return False


def filled(
    document: Mapping[str, Any], path: tuple[str, ...], value: str
) -> dict[str, Any]:
    """Return a copy of a document with a value in a field that ``is_unset``."""
    name, *further = path
    if further:
        inner = document.get(name) or {}
        return {**document, name: filled(inner, tuple(further), value)}
    return {**document, name: value}
