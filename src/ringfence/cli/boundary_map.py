"""``ringfence map``: which input of which route has reached which interpreter."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from ringfence.audit.redact import escape_controls
from ringfence.interpreters.boundary_map import (
    WAYS,
    BoundaryMap,
    Crossing,
    encode,
    read,
)

_NOTHING = (
    "The map is empty: no input has reached an interpreter while it was kept.\n"
    "Next: send requests that do something, or run the tests, and stop the server."
)


def show(file: Path, form: str) -> int:
    """Print a map as text, JSON or a picture.

    Args:
        file: that a guard has kept.
        form: ``text``, ``json`` or ``svg``.

    Raises:
        SettingsError: there is no map.
    """
    kept = read(file)
    if form == "json":
        text = encode(kept).decode()
    else:
        text = (draw if form == "svg" else describe)(kept) + "\n"
    sys.stdout.write(text)
    return 0


def describe(kept: BoundaryMap) -> str:
    """Return a map as a table, what is most dangerous first."""
    if not kept.crossings:
        return _NOTHING
    header = ("WAY", "INTERPRETER", "ROUTE", "INPUT", "TIMES")
    rows = [
        (
            crossing.way,
            f"{crossing.interpreter} ({crossing.driver})",
            crossing.route or "-",
            _input(crossing),
            str(times),
        )
        for crossing, times in sorted(kept.crossings.items(), key=_by_danger)
    ]
    cells = [tuple(map(escape_controls, row)) for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    table = "\n".join(
        "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in cells
    )
    return "\n\n".join(filter(None, (table, _advice(kept))))


def _advice(kept: BoundaryMap) -> str:
    raw = {crossing for crossing in kept.crossings if crossing.way == "raw"}
    told = []
    if raw:
        routes = ", ".join(sorted({crossing.route or "-" for crossing in raw}))
        told.append(
            f"{len(raw)} reach an interpreter raw, as part of its code: {routes}\n"
            "Next: bind them, or use the safe ways in docs/attacks."
        )
    if kept.dropped:
        told.append(f"{kept.dropped} more were counted, but not kept.")
    return "\n".join(told)


def _by_danger(item: tuple[Crossing, int]) -> tuple[int, Crossing]:
    crossing = item[0]
    place = WAYS.index(crossing.way) if crossing.way in WAYS else -1
    return place, crossing


def _input(crossing: Crossing) -> str:
    return f"{crossing.place} {crossing.name}".strip()


# The picture: routes on the left, inputs in the middle, interpreters on the right.

_ROW, _TOP, _BOX = 34, 92, 26  # pixels: of a row, above the first, of a box
_COLUMNS = ((24, 260), (380, 220), (720, 220))  # where each begins, and how wide it is
_AT = " at "  # tells the inputs of routes apart; only the picture's lines show it
_WIDTH = 964
_LETTER = 7.3  # pixels that a letter takes, at 13

_STYLE = """
svg { color-scheme: light dark; background: #fbfaf7; font: 13px system-ui, sans-serif }
text { fill: #23303b } .head { font-weight: 600; fill: #5b6873 }
.box { fill: #fff; stroke: #cfd6db } path { fill: none; stroke-width: 1.6 }
.bound { stroke: #2f8f6b } .escaped { stroke: #3f72b5 }
.raw { stroke: #c8442f; stroke-width: 2.6; stroke-dasharray: 6 3 }
.route { stroke: #b6c0c7 }
@media (prefers-color-scheme: dark) {
svg { background: #14191d } text { fill: #e4e9ec } .head { fill: #94a3ad }
.box { fill: #1d252b; stroke: #3a464e } .bound { stroke: #55c79b }
.escaped { stroke: #79aaf0 } .raw { stroke: #ff7a63 } .route { stroke: #4b5861 } }
"""


@dataclass(frozen=True, slots=True)
class _Column:
    """One column of boxes, from the top down."""

    left: int
    width: int
    names: tuple[str, ...]

    def middle(self, name: str) -> int:
        return _TOP + self.names.index(name) * _ROW + _BOX // 2

    def draw(self) -> Iterable[str]:
        for place, name in enumerate(self.names):
            top = _TOP + place * _ROW
            yield (
                f'<rect class="box" x="{self.left}" y="{top}" rx="6" '
                f'width="{self.width}" height="{_BOX}"/>'
                f'<text x="{self.left + 10}" y="{top + 17}">'
                f"{_shown(name.partition(_AT)[0], self.width)}"
                f"<title>{_shown(name)}</title></text>"
            )


def draw(kept: BoundaryMap) -> str:
    """Return a map as a picture (SVG) that needs nothing else, dark or light."""
    crossings = sorted(kept.crossings)
    columns = [
        _Column(left, width, _names(crossings, place))
        for place, (left, width) in enumerate(_COLUMNS)
    ]
    height = _TOP + max(1, *(len(column.names) for column in columns)) * _ROW + 24
    heads = zip(_COLUMNS, ("Route", "Input", "Interpreter"), strict=True)
    start = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img">'
    )
    return "\n".join(
        (
            start,
            "<title>What has reached which interpreter</title>",
            f"<style>{_STYLE}</style>",
            *_legend(),
            *(
                f'<text class="head" x="{left}" y="{_TOP - 14}">{head}</text>'
                for (left, _), head in heads
            ),
            *_lines(crossings, columns),
            *(box for column in columns for box in column.draw()),
            "</svg>",
        )
    )


def _names(crossings: Sequence[Crossing], place: int) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_ends(crossing)[place] for crossing in crossings))


def _ends(crossing: Crossing) -> tuple[str, str, str]:
    """Return what a crossing is called in each column."""
    route = crossing.route or "-"
    interpreter = f"{crossing.interpreter} ({crossing.driver})"
    return route, _input(crossing) + _AT + route, interpreter


def _lines(crossings: Sequence[Crossing], columns: Sequence[_Column]) -> Iterable[str]:
    left, middle, right = columns
    joined = {_ends(crossing)[:2] for crossing in crossings}
    for route, given in sorted(joined):
        yield _line(left, route, middle, given, "route")
    # The dangerous ones last, on top of the others.
    for crossing in sorted(crossings, key=lambda each: -WAYS.index(each.way)):
        _, given, interpreter = _ends(crossing)
        yield _line(middle, given, right, interpreter, crossing.way)


def _line(start: _Column, name: str, end: _Column, other: str, kind: str) -> str:
    x, y = start.left + start.width, start.middle(name)
    to_x, to_y = end.left, end.middle(other)
    bend = (x + to_x) // 2
    return f'<path class="{kind}" d="M{x} {y}C{bend} {y} {bend} {to_y} {to_x} {to_y}"/>'


def _legend() -> Iterable[str]:
    for place, way in enumerate(reversed(WAYS)):
        x = 24 + place * 120
        yield f'<path class="{way}" d="M{x} 34h34"/>'
        yield f'<text x="{x + 42}" y="38">{way}</text>'


def _shown(name: str, width: int = 0) -> str:
    """Return a name that fits: names of fields are the sender's choice."""
    name = escape_controls(name)
    most = int((width - 20) / _LETTER) if width else len(name)
    return escape(name if len(name) <= most else name[: most - 1] + "…")
