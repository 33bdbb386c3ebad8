"""Each file and each test that a page of standards or attacks names is there."""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
TESTS = PROJECT / "tests"
PACKAGE = PROJECT / "src" / "ringfence"
STANDARDS = sorted((PROJECT / "docs" / "standards").glob("*.md"))
ATTACKS = sorted((PROJECT / "docs" / "attacks").glob("*.md"))
CODE = re.compile(r"`(?P<text>[^`\n]+)`")
FILE = re.compile(r"(?P<file>[\w./-]*\w\.py)(?:::(?P<test>test_\w+))?\Z")
TEST = re.compile(r"(?:::)?(?P<test>test_\w+)\Z")
DEFINED = re.compile(r"^ *(?:async )?def (?P<test>test_\w+)", re.MULTILINE)


def is_at_the_end(path, named):
    """Whether a name, maybe without its first folders, means this file."""
    return f"/{path.as_posix()}".endswith(f"/{named}")


def named_in(page):
    """Return what a page names in the style of code: files and tests."""
    for found in CODE.finditer(page.read_text("utf-8")):
        text = found["text"]
        if file := FILE.match(text):
            yield file["file"], file["test"]
        elif test := TEST.match(text):
            yield None, test["test"]


@pytest.fixture(scope="module")
def sources():
    """Return the text of every file of the package and of the tests."""
    paths = [*PACKAGE.rglob("*.py"), *TESTS.rglob("*.py")]
    return {path: path.read_text("utf-8") for path in paths}


@pytest.fixture(scope="module")
def tests(sources):
    """Return the name of every test."""
    return {name for text in sources.values() for name in DEFINED.findall(text)}


@pytest.mark.parametrize("page", [*STANDARDS, *ATTACKS], ids=lambda page: page.stem)
def test_what_is_named_is_there(page, sources, tests):
    for file, test in named_in(page):
        if file is not None and page in STANDARDS:
            homes = [path for path in sources if is_at_the_end(path, file)]
            assert homes, f"{page.name}: {file}"
            if test is not None:
                there = [DEFINED.findall(sources[home]) for home in homes]
                assert any(test in names for names in there), f"{file}::{test}"
        elif test is not None:
            assert test in tests, f"{page.name}: {test}"


@pytest.mark.parametrize("page", STANDARDS, ids=lambda page: page.stem)
def test_folders_that_are_named_are_there(page):
    for found in CODE.finditer(page.read_text("utf-8")):
        if re.fullmatch(r"[\w/]+/", found["text"]):
            homes = (PACKAGE / found["text"], PROJECT / found["text"])
            assert any(home.is_dir() for home in homes), found["text"]
