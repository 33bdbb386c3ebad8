"""What Python carries out, and what it only reads."""

import ast
import code
import collections
import dataclasses
import importlib
import json
import sys
import textwrap
import timeit
import typing
from functools import partial

import attrs
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.interpreters.asking import asking

from ringfence.errors import InjectionRefusedError
from ringfence.interpreters.arm import arm

HOSTILE = [
    "__import__('os').system('id')",
    "open('/etc/passwd').read()",
    "().__class__.__base__.__subclasses__()",
    "[x for x in ().__class__.__mro__]",
    "exit()",
    "f()",
    "a.b",
    "a[b]",
    "x:=1",
    "lambda: 0",
    "import os",
    "del x",
    "f'{secret}'",
    "1 if secret() else 0",
    "'a'.upper()",
    "x = 1",
    "raise SystemExit",
    "{**secrets}",
    "\u200a__import__('os')",
]
CALLS = ["__import__('os').getcwd()"]
LEAVING = ["' + open('/etc/passwd').read() + '", '"); f("']
HONEST = [
    "1 + 2 * (3 - 4)",
    "2 ** 8 / 3.5 % 7",
    "[1, 2, 'three', True, None]",
    "{'a': 1, 'b': [2]}",
    "'O\\'Brien'",
    "total",
    "1 < 2 and not False",
    "(1, 2)",
    "0x1f | 0b11",
]


@pytest.fixture(autouse=True, scope="module")
def armed():
    arm()


def sent(text):
    return json.dumps({"text": text}).encode()


def ask(text, run, **more):
    """Run with ``text`` in the request; return whether it was refused."""
    with asking(sent(text), content_type=b"application/json", **more) as exchange:
        try:
            run()
        except InjectionRefusedError:
            assert exchange.denial.code == "interpreters.python"
            return True
        except Exception:  # noqa: BLE001 - what it does when it is carried out
            return False
        return False


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_not_compiled(text):
    """CWE-95, whatever is put around it."""
    for around in ("{}", "calculate = ({})", "x = [\n  1,\n  {}\n]"):
        source = around.format(text)
        for given_as in (source, source.encode(), bytearray(source.encode())):
            try:
                ast.parse(source)
            except SyntaxError:
                continue
            assert ask(text, partial(compile, given_as, "x", "exec"))


def test_eval_and_exec():
    (call,) = CALLS
    assert ask(call, lambda: eval(call))
    assert ask(call, lambda: exec(call))


@pytest.mark.parametrize("text", HONEST)
def test_arithmetic_and_data_pass(text):
    """They do nothing: a calculator goes on to calculate."""
    assert not ask(text, lambda: eval(text, {"total": 3}))


@pytest.mark.parametrize("text", [*HOSTILE, *HONEST, "'''", '"', "\\", "#", "\n", "🙂"])
def test_text_within_literals_is_data(text):
    """``repr`` has made a literal of it, or a comment holds it."""
    seen = []
    assert not ask(text, lambda: seen.append(eval(f"[{text!r}, 1]")))
    assert seen == [[text, 1]]
    comment = text.replace("\n", " ")
    assert not ask(text, lambda: seen.append(eval(f"1 # {comment}\n")))


@given(st.text())
def test_no_text_is_refused_as_a_literal(text):
    assert not ask(text, lambda: eval(repr(text)))


def test_text_that_leaves_its_literal():
    first, second = LEAVING
    assert ask(first, lambda: eval(f"'{first}'"))
    assert ask(second, lambda: exec(f'print("{second}")'))


@pytest.mark.parametrize(
    "end", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\r", "\r\n"]
)
def test_ends_of_lines_that_only_some_know(end):
    """What is no end of a line for Python shifts nothing."""
    for text in (f"'{end * 9}' + f()", f"1 # {end * 9}\nf()", f"{end}f()"):
        try:
            ast.parse(text)
        except SyntaxError:
            continue
        assert ask(text, partial(compile, text, "x", "exec"))


@given(st.text(alphabet="()[].,:=+-*'\"\\#\n\r\x0c {}fxab1", max_size=12))
def test_what_calls_is_refused(text):
    """Whatever stands around it: a text that is an expression with a call."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return
    acts = (ast.Call, ast.Attribute, ast.Subscript, ast.Assign, ast.AugAssign)
    if any(isinstance(node, acts) for node in ast.walk(tree)) and len(text.strip()) > 2:
        assert ask(text, partial(compile, text, "x", "exec"))


def test_reading_is_not_carrying_out():
    """``ast.literal_eval`` and ``ast.parse`` compile, and run nothing."""
    for text in HOSTILE:
        assert not ask(text, partial(ast.parse, text))
        assert not ask(text, partial(ast.literal_eval, text))


def test_a_tree_is_carried_out_like_text():
    """By way of ``ast.parse``, with other quotes and spaces."""
    text = '__import__( "os" ).getcwd()'
    tree = ast.parse(text, mode="eval")
    assert ask(text, lambda: eval(compile(tree, "x", "eval")))
    assert not ask(
        "1 + 1", lambda: eval(compile(ast.parse("1+1", mode="eval"), "x", "eval"))
    )


def test_evaluators_of_the_standard_library():
    (call,) = CALLS
    assert ask(call, lambda: timeit.timeit(call, number=1))
    console = code.InteractiveInterpreter({})
    assert ask(call, lambda: console.runsource(call))


def test_source_in_an_encoding_of_its_own():
    """``# coding: utf-7`` writes the same program in other letters."""
    source = b"# coding: utf-7\n+AF8AXw-import+AF8AXw-('os')"
    assert ask("x", lambda: compile(source, "x", "exec"))
    assert not ask("x", lambda: compile(b"# coding: utf-8\n1", "x", "exec"))


def test_constants_are_the_codes_own():
    """A lesson about Python on a page whose own code holds the same words."""
    assert not ask("len('abc')", lambda: eval("len('abc')"))


def test_libraries_that_write_python(tmp_path, monkeypatch):
    """Whatever words a request holds, they are the libraries' own there."""
    words = [
        "self, other",
        "self.x = x",
        "def __init__(self, x):",
        "return self.x",
        "lambda _cls, x, y: _tuple_new(_cls, (x, y))",
        "import os",
        "list[int]",
        "dict[str, int]",
        "value = os.getcwd()",
    ]
    module = tmp_path / "lazily.py"
    module.write_text("import os\nvalue = os.getcwd()\nself = x = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def run():
        dataclasses.make_dataclass("Data", [("x", int)], order=True)(1)
        collections.namedtuple("Point", "x y")(1, 2)  # noqa: PYI024 - as libraries do
        attrs.make_class("Attrs", {"x": attrs.field(default=1)})()
        pydantic.create_model("Model", x=(dict[str, int], {}))()
        typing.get_type_hints(lambda x: 1, {"list": list})

        class Annotated:
            x: "list[int]"
            y: "dict[str, int]"

        typing.get_type_hints(Annotated)
        sys.modules.pop("lazily", None)
        importlib.import_module("lazily")

    text = json.dumps(words).encode()
    with asking(text, content_type=b"application/json") as exchange:
        run()
        assert exchange.denial is None


def test_requests_that_are_not_known_in_full():
    def made():
        return eval(str(sys.maxsize))

    with asking(b"x") as exchange:
        exchange.too_much = True
        with pytest.raises(InjectionRefusedError):
            made()
        assert eval("1 + 1") == 2
        json.loads("1")
        collections.namedtuple("Later", "x")  # noqa: PYI024 - it evaluates its source
        ast.literal_eval("[1]")


def test_nobody_is_asking():
    assert eval(textwrap.dedent("sys.maxsize")) == sys.maxsize


def test_dry_run_only_tells():
    assert not ask(
        "sys.getsizeof(1)", lambda: eval("sys." + "getsizeof(1)"), watched=True
    )
