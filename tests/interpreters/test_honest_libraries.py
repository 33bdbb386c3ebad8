"""Guards do not stand in the way of libraries, whatever words a request holds."""

import subprocess
import sys
from pathlib import Path


def test_libraries_at_work():
    """Imports within a handler, logs, databases, pages, caches, temporary files."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.interpreters.libraries_at_work"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "[]", done.stderr
