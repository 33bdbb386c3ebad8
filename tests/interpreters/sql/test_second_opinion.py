"""sqlglot and our own reader agree on what is quoted, or nobody is believed."""

import pytest

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
    texts = [f"SELECT '{number:020}'" for number in range(6)]
    for text in (*texts, texts[-1], texts[0]):
        assert opinion.agrees(read(text, "sqlite", backslash=False), "sqlite")
    assert asked == [*texts, texts[0]]
