"""Processes that start at once on a fresh folder migrate once, and all of them work."""

import os
import sqlite3
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path

PROJECT = Path(__file__).parents[2]


def test_five_processes_migrate_once(tmp_path):
    path = tmp_path / "fresh" / "store.db"
    url = f"sqlite:///{path}"
    with ExitStack() as stack:
        starters = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "tests.faults.starter", url, f"a{number}"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    cwd=PROJECT,
                    env=os.environ | {"PYTHONPATH": str(PROJECT)},
                )
            )
            for number in range(5)
        ]
        for starter in starters:
            assert starter.stdout.readline() == "ready\n"
        for starter in starters:
            starter.stdin.write("go\n")
            starter.stdin.flush()
        for starter in starters:
            _, errors = starter.communicate(timeout=60)
            assert starter.returncode == 0, errors
    with closing(sqlite3.connect(path)) as connection:
        count = connection.execute("SELECT count(*) FROM ringfence_accounts")
        assert count.fetchone() == (5,)
        versions = connection.execute("SELECT count(*) FROM ringfence_schema")
        assert versions.fetchone() == (1,)
