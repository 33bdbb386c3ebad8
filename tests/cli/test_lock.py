"""``ringfence lock``: learn, show and check the statement lock."""

import shlex
import sys

import pytest

from ringfence.cli.commands import run

APP = """
import sqlite3
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from ringfence import Guard, access

@access.require(access.public)
async def find(request):
    with sqlite3.connect(":memory:") as db:
        name = "Bob".lower()
        return JSONResponse(db.execute(f"SELECT '{name}'").fetchall())

app = Guard(Starlette(routes=[Route("/find", find)]))
"""
TEST = """
import sys
from starlette.testclient import TestClient
from locked_app import app

with TestClient(app, base_url="http://localhost", client=("127.0.0.1", 5)) as client:
    assert client.get("/find").json() == [["bob"]]
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "locked_app.py").write_text(APP)
    (tmp_path / "checks.py").write_text(TEST)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RINGFENCE_ENV", "development")
    monkeypatch.setenv("RINGFENCE_DATA", str(tmp_path / "var"))
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("locked_app", None)


def lock(*words):
    return run(["lock", "locked_app:app", *words])


def test_learn_show_and_check(project, capsys):
    command = f"{shlex.quote(sys.executable)} checks.py"
    assert lock("--learn", f"{command} 0") == 0
    told = capsys.readouterr().out
    assert "select ?" in told
    assert "locked_app.find" in told
    assert "1 statement, 1 of them new" in told
    assert "RINGFENCE_INTERPRETERS_SQL_LOCK_MODE=enforce" in told
    assert lock() == 0
    assert "select ?" in capsys.readouterr().out
    assert lock("--check") == 0
    assert "in order" in capsys.readouterr().out
    assert lock("--learn", f"{command} 3") == 1
    assert "The tests failed (3)" in capsys.readouterr().out
    file = project / "statements.lock"
    file.write_text(file.read_text().replace("select ?", "SELECT  ?"))
    assert lock("--check") == 1
    assert "not in the form of a shape" in capsys.readouterr().out


def test_nothing_to_learn_is_told(project, capsys):
    assert lock("--learn", f"{shlex.quote(sys.executable)} -c 1") == 0
    assert "put no statement together" in capsys.readouterr().out
    assert not (project / "statements.lock").exists()
