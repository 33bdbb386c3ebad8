"""Every block of Python on the pages that teach runs as it is printed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
DOCS = PROJECT / "docs"
BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)
NAMED = re.compile(r"# (?P<file>\w+\.py)\n")

README_HOLDS = """\
from starlette.testclient import TestClient
from main import app
from ringfence.testing import assert_refused, signed_in

def test_it():
    here = ("127.0.0.1", 50000)
    with TestClient(app, base_url="http://localhost", client=here) as client:
        assert client.get("/hello").json() == "hello, world"
        assert_refused(client.get("/me"), "access.not_signed_in", 401)
        with signed_in(client, app) as visitor:
            assert client.get("/me").json() == f"hello, {visitor.id}"
"""


def blocks(page):
    """Return file name and text of each block, in order; a bare one is ``main.py``."""
    found = []
    for block in BLOCK.finditer(page.read_text("utf-8")):
        named = NAMED.match(block["code"])
        found.append((named["file"] if named else "main.py", block["code"]))
    return found


def run(folder, *command):
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(folder),
        "RINGFENCE_ENV": "development",
        "RINGFENCE_DATA": str(folder / "var"),
    }
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def ringfence(folder, *words):
    return run(folder, "-m", "ringfence.cli.main", *words)


def printed(folder, page, file, which=-1):
    """Write one state of a file that the page prints."""
    states = [code for name, code in blocks(page) if name == file]
    (folder / file).write_text(states[which], "utf-8")


@pytest.mark.parametrize(
    "page",
    [
        DOCS / "tutorial.md",
        DOCS / "frameworks.md",
        DOCS / "guides" / "identity" / "passkeys.md",
        DOCS / "guides" / "identity" / "tokens.md",
        DOCS / "guides" / "identity" / "openid.md",
        DOCS / "guides" / "identity" / "mail.md",
        DOCS / "guides" / "identity" / "api-keys.md",
        DOCS / "guides" / "identity" / "recovery.md",
        DOCS / "guides" / "identity" / "reasons.md",
        DOCS / "guides" / "identity" / "refresh.md",
        DOCS / "guides" / "identity" / "second-factors.md",
        DOCS / "guides" / "identity" / "browser-client.md",
        DOCS / "guides" / "ownership" / "fields.md",
        DOCS / "guides" / "ownership" / "routes.md",
        DOCS / "guides" / "ownership" / "mongo.md",
        DOCS / "guides" / "ownership" / "ids.md",
        DOCS / "guides" / "ownership" / "statements.md",
        DOCS / "guides" / "ownership" / "proof.md",
        DOCS / "guides" / "ownership" / "row-security.md",
    ],
)
def test_every_block_runs_in_its_turn(tmp_path, page):
    """Files replace one another; tests are run when they are printed."""
    for file, code in blocks(page):
        (tmp_path / file).write_text(code, "utf-8")
        if file.startswith("test_"):
            command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", file]
        elif code.count("Guard(api)") and "access" not in code:
            continue  # what refuses to start is looked at below
        else:
            command = [file]
        status, told = run(tmp_path, *command)
        assert status == 0, f"{page.name}: {file}:\n{told}"


def test_the_pages_on_ownership_run(tmp_path):
    """In one process, since each start would cost a second."""
    guides = DOCS / "guides"
    for file, code in blocks(guides / "ownership.md"):
        (tmp_path / file).write_text(code, "utf-8")
    (tmp_path / "test_reports.py").write_text(
        "import reports\n\n\ndef test_it():\n    assert reports.count\n", "utf-8"
    )
    for name in ("sqlalchemy", "tenants"):
        (_, code), *_ = blocks(guides / "ownership" / f"{name}.md")
        test = f"def test_it():\n    exec({code!r}, {{'__name__': {name!r}}})\n"
        (tmp_path / f"test_{name}.py").write_text(test, "utf-8")
    status, told = run(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert status == 0, told
    assert "4 passed" in told


def test_the_tutorial_tells_what_is_missing(tmp_path):
    """Step 2: without a policy nothing starts, and the message is the one printed."""
    page = DOCS / "tutorial.md"
    printed(tmp_path, page, "main.py", which=1)
    code, told = ringfence(tmp_path, "dev", "main:app", "--port", "0")
    assert code == 1
    first, second = told.splitlines()[:2]
    text = page.read_text("utf-8")
    assert first in text
    assert second.replace(str(tmp_path), "/home/ann") in text


def test_the_tutorial_shows_the_plan_and_the_reason(tmp_path):
    """Step 6: what the commands print is what the page shows."""
    page = DOCS / "tutorial.md"
    printed(tmp_path, page, "main.py")
    text = re.sub(" +", " ", page.read_text("utf-8"))
    code, told = ringfence(tmp_path, "plan", "main:app")
    assert code == 0
    routes = [line for line in told.splitlines() if " /notes" in line]
    assert len(routes) == 3
    for line in routes:
        assert re.sub(" +", " ", line) in text
    code, told = ringfence(tmp_path, "why", "--try", "DELETE /notes", "main:app")
    assert code == 1
    lines = told.splitlines()
    assert lines[0] in text
    assert lines[-2].strip() in text
    code, told = ringfence(tmp_path, "export", "nginx", "main:app")
    assert code == 0
    assert "location" in told


def test_the_readme_does_what_it_says(tmp_path):
    """Ten lines: one success, one refusal, and no start with a policy left out."""
    page = PROJECT / "README.md"
    printed(tmp_path, page, "main.py")
    whole = (tmp_path / "main.py").read_text("utf-8")
    (tmp_path / "test_readme.py").write_text(README_HOLDS, "utf-8")
    code, told = run(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert code == 0, told
    before = "@access.require(access.public)\n"
    (tmp_path / "main.py").write_text(whole.replace(before, ""), "utf-8")
    code, told = ringfence(tmp_path, "dev", "main:app", "--port", "0")
    assert code == 1
    assert "GET /hello" in told
    assert "main.py:7" in told
