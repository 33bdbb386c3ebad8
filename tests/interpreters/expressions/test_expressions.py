"""Patterns whose time grows with each letter."""

import contextlib
import re
import time

import pytest
from tests.interpreters.asking import asking

from ringfence import expressions
from ringfence.errors import InjectionRefusedError, SettingsError
from ringfence.interpreters.arm import arm
from ringfence.interpreters.expressions import guard
from ringfence.interpreters.expressions.growth import growth_of

EXPLODING = [
    r"(a+)+$",
    r"(a*)*b",
    r"([a-z]+)*\d",
    r"(a|aa)+$",
    r"(a|a?)+b",
    r"(.*a){12}",
    r"^(\w+\s?)*$",
    r"(?:a+){2,}b",
    r"((a+)b?)+c",
    r"(?=(a+)+b)",
    r"(?i:(a+)+)",
    r"(x+x+)+y",
    r"(a?){40}a{40}",
]
HONEST = [
    r"error",
    r"^\d{4}-\d{2}-\d{2}$",
    r"foo.*bar",
    r"[a-z]+@[a-z]+\.com",
    r"colou?r",
    r"cat|dog|bird",
    r"(GET|POST) /api/\w+",
    r"\bword\b",
    r"a{1,5}b?",
    r"(?i)timeout",
    r"(?P<year>\d{4})",
    r"(?:ab){2}",
    r"^(?!#)\S",
    r"(\w)\1",
]


@pytest.fixture(autouse=True, scope="module")
def armed():
    arm()


@pytest.mark.parametrize("pattern", EXPLODING)
def test_exploding_patterns_are_refused(pattern):
    """CWE-1333."""
    assert growth_of(pattern).explodes
    with asking(query=b"q=x") as exchange:
        with pytest.raises(InjectionRefusedError):
            expressions.bounded(pattern)
        assert (exchange.denial.status, exchange.denial.code) == (
            400,
            "interpreters.regex",
        )


@pytest.mark.parametrize("pattern", HONEST)
def test_honest_patterns_are_bounded(pattern):
    found = expressions.bounded(pattern)
    assert found.max_text >= 350
    assert found.pattern.pattern == pattern
    with pytest.raises(InjectionRefusedError):
        found.search("x" * (found.max_text + 1))


def test_results_are_those_of_re():
    found = expressions.bounded(r"(\d+) lamps?", re.IGNORECASE)
    assert found.search("we have 12 LAMPS")[1] == "12"
    assert found.fullmatch("12 lamps")
    assert found.fullmatch("12 lamps!") is None


@pytest.mark.parametrize(
    "pattern",
    [".*.*.*.*.*.*.*.*=", "a?" * 30 + "a" * 30, "x" * 201, "a{1,60}" * 20, ".*" * 50],
)
def test_too_much_of_it(pattern):
    with pytest.raises(InjectionRefusedError):
        expressions.bounded(pattern)


def test_no_pattern():
    with pytest.raises(re.error):
        expressions.bounded("(")


@pytest.mark.parametrize("pattern", [".*.*x", r"\d+.*x", ".*,.*,.*;", r"(a)b*\1c*d"])
def test_the_longest_text_takes_seconds_at_most(pattern):
    """The worst text that is allowed."""
    found = expressions.bounded(pattern)
    for letter in "1a,":
        began = time.process_time()
        found.search(letter * found.max_text)
        assert time.process_time() - began < 5


# The guard


@pytest.mark.parametrize("text", EXPLODING[:8])
def test_guard_refuses_exploding_input(text):
    for around in ("{}", "^title: {}$", "(?:{})"):
        pattern = around.format(text)
        with asking(text.encode(), content_type=b"text/plain") as exchange:
            with pytest.raises(InjectionRefusedError):
                re.compile(pattern)
            with pytest.raises(InjectionRefusedError):
                re.search(pattern, "a")
            assert exchange.denial.code == "interpreters.regex"


@pytest.mark.parametrize(
    "text", [*HONEST, "O'Brien", "C++", "what?", "1 + 1 = 2", "a*b*c", "[x]", "🙂+"]
)
def test_guard_passes_what_is_cheap(text):
    with asking(text.encode(), content_type=b"text/plain") as exchange:
        re.compile(re.escape(text) + str(time.time_ns()))
        with contextlib.suppress(re.error):
            re.compile(text + str(time.time_ns()))
        assert exchange.denial is None


@pytest.mark.parametrize(("text", "around"), [("a+", "({})+$"), ("x*", "(?:-{})*z")])
def test_a_repeat_of_the_application_around_the_input(text, around):
    """Neither of them explodes alone."""
    brought = asking(text.encode(), content_type=b"text/plain")
    with brought, pytest.raises(InjectionRefusedError):
        re.compile(around.format(text))


def test_patterns_that_explode_without_the_input_too():
    """A library that puts its pattern together, from parts that lessons hold."""
    parts = [r"(?:\w", r"\s*", r"\w?)+", r"\s*"]
    with asking(rb"\s*", content_type=b"text/plain") as exchange:
        re.compile("".join(parts) + str(time.time_ns()))
        assert exchange.denial is None


def test_escaped_input_passes():
    for text in EXPLODING:
        with asking(text.encode(), content_type=b"text/plain") as exchange:
            assert re.search(re.escape(text), f"x{text}x")
            assert exchange.denial is None


def test_patterns_of_the_application_pass():
    """A lesson about the very pattern that a page uses."""
    with asking(b"(b+)+c", content_type=b"text/plain") as exchange:
        assert re.search("(b+)+c", "bbc")
        assert exchange.denial is None


def test_nobody_is_asking():
    assert re.compile("(z+)+" + str(time.time_ns()))


def test_another_python_does_not_start(monkeypatch):
    """Where patterns are compiled elsewhere, the guard says so."""
    plain = re._compiler.compile.__wrapped__
    monkeypatch.setattr(re._compiler, "compile", plain)
    monkeypatch.setattr(re, "_compiler", type("Other", (), {"compile": plain}))
    monkeypatch.setattr(re, "compile", plain)
    with pytest.raises(SettingsError, match="does not know"):
        guard.arm()
