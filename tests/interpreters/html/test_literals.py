"""A value within a script stays within its literal (CWE-79, CWE-94)."""

import pytest

from ringfence.interpreters.html.literals import (
    breaking_out,
    by_beginning,
    is_capable,
)

OUT = [
    ("a = '{}';", "'-alert(1)-'"),
    ('a = "{}";', '";alert(1)//'),
    ('a = "{}";', "x\nalert(1)//"),
    ('a = "\\"; b = "{}";', ";alert(1)//"),
    ("a = `{}`;", "${alert(1)}"),
    ("a = `{}`;", "`;alert(1)//"),
    ("a = {};", "alert(1)"),
    ("f({});", "alert(1)"),
    ("return {}", "alert(1)"),
    ("a = [1, {}]", "alert(1)"),
    ("{}", "alert(1)"),
    ("a = {};", "location=name"),
    ("a = {};", '"x"+alert(1)'),
    ("// {}\n", "x\nalert(1)"),
    ("/* {} */", "*/alert(1)/*"),
    ("a = /{}/.test(b)", "x/;alert(1)//"),
    ("a = /[/'\"]/; b = '{}';", "';alert(1)//"),
    ("a = b / c; d = '{}'; e = f / g", "';alert(1)//"),
    ("return /'/.test('{}')", "');alert(1)//"),
    ("a = {};", "`${alert(1)}`"),
    ("a = {};", "'alert\\x281\\x29'instanceof{[Symbol.hasInstance]:eval}"),
    ("a = '{}';", "';'alert\\x281\\x29'instanceof{[Symbol.hasInstance]:eval};'"),
]


@pytest.mark.parametrize(("code", "value"), OUT)
def test_a_value_that_leaves_its_literal(code, value):
    assert is_capable(value)
    assert breaking_out(code.replace("{}", value), by_beginning([value])) == value


IN = [
    ('a = "{}";', "alert(1)"),
    ('a = "{}";', "it's (not) a = b"),
    ("a = '{}';", 'say "a = b" (twice)'),
    ("a = `{}`;", "f(x) = 2"),
    ("// {}\nf()", "alert(1)"),
    ("/* {} */ f()", "alert(1)"),
    ("a = {};", '"f(x)"'),
    ("a = /{}/", "(a|b)="),
    ("let i = 0; x = 1; f()", "x = 1"),
    ("a.b(c).d(e)", "b(c).d"),
    ("if (a) { return f(b); }", "return f(b)"),
    ("f(a); g(b); h(c)", "g(b)"),
    ('a = "say \\"f(x)\\""; b = "c"', "f(x)\\"),
    ("a = [1, 2]; f(a)", "1, 2"),
    ("function f(a) { return a }", "f(a) {"),
]


@pytest.mark.parametrize(("code", "value"), IN)
def test_a_value_that_stays(code, value):
    assert breaking_out(code.replace("{}", value), by_beginning([value])) is None


@pytest.mark.parametrize("value", ["", "Ann", "O'Brien", "a; b", "f()", "x=1"])
def test_what_does_nothing_is_not_looked_for(value):
    assert not is_capable(value)


def test_much_of_the_same_takes_no_time():
    """As many places as literals (CWE-407)."""
    code = "f('a (b)=c');" * 20_000
    assert breaking_out(code, by_beginning(["a (b)=c"])) is None


def test_a_value_of_which_the_end_was_cut_off():
    value = "';alert(document.domain)//" + "a" * 40
    code = f"a = '{value[:40]}';"
    assert breaking_out(code, by_beginning([value])) == value


def test_what_is_only_alike_within_its_literal_is_not_code():
    code = "a = 'Welcome to the shop'; go()"
    assert breaking_out(code, by_beginning(["Welcome to the (old) town"])) is None


@pytest.mark.parametrize("code", ["=/[a" * 1000, "f('aaaaa(aa');" * 101])
def test_what_would_take_for_ever_is_not_judged(code):
    """Each slash is followed to the end of its line, each value compared (CWE-407)."""
    values = by_beginning(["aaaa(b", *(f"f('aaaaa(aa'{n}" for n in range(1000))])
    with pytest.raises(ValueError, match="script"):
        breaking_out(code + "aaaa(b", values)


def test_many_values_cost_one_look_at_a_script():
    values = by_beginning(f"alert({n})" for n in range(20_000))
    assert breaking_out("f(alert(7));", values) == "alert(7)"
    assert breaking_out("let a = f('x', 1);" * 1000, values) is None
