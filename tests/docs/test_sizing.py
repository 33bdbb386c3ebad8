"""The worked table of the sizing page follows from its measured figures."""

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "guides" / "sizing.md").read_text("utf-8")
CASES = ((100, 1e6), (1_000, 1e7), (10_000, 1e8))
BUSY = 0.6
MB, GB = 1e6, 1e9


def worked(rate, accounts):
    """Return each row of the table for so many requests a second, and accounts."""
    visits = rate / 150
    ends_and_pages = 10 * rate * 16_100 / 900 + visits * (19_000 + 16_100)
    ledger = visits * (2 * 203 + 0.1 * 268) + rate / 100 * 552
    return {
        "people there at a time": 4 * rate,
        "sign-ins a second": visits,
        "cores for requests": rate * 0.57e-3 / BUSY,
        "cores for passwords, OWASP's floor": visits * 0.023 / BUSY,
        "cores for passwords, 250 ms": visits * 0.25 / BUSY,
        "sign-ins of all to allow, a minute": visits * 60 * 3,
        "Valkey: of its one thread": rate * 18e-6 * 100,
        "Valkey: copies, MB": 6.2 * rate * 484 / MB,
        "Valkey: failures, MB": rate / 1500 * 3600 * 2 * 149 / MB,
        "Valkey: append-only file, MB/s": rate * 540 / MB,
        "network to Valkey and back, MB/s": rate * (515 + 272) / MB,
        "PostgreSQL: reads a second": visits + 4 * rate / 60,
        "PostgreSQL: last uses written a second": rate / 15,
        "PostgreSQL: log, MB/s": (
            (ends_and_pages + (rate / 15 - rate / 90) * 710) / MB
        ),
        "PostgreSQL: accounts, GB": accounts * 380 / GB,
        "PostgreSQL: their indexes, GB of memory": accounts * 140 / GB,
        "PostgreSQL: sessions of 30 minutes, MB": 20 * rate * 386 / MB,
        "ledger, GB a day at this rate": ledger * 86_400 / GB,
    }


def printed():
    section = PAGE.partition("## Worked out")[2].partition("What to run")[0]
    rows = re.findall(
        r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", section, re.MULTILINE
    )
    return {row[0]: [number(cell) for cell in row[1:]] for row in rows}


def number(cell):
    return float(cell.replace(",", "").removesuffix(" %"))


@pytest.mark.parametrize("row", worked(*CASES[0]))
def test_every_row_is_what_the_formulas_give(row):
    """To the precision in which it is printed."""
    for (rate, accounts), shown in zip(CASES, printed()[row], strict=True):
        assert shown == pytest.approx(worked(rate, accounts)[row], rel=0.06)


def test_no_row_is_left_out():
    assert printed().keys() == worked(*CASES[0]).keys()


@pytest.mark.parametrize(
    "figure",
    ["70 µs", "18 µs", "515 + 272", "540", "149", "484", "380", "386", "16,100", "203"],
)
def test_the_figures_are_those_that_were_measured(figure):
    measured = PAGE.partition("## What was measured")[2].partition("\n## ")[0]
    assert figure in measured
