"""What a benchmark has to say: a section of tables, and the figures that have goals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple


class Figure(NamedTuple):
    """One measured figure beside its goal.

    Args:
        what: in a few words.
        peers: what others need, empty where there is nothing to compare with.
        goal: in words.
        measured: in words.
        kept: whether the goal is reached.
    """

    what: str
    peers: str
    goal: str
    measured: str
    kept: bool


@dataclass(frozen=True, slots=True)
class Section:
    """Tables of one benchmark.

    Args:
        title: of the section.
        lines: Markdown.
        figures: those that have goals.
    """

    title: str
    lines: tuple[str, ...]
    figures: tuple[Figure, ...]


def summary(figures: Iterable[Figure]) -> list[str]:
    """Return the table of all figures with goals."""
    lines = [
        "| | today's packages | goal | measured | |",
        "|---|---|---|---|---|",
    ]
    for one in figures:
        verdict = "kept" if one.kept else "**missed**"
        lines.append(
            f"| {one.what} | {one.peers or '-'} | {one.goal} | {one.measured} "
            f"| {verdict} |"
        )
    return lines
