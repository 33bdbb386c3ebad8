"""What users install is what stands here, and nothing of any machine is in it."""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

import ringfence

PROJECT = Path(__file__).parent.parent
PACKAGE = PROJECT / "src" / "ringfence"
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel as hatchling builds it, without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    script = "import sys; from hatchling.build import build_wheel as b; b(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        cwd=PROJECT,
        capture_output=True,
        timeout=120,
        check=True,
    )
    (file,) = folder.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        yield archive


def test_wheel_holds_every_file_of_the_package(wheel):
    """Pages, styles, migrations and py.typed are shipped, not only the modules."""
    shipped = {name for name in wheel.namelist() if ".dist-info/" not in name}
    files = {
        f"ringfence/{file.relative_to(PACKAGE).as_posix()}"
        for file in PACKAGE.rglob("*")
        if file.is_file() and file.parent.name != "__pycache__"
    }
    assert shipped == files
    assert "ringfence/py.typed" in shipped


def test_wheel_carries_licence_and_command(wheel):
    names = {name.partition(".dist-info/")[2] for name in wheel.namelist()}
    assert {"licenses/LICENSE", "entry_points.txt"} <= names


def test_version_is_told_once():
    assert version("ringfence") == PYPROJECT["project"]["version"]


def test_public_names_are_the_visible_ones():
    """``__all__`` names what ``ringfence/__init__.py`` brings in, in order."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text("utf-8"))
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(ringfence.__all__) == imported
    assert list(ringfence.__all__) == sorted(ringfence.__all__)


# Requirements


def pins(name):
    """Return the pinned versions of requirements/NAME.txt, markers included."""
    text = (PROJECT / "requirements" / f"{name}.txt").read_text("utf-8")
    logical = text.replace("\\\n", " ").splitlines()
    found = {}
    for line in logical:
        pin, *hashes = line.split("--hash=sha256:")
        package, _, exact = pin.strip().partition("==")
        assert package
        assert exact
        assert hashes, f"{package} has no hash"
        found[normal(package)] = exact
    return found


def normal(package):
    return re.sub(r"[-_.]+", "-", package).lower()


def wanted(lines):
    """Return the package names of requirement lines, extras and comments left out."""
    names = (re.match(r"[A-Za-z0-9._-]+", line) for line in lines)
    return {normal(match[0]) for match in names if match} - {"ringfence"}


# Extras that the example does without; their tests hold them.
NOT_SERVED = {"asyncpg", "bcrypt", "litestar"}


def test_requirements_hold_what_the_project_asks_for():
    """After a change of pyproject.toml or a .in file: make requirements."""
    project = PYPROJECT["project"]
    extras = dict(project["optional-dependencies"])
    tested = wanted(line for name in NOT_SERVED for line in extras.pop(name))
    asked = wanted(line for extra in extras.values() for line in extra)
    assert asked | wanted(project["dependencies"]) <= set(pins("serve"))
    assert tested <= set(pins("test"))
    for name in ("serve", "test", "bench", "build", "image"):
        file = PROJECT / "requirements" / f"{name}.in"
        assert wanted(file.read_text("utf-8").splitlines()) <= set(pins(name))


@pytest.mark.parametrize("larger", ["test", "bench"])
def test_larger_requirements_agree_with_serve(larger):
    """One environment can hold both, and benchmarks compare the same versions."""
    assert pins("serve").items() <= pins(larger).items()


@pytest.mark.parametrize("smaller", ["build", "image"])
def test_smaller_requirements_agree_with_serve(smaller):
    """The image runs what has been tested."""
    assert pins(smaller).items() <= pins("serve").items()


# Tracked text


def tracked_files():
    done = subprocess.run(
        ["git", "ls-files", "-z"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        pytest.skip("not a git checkout")
    return [PROJECT / name for name in done.stdout.split("\0") if name]


# Written in pieces, so that this file does not name them.
FOREIGN = [
    "pypi" + ".org",
    "python" + "hosted.org",
    "registry.npm" + "js.org",
    "deb." + "debian.org",
    "/work" + "/main",
    "/work" + "/shared",
    ".." + "/shared",
    "/tmp" + "/probe",
    "/tmp" + "/tools",
    "/tmp" + "/brief",
]


def test_no_machine_and_no_registry_is_named():
    """A clone works behind any package index and in any folder."""
    found = []
    for file in tracked_files():
        if not file.is_file():
            continue  # removed, not committed yet
        text = file.read_text("utf-8", errors="replace")
        found += [f"{file.name}: {word}" for word in FOREIGN if word in text]
    assert not found
