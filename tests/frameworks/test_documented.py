"""The examples of docs/frameworks.md run as they stand."""

import logging
import re
import sys
from importlib import import_module
from pathlib import Path

import pytest
from starlette.testclient import TestClient

PAGE = (Path(__file__).parents[2] / "docs" / "frameworks.md").read_text("utf-8")
EXAMPLES = dict(re.findall(r"```python\n# (\w+)\.py\n(.*?)```", PAGE, re.DOTALL))


@pytest.fixture
def same_logging():
    """Litestar sets the root logger and its own, for the tests that follow too."""
    loggers = (logging.root, logging.getLogger("litestar"))
    before = [(each.level, each.propagate, each.handlers[:]) for each in loggers]
    yield
    for each, (level, propagate, handlers) in zip(loggers, before, strict=True):
        each.setLevel(level)
        each.propagate = propagate
        each.handlers[:] = handlers


@pytest.fixture
def example(tmp_path, monkeypatch, same_logging):
    """Write the examples into a folder; return a function that imports one."""
    for name, text in EXAMPLES.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("RINGFENCE_ENV", "development")
    monkeypatch.setenv("RINGFENCE_DATA", str(tmp_path / "data"))
    yield import_module
    for name in EXAMPLES:
        sys.modules.pop(name, None)


def test_the_litestar_example_passes_its_test(example):
    tests = example("test_litestar_notes")
    tests.test_notes_are_for_those_who_are_signed_in()


@pytest.mark.parametrize(
    ("module", "answers"),
    [
        ("starlette_notes", {"/notes": 401, "/nothing": 404}),
        ("plain_notes", {"/hello": 200, "/notes/7": 401, "/notes/7/8": 404}),
        ("litestar_notes", {"/hello": 200, "/notes": 401, "/schema": 200}),
    ],
)
def test_the_other_examples_start_and_answer(example, module, answers):
    app = example(module).app
    here = ("127.0.0.1", 50000)
    with TestClient(app, base_url="http://127.0.0.1:8000", client=here) as client:
        for path, status in answers.items():
            assert client.get(path).status_code == status, path
