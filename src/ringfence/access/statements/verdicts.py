"""What is said of a statement: fine, fine if these values are bound, or refused."""

from __future__ import annotations

from dataclasses import dataclass

from ringfence.access.ownership.conditions import Subject
from ringfence.access.ownership.rules import Constant

Key = int | str
"""Of a bound parameter: its place, from 0, or its name."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A bound parameter has to equal this.

    Args:
        key: of the parameter.
        value: something of the principal's, or a constant of the application.
        number: whether the column that it is compared with, or becomes, holds whole
            numbers: there ``007`` is another spelling of 7, and somebody else.
    """

    key: Key
    value: Subject | Constant
    number: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """Bound parameters have to be the primary key of a row that is known to be the
    principal's: what was loaded, or has been added, by the same session.

    Args:
        keys: of the parameters, in the order of the table's primary key.
        table: as its rule names it.
        write: whether the row has to be one that may be written, and not only read.
    """

    keys: tuple[Key, ...]
    table: str
    write: bool


@dataclass(frozen=True, slots=True)
class Either:
    """One of these groups of demands has to be met, all of it.

    Args:
        groups: two or more.
    """

    groups: tuple[tuple[Bound | Known | Either, ...], ...]


Demand = Bound | Known | Either


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of a statement, for one kind of principal.

    Args:
        demands: all of which have to be met by the values of each execution.
        objection: what is missing and how to mend it; empty for a statement that may be
            carried out.
    """

    demands: tuple[Demand, ...] = ()
    objection: str = ""


FINE = Verdict()
