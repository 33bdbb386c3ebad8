"""Which input of which route has reached which interpreter."""

import subprocess
import sys
from contextlib import ExitStack

import pytest

from ringfence.errors import SettingsError
from ringfence.interpreters.boundary_map import BoundaryMap, encode, read, save
from ringfence.interpreters.untrusted import Input

SQLITE = ("sql", "sqlite3")
QUERY = Input("lamp", "query", "q", "/api/products")


def test_crossings_are_counted():
    kept = BoundaryMap()
    kept.reached(QUERY, *SQLITE, "bound")
    kept.reached(QUERY, *SQLITE, "bound")
    kept.reached(QUERY, *SQLITE, "raw")
    assert sorted(kept.crossings.values()) == [1, 2]


def test_no_value_is_kept():
    """The map is committed and passed around: it holds names, and no secrets."""
    kept = BoundaryMap()
    kept.reached(Input("hunter2", "json", "password"), *SQLITE, "bound")
    assert b"hunter2" not in encode(kept)


def test_senders_cannot_fill_the_memory():
    """Names of fields are the sender's choice."""
    kept = BoundaryMap()
    for number in range(6_000):
        kept.reached(Input("x", "query", f"{number:04}" * 100), *SQLITE, "bound")
    assert len(kept.crossings) == 5_000
    assert kept.dropped == 1_000
    assert max(len(each.name) for each in kept.crossings) == 60


def test_runs_add_up(tmp_path):
    """A second run adds to what the first one has found."""
    path = tmp_path / "map.json"
    first, second = BoundaryMap(), BoundaryMap()
    first.reached(QUERY, *SQLITE, "bound")
    second.reached(QUERY, *SQLITE, "bound")
    second.reached(QUERY, "shell", "subprocess", "raw")
    save(first, path)
    save(second, path)
    assert sorted(read(path).crossings.values()) == [1, 2]
    assert [file.name for file in tmp_path.iterdir()] == ["map.json"]


ADDING = """
import sys
from pathlib import Path
from ringfence.interpreters.boundary_map import BoundaryMap, save
from ringfence.interpreters.untrusted import Input

for _ in range(20):
    kept = BoundaryMap()
    kept.reached(Input("x", "query", "q"), "sql", "sqlite3", "bound")
    save(kept, Path(sys.argv[1]))
"""


def test_workers_that_end_at_once_add_up(tmp_path):
    path = tmp_path / "map.json"
    command = [sys.executable, "-c", ADDING, path]
    with ExitStack() as stack:
        workers = [stack.enter_context(subprocess.Popen(command)) for _ in range(3)]
    assert not any(worker.returncode for worker in workers)
    assert [*read(path).crossings.values()] == [60]
    assert [file.name for file in tmp_path.iterdir()] == ["map.json"]


@pytest.mark.parametrize("content", [None, "", "{}", '{"version": 1}', "[1"])
def test_what_is_no_map_is_said(tmp_path, content):
    path = tmp_path / "map.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match=r"map\.json"):
        read(path)


def test_a_missing_folder_is_said(tmp_path):
    with pytest.raises(SettingsError, match="folder"):
        save(BoundaryMap(), tmp_path / "none" / "map.json")
