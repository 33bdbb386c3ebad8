"""What a change does to whose a document is.

Rules are made of comparisons, joined by *and* and *or* and never negated. So a change
keeps to a rule if those comparisons suffice that it makes true or leaves alone: that
much is asked of the documents beforehand, in the filter, and the server decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ringfence.access.mongo.documents import (
    Atom,
    Mine,
    filled,
    holds,
    is_unset,
    matches,
    path_of,
    true_of,
    wanted,
)
from ringfence.access.ownership.conditions import (
    ALWAYS,
    NEVER,
    All,
    Condition,
    Has,
    Is,
    TableRule,
    all_of,
    any_of,
    parts_of,
)
from ringfence.access.ownership.conditions import Any as AnyOf

_SETS = frozenset({"$set", "$setOnInsert"})
_GROWS = frozenset({"$push", "$addToSet"})  # an array, which holds what it held
_SHRINKS = frozenset({"$pull", "$pullAll"})
_MOVES = "$rename"
_TOUCHES = frozenset(
    {"$unset", "$inc", "$mul", "$min", "$max", "$currentDate", "$bit", "$pop"}
)
_ONLY_BORN = "$setOnInsert"
_COMPUTED = "computed"
_SETTING_STAGES = frozenset({"$set", "$addFields"})


@dataclass(frozen=True, slots=True)
class _Effect:
    """What a change does to one field.

    Args:
        path: names, without the places in arrays.
        exact: no place in an array was named: it is this field and no part of it.
        operator: of MongoDB.
        value: that stands behind it.
    """

    path: tuple[str, ...]
    exact: bool
    operator: str
    value: Any


def kept(change: object, condition: Condition, mine: Mine) -> Condition:
    """Return what must be true of a document so that a condition, which is true of it
    now, is true of it after the change; ``NEVER`` if nothing can see to that.

    Args:
        change: operators, or a pipeline of stages.
        condition: reduced to who asks.
        mine: returns the id and the tenant of whoever asks.
    """
    effects = _effects(change)
    if effects is None:
        return condition if condition == ALWAYS else NEVER
    lasting = [effect for effect in effects if effect.operator != _ONLY_BORN]
    return _left(condition, lasting, mine)


def born(
    change: Mapping[str, Any],
    condition: Condition,
    rule: TableRule,
    mine: Mine,
    asked: object = None,
) -> Mapping[str, Any] | None:
    """Return a change, as it may insert a document where none is found (upsert), with
    the owner in it; ``None`` where the document could be somebody else's.

    Args:
        change: operators.
        condition: what a written document must be like, reduced to who asks.
        rule: of the collection.
        mine: returns the id and the tenant of whoever asks.
        asked: the filter of the caller's, whose values a new document takes on.
    """
    effects = _effects(change)
    if effects is None:
        return None
    mended = dict(change)
    owners = _owners(rule.write)

    def is_said(atom: Atom) -> bool:
        return any(_overlap(effect.path, path_of(atom)) for effect in effects)

    def say(atom: Is) -> None:
        path, value = path_of(atom), mine(atom.subject)
        mended[_ONLY_BORN] = {**mended.get(_ONLY_BORN, {}), atom.column: value}
        effects.append(_Effect(path, exact=True, operator="$set", value=value))

    values = asked if isinstance(asked, Mapping) else {}
    for atom in owners:
        own = mine(atom.subject)
        if own and values.get(atom.column) == own and not is_said(atom):
            say(atom)
    for atom in _unsaid(owners, is_said, mine):
        say(atom)

    def is_given(atom: Atom) -> bool:
        return any(
            effect.operator in _SETS and _makes_true(effect, atom, mine)
            for effect in effects
        )

    return mended if true_of(condition, is_given) else None


def stamped(
    document: Mapping[str, Any],
    condition: Condition,
    rule: TableRule,
    mine: Mine,
    *,
    anew: bool,
) -> dict[str, Any] | None:
    """Return a copy of a document about to be written, with the owner in it where there
    is none; ``None`` where it is somebody else's.

    Args:
        document: as the caller has made it.
        condition: what a written document must be like, reduced to who asks.
        rule: of the collection.
        mine: returns the id and the tenant of whoever asks.
        anew: it replaces no other one. One that does is not taken over from its owner
            by whoever may write it for another reason.
    """
    copy = dict(document)

    def is_said(atom: Atom) -> bool:
        return not is_unset(copy, path_of(atom))

    atoms = _owners(rule.write) if anew else _needed(condition)
    for atom in _unsaid(atoms, is_said, mine):
        copy = filled(copy, path_of(atom), mine(atom.subject))
    return copy if holds(condition, copy, mine) else None


def _owners(write: Condition) -> list[Is]:
    """Return the fields that say whose a document is to write."""
    parts = dict.fromkeys(parts_of(write))
    return [part for part in parts if isinstance(part, Is)]


def _unsaid(
    atoms: Iterable[Is], is_said: Callable[[Atom], bool], mine: Mine
) -> list[Is]:
    """Return which of these are filled in: of several owners, or tenants, all where
    none is said, so that nobody enters a document of another's as its second owner."""
    asked = list(atoms)
    said = {atom.subject for atom in asked if is_said(atom)}
    return [atom for atom in asked if atom.subject not in said and mine(atom.subject)]


def _needed(condition: Condition) -> Iterable[Is]:
    parts = condition.parts if isinstance(condition, All) else (condition,)
    return [part for part in parts if isinstance(part, Is)]


def _left(condition: Condition, effects: list[_Effect], mine: Mine) -> Condition:
    match condition:
        case Is() | Has():
            return _fate(condition, effects, mine)
        case All(parts):
            return all_of(_left(part, effects, mine) for part in parts)
        case AnyOf(parts):
            return any_of(_left(part, effects, mine) for part in parts)
        case _:
            return condition


def _fate(atom: Atom, effects: list[_Effect], mine: Mine) -> Condition:
    """Return whether a comparison becomes true, stays as it is, or nobody knows."""
    touching = [effect for effect in effects if _overlap(effect.path, path_of(atom))]
    if all(_leaves_alone(effect, atom, mine) for effect in touching):
        return atom
    if all(_makes_true(effect, atom, mine) for effect in touching):
        return ALWAYS
    return NEVER


def _overlap(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _is_around(effect: _Effect, atom: Atom) -> bool:
    """Return whether it is the very field, or one that it lies in."""
    return effect.exact and len(effect.path) <= len(path_of(atom))


def _makes_true(effect: _Effect, atom: Atom, mine: Mine) -> bool:
    if effect.operator not in _SETS or not _is_around(effect, atom):
        return False
    path = path_of(atom)
    if effect.path != path[: len(effect.path)]:
        return False
    return matches(effect.value, path[len(effect.path) :], wanted(atom, mine))


def _leaves_alone(effect: _Effect, atom: Atom, mine: Mine) -> bool:
    """Return whether an element that the comparison needs is in an array for sure
    after the change, if it was before."""
    # Null is what is missing as well: an element more, or a field, takes that away.
    if wanted(atom, mine) is None or not _is_around(effect, atom):
        return False
    if effect.operator in _GROWS:
        return not (isinstance(effect.value, Mapping) and "$slice" in effect.value)
    if effect.operator in _SHRINKS and effect.path == path_of(atom):
        gone = effect.value if effect.operator == "$pullAll" else [effect.value]
        return isinstance(gone, (list, tuple)) and all(
            isinstance(each, str) and each != wanted(atom, mine) for each in gone
        )
    return False


def _effects(change: object) -> list[_Effect] | None:
    """Return what a change does to fields; ``None`` if that cannot be read."""
    try:
        if isinstance(change, Mapping):
            return list(_of_operators(change))
        if isinstance(change, (list, tuple)):
            return list(_of_stages(change))
    except _UnreadableError:
        pass
    return None


class _UnreadableError(Exception):
    """A change whose effects are not known."""


def _of_operators(change: Mapping[str, Any]) -> Iterator[_Effect]:
    known = _SETS | _GROWS | _SHRINKS | _TOUCHES | {_MOVES}
    for operator, fields in change.items():
        if operator not in known or not isinstance(fields, Mapping):
            raise _UnreadableError
        for field, value in fields.items():
            yield _effect(field, operator, value)
            if operator == _MOVES:
                yield _effect(value, operator, None)


def _of_stages(change: Iterable[Any]) -> Iterator[_Effect]:
    for stage in change:
        if not isinstance(stage, Mapping) or len(stage) != 1:
            raise _UnreadableError
        ((operator, fields),) = stage.items()
        if operator in _SETTING_STAGES and isinstance(fields, Mapping):
            for field, value in fields.items():
                yield _effect(field, _set_by_stage(field, value), value)
        elif operator == "$unset":
            for field in fields if isinstance(fields, (list, tuple)) else [fields]:
                yield _effect(field, operator, None)
        else:
            raise _UnreadableError


def _set_by_stage(field: object, value: object) -> str:
    """Anything but a word may be computed or merged, and a field below an array that
    is empty is set nowhere."""
    word = isinstance(value, str) and not value.startswith("$")
    return "$set" if word and "." not in str(field) else _COMPUTED


def _effect(field: object, operator: str, value: object) -> _Effect:
    if not isinstance(field, str):
        raise _UnreadableError
    names = field.split(".")
    path = tuple(
        name for name in names if not name.isdecimal() and not name.startswith("$")
    )
    return _Effect(path, len(path) == len(names), operator, value)
