"""How the time of a regular expression grows with the text it is tried on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_MANY = 64  # a repeat that goes further counts as one without an end

# Python's own parser, by the names under which ``re`` keeps it since 3.11.
_parser: Any = re._parser  # type: ignore[attr-defined]  # noqa: SLF001 - no public name
_constants: Any = re._constants  # type: ignore[attr-defined]  # noqa: SLF001 - nor here

_REPEATS = frozenset({_constants.MAX_REPEAT, _constants.MIN_REPEAT})
_POSSESSIVE = _constants.POSSESSIVE_REPEAT


@dataclass(frozen=True, slots=True)
class Growth:
    """What one pattern may cost.

    Args:
        repeats: how many parts repeat without an end: each of them multiplies the time
            by the length of the text.
        choices: in how many ways the rest can be read.
        explodes: a repeat within a repeat, or a choice within one: the time doubles
            with each letter (CWE-1333).
    """

    repeats: int = 0
    choices: int = 1
    explodes: bool = False

    def __add__(self, other: Growth) -> Growth:
        return Growth(
            self.repeats + other.repeats,
            self.choices * other.choices,
            self.explodes or other.explodes,
        )


NONE = Growth()


def growth_of(pattern: str | bytes, flags: int = 0) -> Growth:
    """Return how the time of a pattern grows.

    Counts too much rather than too little: ``(?:ab|cd)+`` is said to explode though it
    does not, since its branches never begin alike.

    Raises:
        re.error: it is no regular expression.
    """
    return _of(_parser.parse(pattern, flags))


def _of(parts: Any) -> Growth:
    total = NONE
    for operation, value in parts:
        total = total + _of_one(operation, value)
    return total


def _of_one(operation: Any, value: Any) -> Growth:
    if operation in _REPEATS:
        return _of_repeat(*value)
    if operation is _POSSESSIVE:
        inner = _of(value[2])
        return inner + Growth(repeats=1 if value[1] > _MANY else 0)
    if operation is _constants.BRANCH:
        branches = [_of(branch) for branch in value[1]]
        return Growth(
            max(branch.repeats for branch in branches),
            sum(branch.choices for branch in branches),
            any(branch.explodes for branch in branches),
        )
    if operation in {_constants.GROUPREF, _constants.GROUPREF_EXISTS}:
        return Growth(repeats=1)
    total = NONE
    for part in value if isinstance(value, tuple) else (value,):
        if isinstance(part, _parser.SubPattern):
            total = total + _of(part)
    return total


def _of_repeat(least: int, most: int, part: Any) -> Growth:
    inner = _of(part)
    if most <= 1:
        return inner + Growth(choices=2 if least < most else 1)
    ambiguous = inner.repeats > 0 or inner.choices > 1 or inner.explodes
    if ambiguous:
        return Growth(inner.repeats + 1, inner.choices, explodes=True)
    if most > _MANY:
        return Growth(repeats=1)
    return Growth(choices=int(most - least) + 1)
