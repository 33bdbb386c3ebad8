"""What is proven of statements, what is demanded, and what is refused."""

from itertools import pairwise
from pathlib import Path

import pytest
from tests.access.statements.shopfront import (
    RULES,
    SELDOM,
    SELDOM_VIEW,
    VIEW,
    view_of,
)

from ringfence.access.ownership.conditions import Subject
from ringfence.access.statements.check import StatementCheck
from ringfence.access.statements.verdicts import Bound, Either, Known

HERE = Path(__file__).parent
CHECKS = {name: StatementCheck(RULES, name) for name in ("sqlite", "postgres", "mysql")}


def lines(file):
    """Return the lines of a file that are no comment."""
    said = (HERE / file).read_text("utf-8").splitlines()
    return [line for line in said if line and not line.startswith("#")]


def told_of(file):
    return [
        (*text.split(": ", 1), demands.strip())
        for text, demands in pairwise(lines(file))
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


@pytest.mark.parametrize(("dialect", "text", "demands"), told_of("proven.txt"))
def test_proven(dialect, text, demands):
    """What says whose rows it wants is fine if the right values are bound."""
    assert demanded(CHECKS[dialect].verdict(text, VIEW)) == demands


@pytest.mark.parametrize(("dialect", "text"), refused())
def test_refused(dialect, text):
    """What does not say beyond doubt whose rows it wants is refused, with a reason."""
    said = CHECKS[dialect].verdict(text, VIEW)
    assert said.objection
    assert said.demands == ()


@pytest.fixture(scope="module")
def seldom():
    return {name: StatementCheck(SELDOM, name) for name in CHECKS}


@pytest.mark.parametrize(("dialect", "text", "demands"), told_of("seldom.txt"))
def test_seldom(seldom, dialect, text, demands):
    """Keys of several columns, rules with an OR, constants, tables behind tables."""
    said = seldom[dialect].verdict(text, SELDOM_VIEW)
    assert ("refused" if said.objection else demanded(said)) == demands


def test_the_objection_says_what_to_do():
    """It names the table, the column to compare, and the way round."""
    said = CHECKS["sqlite"].verdict("SELECT * FROM lines", VIEW).objection
    for part in ("lines.order_id", "orders.id", 'unscoped("reason")'):
        assert part in said
    added = CHECKS["sqlite"].verdict("INSERT INTO orders (id) VALUES (?)", VIEW)
    assert "orders.owner_id equals the principal's id" in added.objection


def test_a_verdict_is_kept():
    """A text that was seen before is not read again, for each view apart."""
    check = StatementCheck(RULES, "sqlite")
    text = "SELECT * FROM orders WHERE owner_id = ?"
    first = check.verdict(text, VIEW)
    assert check.verdict(text, VIEW) is first
    assert check.verdict(text, view_of(RULES)) is not first


def test_what_is_kept_is_bounded():
    """Texts of all lengths do not fill the memory."""
    check = StatementCheck(RULES, "sqlite")
    for number in range(9000):
        check.verdict(f"SAVEPOINT sa_{number}", VIEW)
    assert len(check._verdicts) <= 8192
    assert len(check._read) <= 1024
    long = f"SELECT '{'a' * 200_000}'"
    assert check.verdict(long, VIEW) is not check.verdict(long, VIEW)


def test_a_statement_without_end_is_refused():
    """Depth, length and ORs are bounded; what is over the bound is refused."""
    check = StatementCheck(RULES, "sqlite")
    ors = " AND ".join(["(owner_id = ? OR tenant_id = ? OR total = 1)"] * 30)
    for text, said in (
        (f"SELECT {'(' * 3000}1{')' * 3000}", "brackets"),
        (f"SELECT * FROM invoices WHERE {ors}", "ORs"),
        (f"SELECT '{'a' * 4_000_000}'", "longer"),
    ):
        assert said in check.verdict(text, VIEW).objection


def test_a_zero_byte_is_refused():
    """Where the text ends there for one reader, it goes on for the other."""
    assert CHECKS["sqlite"].verdict("SELECT 1\0 FROM orders", VIEW).objection


@pytest.mark.parametrize("dialect", ["sqlite", "postgres", "mysql"])
def test_a_carriage_return_ends_no_comment(dialect):
    """PostgreSQL goes on behind it: an input of `' -- <CR> OR true --` would have the
    owner's comparison be one of two."""
    mine = "SELECT * FROM orders WHERE owner_id = %s AND note = ''"
    text = mine.replace("%s", "?") if dialect == "sqlite" else mine
    check = CHECKS[dialect]
    assert "carriage" in check.verdict(f"{text} -- \r OR 1 = 1 -- '", VIEW).objection
    assert check.verdict(f"{text} -- all of it\r\nORDER BY id", VIEW).objection == ""


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        ("sqlite", "CREATE TABLE main.orders (id int)"),
        ("sqlite", "CREATE TABLE IF NOT EXISTS orders (id int)"),
        ("postgres", "CREATE TABLE IF NOT EXISTS public.orders (id int)"),
        ("postgres", "CREATE TABLE shop.parcels (id int)"),
        ("postgres", "CREATE TABLE me.notes (id int)"),
        ("postgres", 'CREATE TABLE notes ("table" int, "create" int)'),
    ],
)
def test_tables_are_made(dialect, text):
    """Those with a rule where they belong, and others anywhere."""
    assert CHECKS[dialect].verdict(text, VIEW).objection == ""


def test_an_unknown_dialect():
    with pytest.raises(ValueError, match="oracle"):
        StatementCheck(RULES, "oracle")
