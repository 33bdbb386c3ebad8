"""Conditions on the rows of a table: what the rules of models come down to.

Everything that enforces ownership works with these: the filter of SQLAlchemy, the check
of statements, row-level security, the filters of MongoDB. They name tables and columns,
and know no library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from ringfence.access.ownership.rules import Constant
from ringfence.access.policy import Policy


class Subject(Enum):
    """Of the principal, what a column is compared with."""

    ID = "id"
    TENANT = "tenant"


class Condition:
    """Something that is true of a row or not."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Always(Condition):
    """True of every row."""

    def __str__(self) -> str:
        return "all rows"


@dataclass(frozen=True, slots=True)
class Never(Condition):
    """True of no row."""

    def __str__(self) -> str:
        return "no row"


ALWAYS = Always()
NEVER = Never()


@dataclass(frozen=True, slots=True)
class Holds(Condition):
    """True of every row where a policy, which needs no row, allows the principal."""

    policy: Policy

    def __str__(self) -> str:
        return str(self.policy)


@dataclass(frozen=True, slots=True)
class Is(Condition):
    """True where a column holds something of the principal's. Never for a principal in
    whom it is empty, and never where the column is null.

    Args:
        column: of the table.
        subject: of the principal.
    """

    column: str
    subject: Subject

    def __str__(self) -> str:
        return f"{self.column} = {self.subject.value}"


@dataclass(frozen=True, slots=True)
class Has(Condition):
    """True where a column has this value; ``None`` for null.

    Args:
        column: of the table.
        value: a constant of the application.
    """

    column: str
    value: Constant

    def __str__(self) -> str:
        return f"{self.column} = {self.value!r}"


@dataclass(frozen=True, slots=True)
class Linked(Condition):
    """True where there is a row in another table, with equal values in these columns,
    of which a condition is true.

    Args:
        table: the other one, with its schema in front if it has one.
        pairs: columns of this table, each with the one of the other that equals it.
        condition: on the row of the other table.
    """

    table: str
    pairs: tuple[tuple[str, str], ...]
    condition: Condition

    def __str__(self) -> str:
        on = " and ".join(f"{here} = {there}" for here, there in self.pairs)
        return f"({on} in {self.table} where {self.condition})"


@dataclass(frozen=True, slots=True)
class All(Condition):
    """True where all of these are."""

    parts: tuple[Condition, ...]

    def __str__(self) -> str:
        return " & ".join(map(str, self.parts))


@dataclass(frozen=True, slots=True)
class Any(Condition):
    """True where one of these is."""

    parts: tuple[Condition, ...]

    def __str__(self) -> str:
        return f"({' | '.join(map(str, self.parts))})"


def all_of(parts: Iterable[Condition]) -> Condition:
    """Return the simplest condition that is true where all of these are."""
    kept: dict[Condition, None] = {}
    for part in parts:
        if part == NEVER:
            return NEVER
        if part != ALWAYS:
            kept.update(dict.fromkeys(part.parts if isinstance(part, All) else (part,)))
    if not kept:
        return ALWAYS
    return next(iter(kept)) if len(kept) == 1 else All(tuple(kept))


def any_of(parts: Iterable[Condition]) -> Condition:
    """Return the simplest condition that is true where one of these is."""
    kept: dict[Condition, None] = {}
    for part in parts:
        if part == ALWAYS:
            return ALWAYS
        if part != NEVER:
            kept.update(dict.fromkeys(part.parts if isinstance(part, Any) else (part,)))
    if not kept:
        return NEVER
    return next(iter(kept)) if len(kept) == 1 else Any(tuple(kept))


def reduce(
    condition: Condition,
    holds: Callable[[Policy], bool],
    has: Callable[[Subject], bool],
) -> Condition:
    """Return what is left of a condition once it is known who asks: no ``Holds``, and
    nothing that a principal without an id or a tenant could be equal to.

    Args:
        condition: as declared.
        holds: whether a policy allows the principal.
        has: whether the principal has an id, a tenant.
    """
    match condition:
        case Holds(policy):
            return ALWAYS if holds(policy) else NEVER
        case Is(_, subject):
            return condition if has(subject) else NEVER
        case Linked(table, pairs, further):
            left = reduce(further, holds, has)
            return NEVER if left == NEVER else Linked(table, pairs, left)
        case All(parts):
            return all_of(reduce(part, holds, has) for part in parts)
        case Any(parts):
            return any_of(reduce(part, holds, has) for part in parts)
        case _:
            return condition


def parts_of(condition: Condition) -> Iterator[Condition]:
    """Yield a condition and all that it is made of, the linked ones as well."""
    yield condition
    match condition:
        case All(parts) | Any(parts):
            for part in parts:
                yield from parts_of(part)
        case Linked(_, _, further):
            yield from parts_of(further)


@dataclass(frozen=True, slots=True)
class TableRule:
    """What is enforced on one table.

    Args:
        table: its name, with its schema in front if it has one.
        model: the name of the class that maps it, for messages; the table's own where
            there is none.
        read: on the rows that may be seen.
        write: on the rows that may be added, changed and removed, before and after.
        says: how the two were declared, for the plan.
        key: the columns of its primary key.
        columns: all of its columns.
        numbers: those of them that hold whole numbers.
        parent: the table whose rows its own continue (joined inheritance), by the
            same primary key; empty for none.
        is_link: it does nothing but link two others (``secondary=``).
    """

    table: str
    model: str
    read: Condition
    write: Condition
    says: tuple[str, str]
    key: tuple[str, ...] = ()
    columns: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()
    parent: str = ""
    is_link: bool = False
