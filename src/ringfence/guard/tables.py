"""Tables of Markdown: written in an order of their own, and what two differ in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

Row = tuple[str, ...]
Tables = Mapping[str, Sequence[Row]]
"""By the heading above it, the rows of a table: its columns first."""

_BETWEEN_CELLS = re.compile(r"(?<!\\)\|")


def written(columns: Row, rows: Iterable[Row]) -> str:
    """Return a table as Markdown.

    Args:
        columns: their names.
        rows: the first cell of each says what it is about; in any order.
    """
    lines = [columns, ("---",) * len(columns), *sorted(set(rows))]
    return "".join(f"{_line(line)}\n" for line in lines)


def _line(cells: Row) -> str:
    said = " | ".join(cell.replace("|", "\\|") for cell in cells)
    return f"| {said} |"


def changes(kept: str, made: str) -> Iterator[str]:
    """Yield what differs between two texts with tables, a line a change: what it is
    about, in which column, and how.

    Args:
        kept: before.
        made: after.

    Not covered: what stands outside the tables.
    """
    before, after = _read(kept), _read(made)
    for heading in dict.fromkeys((*after, *before)):
        yield from _differences(before.get(heading, ()), after.get(heading, ()))


def _read(text: str) -> Tables:
    tables: dict[str, list[Row]] = {}
    heading = ""
    for line in text.splitlines():
        if line.startswith("#"):
            heading = line.strip("# ")
        elif line.startswith("|"):
            cells = _BETWEEN_CELLS.split(line.strip().strip("|"))
            row = tuple(cell.strip().replace("\\|", "|") for cell in cells)
            tables.setdefault(heading, []).append(row)
    return tables


def _differences(before: Sequence[Row], after: Sequence[Row]) -> Iterator[str]:
    old, new = (table[0] if table else () for table in (before, after))
    if old and new:
        yield from (f"{name}: a new column" for name in new if name not in old)
        yield from (f"{name}: a column that is gone" for name in old if name not in new)
    was, now = _named(before), _named(after)
    for name in dict.fromkeys((*now, *was)):
        if name not in was:
            yield f"{name}: new, {_summary(now[name])}"
        elif name not in now:
            yield f"{name}: gone, was {_summary(was[name])}"
        else:
            for column, cell in now[name].items():
                earlier = was[name].get(column, cell)
                if earlier != cell:
                    yield f"{name}: {column}: {cell} instead of {earlier}"


def _named(table: Sequence[Row]) -> dict[str, dict[str, str]]:
    """Return the cells of each row, by its first one and then by their columns. Of two
    rows about one thing the second has a number."""
    named: dict[str, dict[str, str]] = {}
    columns = table[0] if table else ()
    for row in table[2:]:
        name, number = row[0], 1
        while name in named:
            number += 1
            name = f"{row[0]} ({number})"
        named[name] = dict(zip(columns[1:], row[1:], strict=False))
    return named


def _summary(cells: Mapping[str, str]) -> str:
    return "; ".join(f"{column}: {cell}" for column, cell in cells.items())
