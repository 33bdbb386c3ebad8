"""Runs the table of coverage: each cell on both loops, with the guard off and on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from tests.matrix.cells import World
from tests.servers.postgres import Database

LOOPS = ("asyncio", "uvloop")
ROOT = Path(__file__).parents[2]

Outcomes = Mapping[str, Mapping[str, str]]
"""By cell and place: ``403``, ``raised`` (the handler was told), or what was done."""


def world(folder: Path, database: Database, mongo: str) -> World:
    """Return what the ways need, from running servers."""
    return World(folder, database.arguments, database.dsn, database.url("{}"), mongo)


def attempt(made: World, loop: str, guard: str) -> Outcomes:
    """Try every cell in a process of its own."""
    given = json.dumps({**asdict(made), "folder": str(made.folder)})
    done = subprocess.run(
        [sys.executable, "-m", "tests.matrix.runner", loop, guard, given],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-4000:])
    outcomes: Outcomes = json.loads(done.stdout)
    return outcomes
