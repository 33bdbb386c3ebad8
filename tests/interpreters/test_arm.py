"""Guards are put into libraries, whenever these are imported."""

import importlib
import sys

import pytest

from ringfence.interpreters import arm


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A library, and the module that guards it."""
    (tmp_path / "armed_library.py").write_text("guarded = 0\n")
    (tmp_path / "guard_of_library.py").write_text(
        "import armed_library\ndef arm():\n    armed_library.guarded += 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(arm, "GUARDED", {"armed_library": "guard_of_library"})
    monkeypatch.setattr(arm, "_armed", set())
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    monkeypatch.setattr(
        sys,
        "meta_path",
        [each for each in sys.meta_path if type(each).__name__ != "_Arming"],
    )
    yield "armed_library"
    for name in ("armed_library", "guard_of_library"):
        sys.modules.pop(name, None)


def test_library_that_is_there(library):
    found = importlib.import_module(library)
    arm.arm()
    assert found.guarded == 1


def test_library_that_comes_later(library):
    """A handler that imports its driver at the first request is guarded too."""
    arm.arm()
    assert importlib.import_module(library).guarded == 1


def test_library_is_armed_once(library):
    """Several guards in one process do not judge twice."""
    found = importlib.import_module(library)
    arm.arm()
    arm.arm()
    assert found.guarded == 1


def test_loader_still_answers(library):
    """Tools that ask the loader of a module (for its source, say) get an answer."""
    arm.arm()
    spec = importlib.util.find_spec(library)
    assert "guarded" in spec.loader.get_source(library)
