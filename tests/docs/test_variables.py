"""Every variable that a page names is one that is read, with a value that it takes."""

import re
from pathlib import Path

import pytest

from ringfence import Settings
from ringfence.settings import load

PROJECT = Path(__file__).parents[2]
PAGES = [*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")]
PAGES += (PROJECT / "examples").rglob("*.md")
NAME = re.compile(r"RINGFENCE_[A-Z][A-Z0-9_]*[A-Z0-9](?![A-Z0-9_.])")
GIVEN = re.compile(r"(RINGFENCE_[A-Z0-9_]+)=([^\s`;)]+)")
KNOWN = set(load._Shape.of(Settings).variables())
HERE = {  # values that need what is not here
    "RINGFENCE_IDENTITY_TEMPLATES",
    "RINGFENCE_DRY_RUN",
    "RINGFENCE_DRY_RUN_UNTIL",
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_every_variable_is_known(page):
    assert set(NAME.findall(page.read_text("utf-8"))) <= KNOWN


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_every_value_is_taken(page):
    for name, value in GIVEN.findall(page.read_text("utf-8")):
        if name not in HERE and not value.startswith(("<", ".", '"')):
            Settings.load(environ={name: value})
