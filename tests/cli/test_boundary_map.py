"""``ringfence map``: the boundary map as a table, JSON and a picture."""

import json
from xml.etree import ElementTree as ET

import pytest

from ringfence.cli.main import main
from ringfence.interpreters.boundary_map import BoundaryMap, save
from ringfence.interpreters.untrusted import Input


@pytest.fixture
def file(tmp_path):
    kept = BoundaryMap()
    sqlite, shell = ("sql", "sqlite3"), ("shell", "subprocess")
    kept.reached(Input("a", "query", "q", "/products"), *sqlite, "bound")
    kept.reached(Input("a", "json", "name<b>\x1b[2J", "/exports"), *shell, "raw")
    path = tmp_path / "map.json"
    save(kept, path)
    return path


def test_table(file, capsys):
    """What is dangerous comes first, with what to do about it."""
    assert main(["map", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:4] == ["raw", "shell", "(subprocess)", "/exports"]
    assert lines[2].split()[:4] == ["bound", "sql", "(sqlite3)", "/products"]
    assert any(line.startswith("Next:") for line in lines)


def test_json(file, capsys):
    assert main(["map", str(file), "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)["crossings"]
    assert [(row["route"], row["way"]) for row in rows] == [
        ("/exports", "raw"),
        ("/products", "bound"),
    ]


def test_picture(file, capsys):
    """It is well-formed, and names of fields stay text in it."""
    assert main(["map", str(file), "--format", "svg"]) == 0
    picture = capsys.readouterr().out
    texts = "".join(ET.fromstring(picture).itertext())
    assert "/exports" in texts
    assert "name<b>" in texts
    assert "\x1b" not in picture


def test_empty_map_says_what_to_do(tmp_path, capsys):
    path = tmp_path / "map.json"
    save(BoundaryMap(), path)
    assert main(["map", str(path)]) == 0
    assert "Next:" in capsys.readouterr().out


def test_no_map(tmp_path, capsys):
    """Somebody who never kept one hears how."""
    assert main(["map", str(tmp_path / "none.json")]) == 2
    assert "RINGFENCE_INTERPRETERS_BOUNDARY_MAP" in capsys.readouterr().err
