"""A backend pays only for what it uses: extras stay optional."""

import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "ringfence"

# The dependencies of pyproject.toml, with what they bring along.
CORE = {"ringfence", "argon2", "_argon2_cffi_bindings", "cffi", "_cffi_backend"}
CORE |= {"cryptography", "msgspec", "nh3", "sqlglot"}

# Folders with files that are the home of an optional library. The folder itself, its
# settings and what opens it must do without all the same.
WITH_EXTRAS = {"cli", "console", "frameworks", "identity", "interpreters", "stores"}
# Folders of a room that are one way to use it: imported by who has the library.
WITH_EXTRAS |= {"access/fields", "access/mongo"}
WITH_EXTRAS |= {"access/row_security", "access/sqlalchemy"}
ALWAYS_BARE = {"__init__", "contracts", "open", "settings", "table"}
ALWAYS_BARE |= {"arm", "hook", "sink", "untrusted"}
# Within the other rooms, what is the home of an optional library and is imported by
# those who have it.
HOMES = ("access/sqlalchemy/", "access/mongo/", "access/fields/pydantic.py")

SCRIPT = """
import sys
core, names = {core!r}, {names!r}

class Block:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names and top not in core:
            raise ModuleNotFoundError("blocked", name=name)

sys.meta_path.insert(0, Block())
for name in names:
    try:
        __import__(name)
    except ImportError as error:
        print(name, error.name)
"""


def must_import_bare(file):
    path = file.relative_to(SOURCE)
    folders = {path.parts[0], path.parent.as_posix()}
    return WITH_EXTRAS.isdisjoint(folders) or (
        len(path.parts) == 2 and path.stem in ALWAYS_BARE
    )


def dotted(file):
    parts = ("ringfence", *file.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def import_bare(names):
    """Import in a fresh interpreter; return what failed, with the missing library."""
    script = SCRIPT.format(core=CORE, names=names)
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return dict(line.split() for line in done.stdout.splitlines())


def test_rooms_import_without_extras():
    """With the core dependencies alone every room imports; extras come with use."""
    files = [file for file in SOURCE.rglob("*.py") if must_import_bare(file)]
    assert import_bare(sorted(map(dotted, files))) == {}


@pytest.mark.parametrize("library", ["starlette", "sqlalchemy", "fastapi", "jinja2"])
def test_blocking_blocks(library):
    """The test above would see a library that is imported where it should not be."""
    assert import_bare([library]) == {library: library}
