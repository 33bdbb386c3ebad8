"""What the application's code says itself."""

import importlib
import inspect
import sys

import pytest

from ringfence.interpreters.sql.constants import KNOWN, Constants

IN_THIS_MODULE = "SELECT a FROM b WHERE c = ?"


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    """Import a module of an application, as it is written here."""

    def load(name, source, folder=""):
        place = tmp_path / folder
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{name}.py").write_text(source)
        monkeypatch.syspath_prepend(place)
        module = importlib.import_module(name)
        monkeypatch.setitem(sys.modules, name, module)
        return module

    return load


def test_constants_of_this_module_are_known():
    """Those of the module, of functions and of functions within."""

    def within():
        return "SELECT d FROM e WHERE f = ?"

    known = Constants()
    known.scan()
    assert IN_THIS_MODULE in known.statements
    assert within() in known.statements


def test_modules_that_come_later_are_known(loaded):
    known = Constants()
    known.scan()
    module = loaded("an_application", "class A:\n    def b(self): return 'SELECT 77'\n")
    assert module.A().b() not in known.statements
    assert known.is_running(module.A().b(), None)


def test_modules_that_take_the_place_of_others_are_known(loaded):
    """As many are loaded as before."""
    loaded("one_that_goes", "")
    known = Constants()
    known.scan()
    del sys.modules["one_that_goes"]
    module = loaded("one_that_comes", "def f(): return 'SELECT 76'")
    assert known.is_running(module.f(), None)


def test_a_module_that_has_gone_is_not_looked_for_each_time(loaded, monkeypatch):
    """A look at all modules takes milliseconds."""
    loaded("one_that_goes", "")
    known = Constants()
    known.scan()
    del sys.modules["one_that_goes"]
    known.scan()
    asked = []
    monkeypatch.setattr(Constants, "_is_application", lambda *them: asked.append(them))
    monkeypatch.setattr(known, "_modules", set())
    known.scan()
    assert not asked


def test_what_is_put_together_is_not_known():
    table = "x".upper()
    assert not KNOWN.is_running(f"SELECT y FROM {table}", inspect.currentframe())


def test_the_code_that_runs_is_known_wherever_it_comes_from():
    """A notebook, an ``exec``: no module to load it from."""
    names = {"known": Constants(), "inspect": inspect}
    source = "found = known.is_running('SELECT 78 FROM z', inspect.currentframe())"
    exec(compile(source, "<notebook>", "exec"), names)
    assert names["found"]


def test_libraries_lend_no_names(loaded):
    """Their statements are statements; their words are none of an allow-list."""
    module = loaded(
        "a_library", "def f(): return 'SELECT 79', 'lib_price'", "site-packages"
    )
    statement, word = module.f()
    known = Constants()
    known.scan()
    assert statement not in known.statements
    known.add(module.f.__code__, of_application=False)
    assert statement in known.statements
    assert word not in known.texts


def test_an_application_may_be_installed(loaded):
    """The file of the handler that answers says which package it is."""
    source = "def f(): return 'SELECT 80', 'app_price'"
    module = loaded("installed_application", source, "site-packages")
    known = Constants()
    known.scan()
    known.adopt(module.__file__)
    known.scan()
    statement, word = module.f()
    assert statement in known.statements
    assert word in known.texts


def test_a_module_that_cannot_be_read_is_passed_over(monkeypatch):
    class Broken:
        def get_code(self, _):
            raise ImportError

    module = type(sys)("broken_one")
    module.__loader__ = Broken()
    module.__file__ = "/nowhere/broken_one.py"
    monkeypatch.setitem(sys.modules, "broken_one", module)
    Constants().scan()


def test_derived_texts_are_bounded():
    known = Constants()
    for number in range(5):
        known.derive(f"SELECT {number}", most=3)
    assert len(known.statements) == 3
