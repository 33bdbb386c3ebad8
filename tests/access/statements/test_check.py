"""What is proven of statements, what is demanded, and what is refused."""

from itertools import pairwise
from pathlib import Path

import pytest
from tests.access.statements.shopfront import RULES, VIEW

from ringfence.access.ownership.conditions import (
    Subject,
)
from ringfence.access.statements.check import StatementCheck
from ringfence.access.statements.verdicts import Bound, Either, Known

HERE = Path(__file__).parent
CHECKS = {name: StatementCheck(RULES, name) for name in ("sqlite", "postgres", "mysql")}


def lines(file):
    """Return the lines of a file that are no comment."""
    said = (HERE / file).read_text("utf-8").splitlines()
    return [line for line in said if line and not line.startswith("#")]


def proven():
    return [
        (*text.split(": ", 1), demands.strip())
        for text, demands in pairwise(lines("proven.txt"))
        if demands.startswith(" ")
    ]


def refused():
    return [tuple(line.split(": ", 1)) for line in lines("refused.txt")]


def told(demand):
    """Return a demand as the files write it."""
    match demand:
        case Bound(key, Subject() as subject):
            return f"{key} is {subject.value}"
        case Bound(key, value):
            return f"{key} is {value!r}"
        case Known(keys, table, write):
            place = f"{' '.join(map(str, keys))} in {table}"
            return f"{place} to write" if write else place
        case Either(groups):
            ways = (" and ".join(map(told, group)) for group in groups)
            return f"either {' or '.join(ways)}"


def demanded(said):
    assert said.objection == ""
    return ", ".join(sorted(map(told, said.demands))) or "nothing"


@pytest.mark.parametrize(("dialect", "text", "demands"), proven())
def test_proven(dialect, text, demands):
    """What says whose rows it wants is fine if the right values are bound."""
    assert demanded(CHECKS[dialect].verdict(text, VIEW)) == demands


@pytest.mark.parametrize(("dialect", "text"), refused())
def test_refused(dialect, text):
    """What does not say beyond doubt whose rows it wants is refused, with a reason."""
    said = CHECKS[dialect].verdict(text, VIEW)
    assert said.objection
    assert said.demands == ()
