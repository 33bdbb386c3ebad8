"""How conditions on rows read to people who look at what a role may do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ringfence.access.ownership.conditions import (
    All,
    Any,
    Condition,
    Has,
    Is,
    Linked,
    Subject,
)

_WHOSE = {Subject.ID: "their id", Subject.TENANT: "their tenant"}


def said_of(condition: Condition, known: Mapping[str, Condition]) -> str:
    """Return a condition in words.

    Args:
        condition: without ``Holds``.
        known: by table, what is said of it elsewhere: rows that go with theirs are
            ``through`` that table.
    """
    match condition:
        case Is(column, subject):
            return f"{column} is {_WHOSE[subject]}"
        case Has(column, value):
            return f"{column} is {value!r}"
        case Linked(table, _, further):
            if further == known.get(table):
                return f"through {table}"
            return f"{table} where {_bracketed(said_of(further, known), further)}"
        case All(parts) | Any(parts):
            between = " & " if isinstance(condition, All) else " | "
            return between.join(_bracketed(said_of(one, known), one) for one in parts)
        case _:
            return str(condition)


def ways_of(table: str, condition: Condition) -> Iterator[tuple[str, str]]:
    """Yield how a condition on the rows of a table leads to others: from which table to
    which, and by which columns. Another column on the way leads to another's rows.

    Args:
        table: whose rows.
        condition: as declared.
    """
    match condition:
        case Linked(other, pairs, further):
            by = " & ".join(f"{here} = {there}" for here, there in pairs)
            yield f"{table} to {other}", by
            yield from ways_of(other, further)
        case All(parts) | Any(parts):
            for part in parts:
                yield from ways_of(table, part)


def _bracketed(said: str, condition: Condition) -> str:
    return f"({said})" if isinstance(condition, (All, Any, Linked)) else said
