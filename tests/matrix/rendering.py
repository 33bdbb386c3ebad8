"""The table of coverage as a page: ``python -m tests.matrix.rendering`` writes it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.matrix.cells import CELLS
from tests.matrix.runner import PLACES
from tests.matrix.tried import LOOPS, Outcomes, attempt, world
from tests.servers.mongo import running_mongo
from tests.servers.postgres import running_postgres

from ringfence.check.blind import BLIND

PAGE = Path(__file__).parents[2] / "docs" / "attacks" / "coverage.md"

_HEAD = """\
# What is guarded, and what is not

Written by `python -m tests.matrix.rendering` from what was tried; a test fails when it
is out of date. Each cell is an attack that is carried out without the guard, and was
tried with it: on asyncio (a) and on uvloop (u), in every place that code can run in.

- **yes**: refused, and the request is answered with 403.
- **floor**: refused by the process-wide floor. The thread carries no request, so the
  text is compared with what all requests in progress have brought; the exception is
  raised in the thread, and the handler decides what it answers.
- **-**: the call only runs in the event loop.

A "plain thread" here inherits no context, as on Python before 3.14.
"""
_NOT_SEEN = """
## What no guard sees

`ringfence check` names these where an application uses them.

| library | what escapes | instead |
|---|---|---|
"""
_LIMITS = """
## What holds for all of them

- A value is recognised as it was sent, or as it is after decoding (percent, base64,
  hexadecimal, HTML entities, JSON in a string, Unicode compatibility forms, gzip
  around a body, the charset of a form, blanks made one), as a whole or as one
  part of a list. One that the application cuts, reverses, encrypts or puts together
  from several others is not; the statement lock stands behind that for SQL.
- A worker that was started elsewhere and takes jobs from a queue works for nobody once
  the request that has put the job there is answered: what it does is not judged then.
- Text that was stored by another request is not an input of this one. Against it stand
  the statement lock, SQLAlchemy's and the drivers' parameters, autoescape and the CSP.
- MySQL's drivers are asked before they send, but no MySQL server was run.
- MongoDB's protocol was spoken by nx-27017, which is no MongoDB; ldap3 is tried here
  with its own offline server.
- `os.stat`, `os.path.exists` and `os.readlink` raise no event, so that a path can be
  asked about, though not opened.
- granian's and hypercorn's own loops are asyncio's or uvloop's; trio is not guarded.
"""

Runs = Mapping[str, Mapping[str, Outcomes]]
"""By loop, then by guard: ``off`` or ``on``."""


def render(runs: Runs) -> str:
    """Return the page.

    Raises:
        ValueError: an attack was carried out, or the table was tried in part only.
    """
    return "".join((_HEAD, *_tables(runs), _NOT_SEEN, *_blind(), _LIMITS))


def _tables(runs: Runs) -> Iterator[str]:
    for interpreter in dict.fromkeys(cell.interpreter for cell in CELLS):
        yield f"\n## {interpreter}\n\n| by | {' | '.join(PLACES)} |\n"
        yield "|---|" + "---|" * len(PLACES) + "\n"
        for cell in CELLS:
            if cell.interpreter == interpreter:
                shown = [_shown(runs, cell.name, place) for place in PLACES]
                yield f"| {cell.driver} | {' | '.join(shown)} |\n"


def _shown(runs: Runs, name: str, place: str) -> str:
    told = {loop: runs[loop]["on"][name].get(place) for loop in LOOPS}
    words = {"403": "yes", "raised": "floor", None: "-"}
    if set(told.values()) - set(words):
        raise ValueError(f"{name}, {place}: {told}")
    if len(set(told.values())) == 1:
        word = words[told["asyncio"]]
        return word if word == "-" else f"{word} (a, u)"
    return ", ".join(f"{words[outcome]} ({loop[0]})" for loop, outcome in told.items())


def _blind() -> Iterator[str]:
    for blind in sorted(BLIND, key=lambda each: each.module):
        yield f"| {blind.module} | {blind.what} | {blind.instead} |\n"


def try_all() -> Runs:
    """Start what is needed and try every cell."""
    with (
        running_postgres() as server,
        server.database() as database,
        running_mongo() as mongo,
        tempfile.TemporaryDirectory() as folder,
    ):
        made = world(Path(folder), database, mongo)
        return {
            loop: {guard: attempt(made, loop, guard) for guard in ("off", "on")}
            for loop in LOOPS
        }


if __name__ == "__main__":
    PAGE.write_text(render(try_all()), "utf-8")
