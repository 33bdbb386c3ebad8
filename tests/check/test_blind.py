"""What the guards cannot see is said."""

import ctypes
import sys
from types import ModuleType

import pytest

from ringfence.check.blind import BLIND, find_blind
from ringfence.cli.main import main


def module(name, file, **globals_):
    made = ModuleType(name)
    made.__file__ = str(file)
    vars(made).update(globals_)
    return {name: made}


def test_blind_library_is_named(tmp_path):
    """With the module that uses it, and what to do instead."""
    (finding,) = find_blind(module("shop.native", tmp_path / "native.py", c=ctypes))
    assert finding.where == "shop.native"
    assert "ctypes" in finding.what
    assert finding.instead


def test_a_name_from_it_counts(tmp_path):
    """``from ctypes import CDLL`` as well as ``import ctypes``."""
    found = find_blind(module("shop.native", tmp_path / "n.py", CDLL=ctypes.CDLL))
    assert len(found) == 1


def test_libraries_inside_libraries_do_not_count():
    """argon2 uses cffi: that is its affair."""
    assert not find_blind(module("installed", ctypes.__file__, c=ctypes))


def test_every_blind_library_has_its_advice():
    assert all(blind.what and blind.instead for blind in BLIND)
    names = [blind.module for blind in BLIND]
    assert len(names) == len(set(names))


APPLICATION = """
from starlette.applications import Starlette
from ringfence import Guard
{more}
app = Guard(Starlette(routes=[]))
"""


@pytest.fixture
def backend(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RINGFENCE_ENV", "development")
    monkeypatch.setenv("RINGFENCE_DATA", str(tmp_path))

    def write(more):
        (tmp_path / "checked_backend.py").write_text(APPLICATION.format(more=more))

    yield write
    sys.modules.pop("checked_backend", None)


def test_command_finds(backend, capsys):
    backend("import ctypes")
    assert main(["check", "checked_backend:app"]) == 1
    assert "checked_backend uses ctypes" in capsys.readouterr().out


def test_command_finds_nothing(backend, capsys):
    backend("")
    assert main(["check", "checked_backend:app", "--format", "json"]) in {0, 1}
    assert "checked_backend" not in capsys.readouterr().out
