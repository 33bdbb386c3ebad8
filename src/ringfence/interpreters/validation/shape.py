"""What input may look like: a few small checks, put together once at start-up.

A ``Check`` looks at one decoded value and returns ``None`` if it has nothing against
it, or the faults, each with its place below the value. Places are only put together
where there are faults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ringfence.denial import Fault

Faults = list[Fault] | None
Check = Callable[[object], Faults]

_MOST_FAULTS = 100


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a value may hold whose model does not say so.

    Args:
        text: characters of a text.
        items: of a list, keys of an object.
    """

    text: int = 10_000
    items: int = 1_000


def at(key: str | int, faults: Iterable[Fault]) -> list[Fault]:
    """Return faults as they look from one level above."""
    return [fault._replace(place=(key, *fault.place)) for fault in faults]


def anything(value: object) -> Faults:
    """Have nothing against any value."""


def scalar(value: object) -> Faults:
    """Take whatever is no object and no list."""
    if type(value) is dict or type(value) is list:
        return [Fault((), "invalid")]
    return None


def text(value: object) -> Faults:
    """Take text."""
    return None if type(value) is str else [Fault((), "string_type")]


def integer(value: object) -> Faults:
    """Take numbers: whether a fraction may be cut off is the model's to say."""
    kind = type(value)
    return None if kind is int or kind is float else [Fault((), "int_type")]


def number(value: object) -> Faults:
    """Take numbers."""
    kind = type(value)
    return None if kind is int or kind is float else [Fault((), "float_type")]


def truth(value: object) -> Faults:
    """Take ``true`` and ``false``."""
    return None if type(value) is bool else [Fault((), "bool_type")]


def nothing(value: object) -> Faults:
    """Take ``null``."""
    return None if value is None else [Fault((), "none_required")]


_OF_THE_MODEL = frozenset({anything, scalar, text})
"""What a model refuses anyway, so that only a choice between models asks."""


def short_text(longest: int) -> Check:
    """Take text of so many characters, and whatever is no text."""
    too_long = [Fault((), "string_too_long", (("max_length", longest),))]

    def check(value: object) -> Faults:
        return too_long if type(value) is str and len(value) > longest else None

    return check


def anything_within(bounds: Bounds) -> Check:
    """Take any value of which no part is larger than the bounds."""

    def check(value: object) -> Faults:
        kind = type(value)
        if kind is str:
            return of_text(value)
        if kind is dict or kind is list:
            return of_dict(value) if kind is dict else of_list(value)
        return None

    of_text = short_text(bounds.text)
    of_list = items(check, most=bounds.items)
    of_dict = mapping(check, most=bounds.items, key=of_text)
    return check


def optional(inner: Check) -> Check:
    """Take ``null``, too."""
    if inner is anything:
        return anything

    def check(value: object) -> Faults:
        return None if value is None else inner(value)

    return check


def fields(
    known: Mapping[str, Check], *, unknown: Check | None = None, tag: str = ""
) -> Check:
    """Take an object with these fields.

    Stops mass assignment: what the model does not know would be carried along to
    wherever the whole body goes (CWE-915).

    Args:
        known: what each field takes, by the names that a sender may use.
        unknown: what all other fields take; ``None`` if there may be none.
        tag: the name of a further field, which tells models apart.
    """
    names = frozenset(known) | ({tag} if tag else frozenset())
    asked = tuple(
        (name, check) for name, check in known.items() if check not in _OF_THE_MODEL
    )

    def check(value: object) -> Faults:
        if type(value) is not dict:
            return [Fault((), "dict_type")]
        found: list[Fault] = []
        if not value.keys() <= names:
            for name in [name for name in value if name not in names][:_MOST_FAULTS]:
                if unknown is None:
                    found.append(Fault((name,), "extra_forbidden"))
                else:
                    found += at(name, unknown(value[name]) or ())
        for name, one in asked:
            if name in value:
                faults = one(value[name])
                if faults:
                    found += at(name, faults)
        return found or None

    return check


def items(inner: Check, *, most: int = 0) -> Check:
    """Take a list.

    Args:
        inner: what each item is.
        most: items; 0 for any number.
    """
    quick = inner in _OF_THE_MODEL
    too_long = [Fault((), "too_long", (("max_length", most),))]

    def check(value: object) -> Faults:
        if type(value) is not list:
            return [Fault((), "list_type")]
        if most and len(value) > most:
            return too_long
        if quick:
            return None
        found: list[Fault] = []
        for place, one in enumerate(value):
            faults = inner(one)
            if faults:
                found += at(place, faults)
                if len(found) >= _MOST_FAULTS:
                    break
        return found or None

    return check


def positions(inner: Sequence[Check]) -> Check:
    """Take a list whose items differ by their place."""

    def check(value: object) -> Faults:
        if type(value) is not list:
            return [Fault((), "list_type")]
        found: list[Fault] = []
        for place, (one, item) in enumerate(zip(inner, value, strict=False)):
            found += at(place, one(item) or ())
        return found or None

    return check


def mapping(inner: Check, *, most: int = 0, key: Check = anything) -> Check:
    """Take an object with any keys.

    Args:
        inner: what each value is.
        most: keys; 0 for any number.
        key: what each key is.
    """
    quick = inner in _OF_THE_MODEL and key in _OF_THE_MODEL
    too_long = [Fault((), "too_long", (("max_length", most),))]

    def check(value: object) -> Faults:
        if type(value) is not dict:
            return [Fault((), "dict_type")]
        if most and len(value) > most:
            return too_long
        if quick:
            return None
        found: list[Fault] = []
        for name, one in value.items():
            faults = key(name) or inner(one)
            if faults:
                found += at(name, faults)
                if len(found) >= _MOST_FAULTS:
                    break
        return found or None

    return check


def any_of(choices: Sequence[Check]) -> Check:
    """Take what one of several takes; the faults are those of the nearest."""
    if anything in choices:
        return anything
    if len(choices) == 1:
        return choices[0]

    def check(value: object) -> Faults:
        nearest: list[Fault] | None = None
        for choice in choices:
            faults = choice(value)
            if not faults:
                return None
            if nearest is None or _depth(faults) > _depth(nearest):
                nearest = faults
        return nearest

    return check


def _depth(faults: Sequence[Fault]) -> tuple[int, int]:
    """The choice whose faults lie deepest, and are fewest, was probably meant."""
    return min(len(fault.place) for fault in faults), -len(faults)


def tagged(field: str, choices: Mapping[object, Check]) -> Check:
    """Take what the field that tells models apart says it is. Of a tag that is not
    known the model tells."""

    def check(value: object) -> Faults:
        if type(value) is not dict:
            return [Fault((), "dict_type")]
        tag = value.get(field)
        if type(tag) is dict or type(tag) is list:
            return None
        chosen = choices.get(tag)
        return None if chosen is None else chosen(value)

    return check
