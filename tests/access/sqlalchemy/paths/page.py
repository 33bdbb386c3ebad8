"""The table of paths as a page: ``python -m tests.access.sqlalchemy.paths.page`` writes
it."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.access.sqlalchemy.paths.places import (
    Told,
    walk_guarded,
    wrong,
)
from tests.access.sqlalchemy.paths.runner import all_paths

PAGE = Path(__file__).parents[4] / "docs" / "attacks" / "ownership-paths.md"

_HEAD = """\
# Every way to somebody else's row

Written by `python -m tests.access.sqlalchemy.paths.page` from what was tried; a test
fails when it is out of date. Each path is walked three times: without a wall, where it
reads, changes, makes or moves a row of another's, as a connection beside it sees; with
the wall; and with the wall to one's own rows, beside plain SQLAlchemy on a database
that holds no others.

- **filtered**: nothing was there to be seen or changed.
- **refused**: an error, and nothing was seen or changed.
- **same**: with one's own rows it does what plain SQLAlchemy does. Where it is
  **refused** there too, the statement does not say whose rows it wants, or says it so
  that nobody can prove it: say it plainly, or say `unscoped("why")`. **gone**: what was
  loaded inside `unscoped` has left the session, or another session is somebody else's.
  **-**: it is no way to rows of one's own.

"""

_LIMITS = """
## What is not covered

The statements of one engine are judged, as SQLAlchemy sends them. Behind that only
row-level security stands, in PostgreSQL:

- another engine that the application makes from the same address, and connections of
  the driver that were taken before `Database(...)` was;
- a listener of `do_execute` that sends something else on the driver's cursor itself;
- what the database does by itself: `ON DELETE CASCADE`, triggers, rules, and functions
  of the application's own that read tables. Views are refused until somebody says whose
  their rows are, and so are functions of PostgreSQL and SQLite that run text;
- a row that somebody else gives away after it was loaded and before it is written: a
  flush writes by key what was one's own when it was loaded. Within one request that is
  a race; do not keep a session longer, or lock rows (`with_for_update`) that change
  hands;
- keys: who inserts a key that another's row has is told that it is taken.
"""


def render(found: Mapping[str, Told]) -> str:
    """Return the page.

    Raises:
        ValueError: a path got through, or was not tried.
    """
    return "".join((_HEAD, *_totals(found), *_tables(found), _LIMITS))


def _totals(found: Mapping[str, Told]) -> Iterator[str]:
    yield "| group | paths | filtered | refused | one's own: same | refused or gone |\n"
    yield "|---|---|---|---|---|---|\n"
    every: Counter[str] = Counter()
    groups: dict[str, Counter[str]] = {}
    for path in all_paths("sqlite"):
        told = found[path.name]
        if said := wrong(path, told):
            raise ValueError(said)
        ours = told.ours and ("same" if told.ours == "same" else "not")
        for counter in (every, groups.setdefault(path.group, Counter())):
            counter.update(("all", told.theirs, f"own {ours}"))
    for name, counter in [*groups.items(), ("**all**", every)]:
        row = [counter[key] for key in ("all", "filtered", "refused")]
        row += [counter["own same"], counter["own not"]]
        yield f"| {name} | {' | '.join(map(str, row))} |\n"


def _tables(found: Mapping[str, Told]) -> Iterator[str]:
    group = ""
    for path in sorted(all_paths("sqlite"), key=_place):
        if path.group != group:
            group = path.group
            yield f"\n## {group[0].upper()}{group[1:]}\n\n"
            yield "| path | does | another's | one's own |\n|---|---|---|---|\n"
        told = found[path.name]
        name = path.name.replace("|", "\\|")
        yield f"| {name} | {path.kind} | {told.theirs} | {told.ours or '-'} |\n"


def _place(path: object) -> int:
    groups = list(dict.fromkeys(one.group for one in all_paths("sqlite")))
    return groups.index(path.group)  # type: ignore[attr-defined] # a Path


def main() -> None:
    """Try everything, and write the page."""
    with tempfile.TemporaryDirectory() as folder:
        PAGE.write_text(
            render(walk_guarded(Path(folder), all_paths("sqlite"))), "utf-8"
        )


if __name__ == "__main__":
    main()
