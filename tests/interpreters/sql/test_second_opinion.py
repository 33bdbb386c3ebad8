"""sqlglot and our own reader agree on what is quoted, or nobody is believed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.interpreters.sql import second_opinion
from ringfence.interpreters.sql.lexer import USUAL, Token, Tokens, read
from ringfence.interpreters.sql.second_opinion import SecondOpinion

STATEMENTS = {
    "sqlite": "SELECT 'a''b', \"x\", [y], `z`, 0x1F, x'41', ?1 /* ' */ -- '\n, 'c'",
    "postgres": "SELECT E'a\\'b', $$x'y$$, $t$z$t$, U&'a', $1, /* /* ' */ */ 'x\\'",
    "mysql": "SELECT 'a\\'b', \"x\", `z`, # '\n @a, %s, /* ' */ 'c' -- '",
}


@pytest.mark.parametrize("dialect", STATEMENTS)
def test_both_read_the_same(dialect):
    tokens = read(STATEMENTS[dialect], dialect, backslash=USUAL[dialect])
    assert SecondOpinion().agrees(tokens, dialect)


def test_a_literal_that_ends_elsewhere_is_no_agreement():
    text = "SELECT 'a' , 'b'"
    wrong = Tokens(text, (Token("string", 7, 16),), (16,))
    assert not SecondOpinion().agrees(wrong, "sqlite")


def test_what_sqlglot_cannot_read_is_no_agreement():
    tokens = read("SELECT 'a", "sqlite", backslash=False)
    assert not SecondOpinion().agrees(tokens, "sqlite")


def test_little_is_remembered(monkeypatch):
    """Bounded by the length of the texts, not by their number."""
    monkeypatch.setattr(second_opinion, "_MOST_REMEMBERED", 100)
    asked = []
    ends = second_opinion._ends
    monkeypatch.setattr(
        second_opinion, "_ends", lambda *given: asked.append(given[0]) or ends(*given)
    )
    opinion = SecondOpinion()
    texts = [f"SELECT 'x' AS column{number:020}" for number in range(6)]
    for text in (*texts, texts[-1], texts[0]):
        assert opinion.agrees(read(text, "sqlite", backslash=False), "sqlite")
    assert asked == [*texts, texts[0]]


def test_statements_that_differ_in_plain_values_are_asked_about_once(monkeypatch):
    asked = []
    ends = second_opinion._ends
    monkeypatch.setattr(
        second_opinion, "_ends", lambda *given: asked.append(given[0]) or ends(*given)
    )
    opinion = SecondOpinion()
    for value, number in (("reading lamp", 20), ("a", 7), ("007", 123456)):
        text = f"SELECT [a] FROM b WHERE c = '{value}' AND d < {number} AND e = 'f'"
        assert opinion.agrees(read(text, "sqlite", backslash=False), "sqlite")
    assert len(asked) == 1


_BITS = (
    *("'", "''", '"', "`", "[", "]", "\\", "$$", "$a$", "--", "#", "\n", "/*", "*/"),
    *(
        "e'",
        "E'",
        "x'",
        "N'",
        "U&'",
        "B'",
        "'a'",
        "'b c'",
        "'12'",
        "a",
        "b c",
        " ",
        "_",
    ),
    *(
        "1",
        "007",
        "0",
        "0x1F",
        "1.5",
        "1e5",
        "1a",
        "?",
        "%s",
        ":a",
        "$1",
        "@b",
        ".",
        ",",
    ),
    *(
        "select ",
        "show ",
        "copy ",
        "call ",
        "(",
        ")",
        ";",
        "-",
        "=",
        "é",
        "//",
        "{{",
        "{%",
    ),
)


@pytest.mark.parametrize("dialect", STATEMENTS)
@settings(max_examples=150, deadline=None)
@given(bits=st.lists(st.sampled_from(_BITS), max_size=14))
def test_an_outline_is_answered_as_the_statement_itself(dialect, bits):
    text = "".join(bits)
    tokens = read(text, dialect, backslash=USUAL[dialect])
    ends = {token.end for token in tokens.all if token.kind in {"string", "quoted"}}
    agrees = second_opinion._ends(text, dialect) == ends
    assert SecondOpinion().agrees(tokens, dialect) == agrees
