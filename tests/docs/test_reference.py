"""The pages of docs/reference say what the docstrings say."""

import runpy
from pathlib import Path

import pytest

from ringfence import Settings
from ringfence.settings import load

PROJECT = Path(__file__).parents[2]
PAGES = runpy.run_path(str(PROJECT / "tools" / "reference.py"))["PAGES"]


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_up_to_date(name):
    written = (PROJECT / "docs" / "reference" / name).read_text("utf-8")
    assert written == PAGES[name](), "run: python tools/reference.py"


def test_every_variable_that_is_read_has_its_row():
    page = PAGES["settings.md"]()
    known = load._Shape.of(Settings).variables()
    assert len(known) > 80
    for variable in known:
        assert f"| `{variable}` |" in page


def test_every_setting_says_what_it_means():
    for line in PAGES["settings.md"]().splitlines():
        if line.startswith("| `RINGFENCE_"):
            assert len(line.split(" | ")[-1]) > len("meaning |"), line


def test_every_event_is_listed_once():
    text = (PROJECT / "src/ringfence/audit/events.py").read_text("utf-8")
    page = PAGES["events.md"]()
    assert page.count("\n| `") == text.count('    name: ClassVar[str] = "') - 1


def test_the_defaults_are_read_as_they_are_printed():
    """What stands in the table can be put into the environment as it is."""
    page = PAGES["settings.md"]()
    given = {}
    for line in page.splitlines():
        if line.startswith("| `RINGFENCE_"):
            variable, default = line.split(" | ")[:2]
            if default != "unset":
                given[variable.strip("| `")] = default.strip("`")
    assert "RINGFENCE_DATA" in given
    assert Settings.load(environ=given) == Settings.load(environ={})
