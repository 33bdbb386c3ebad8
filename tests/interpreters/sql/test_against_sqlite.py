"""What passes is asked of SQLite itself: it must have read one statement, of the same
shape as with a harmless value."""

import sqlite3

import hypothesis.strategies as st
import pytest
from hypothesis import example, given, settings

from ringfence.interpreters.sql.constants import Constants
from ringfence.interpreters.sql.verdict import judge
from ringfence.interpreters.untrusted import Input, Inputs

TEMPLATES = (
    "SELECT id FROM users WHERE email='{}'",
    "SELECT id FROM users WHERE email='{}' AND name='{}'",
    "SELECT id FROM users WHERE email LIKE '%{}%' ORDER BY name",
    "SELECT id FROM users WHERE id={} AND email IS NOT NULL",
    "SELECT id FROM users WHERE id IN ({})",
    "SELECT id FROM users /* {} */ WHERE id=1",
    "SELECT id FROM users -- {}\nWHERE id=1",
    "SELECT id FROM users ORDER BY {} LIMIT 5",
    "SELECT id FROM users WHERE age=age-{}",
    'SELECT id AS "{}" FROM users',
    "SELECT id AS [{}] FROM users",
    "SELECT id FROM users LIMIT {}",
)
SCHEMA = "CREATE TABLE users (id INTEGER PRIMARY KEY, email, name, password, age)"
ALPHABET = "'\"`[]\\;-/*()=,.%_?:@$#+|<>! \n\t\0" + "aeEnxXoORrd019" + "é🙂\u2028"
_WORDS = """\
' '' " OR or 1=1 -- /* */ ; UNION SELECT password name id FROM users NULL 1 -1 0x1 ||
email=email x'41' CASE WHEN THEN END , ( ) * [ ] ` \\
"""
WORDS = st.sampled_from([*_WORDS.split(), "\n"])
PLAIN = ("a", " ", "1", "-1", "1,2", "name", "'1'", "''", "NULL", "1.5", "0", "1,1,1")
VALUES = st.one_of(
    st.text(ALPHABET, min_size=1, max_size=12),
    st.lists(WORDS, min_size=1, max_size=5).map(" ".join),
    st.lists(WORDS, min_size=1, max_size=5).map("".join).filter(bool),
)


def application(value):
    return [
        f"SELECT id FROM users WHERE email='{value}'",
        f"SELECT id FROM users WHERE email='{value}' AND name='{value}'",
        f"SELECT id FROM users WHERE email LIKE '%{value}%' ORDER BY name",
        f"SELECT id FROM users WHERE id={value} AND email IS NOT NULL",
        f"SELECT id FROM users ORDER BY {value} LIMIT 5",
        "name",
    ]


KNOWN = Constants()
KNOWN.add(application.__code__)


@pytest.fixture(scope="module")
def database():
    database = sqlite3.Connection(":memory:")
    database.execute(SCHEMA)
    yield database
    database.close()


def shape(database, text):
    """Return how SQLite runs a statement, without the values; ``None``: not at all."""
    try:
        steps = database.execute(f"EXPLAIN {text}").fetchall()
    except (sqlite3.Error, sqlite3.Warning, ValueError):
        return None
    return [step[1] for step in steps]


def passes(text, *sent):
    inputs = Inputs(tuple(Input(one, "query") for one in sent if one))
    return judge(text, "sqlite", inputs, KNOWN, ().__contains__).objection is None


@pytest.mark.parametrize("template", TEMPLATES)
@settings(max_examples=80, deadline=None)
@given(first=VALUES, second=VALUES)
@example(first="\\", second=" OR 1=1 --")
@example(first="'", second="'")
@example(first="x\n", second="1")
@example(first="1", second="' OR ''='")
def test_what_passes_has_not_changed_the_statement(database, template, first, second):
    sent = (first, second)[: template.count("{}")]
    text = template.format(*sent)
    if passes(text, *sent):
        found = shape(database, text)
        if found is None:  # it is no SQL: nothing happens
            return
        assert kinds(found) in harmless(database, template)


def harmless(database, template):
    """Return the kinds of steps that a statement may have."""
    statements = (template.format(*[value] * template.count("{}")) for value in PLAIN)
    return {kinds(shape(database, text) or ()) for text in statements}


def kinds(steps):
    """Values are loaded by several operations, by their number and kind."""
    loading = {"Integer", "Int64", "Real", "String8", "Null", "Copy", "SCopy"}
    return tuple(dict.fromkeys(step for step in steps if step not in loading))


@settings(max_examples=80, deadline=None)
@given(value=VALUES.filter(lambda value: "\0" not in value))
def test_escaped_values_pass_and_stay_values(database, value):
    escaped = value.replace("'", "''")
    text = f"SELECT '{escaped}'"
    if passes(text, value):
        assert database.execute(text).fetchone() == (value,)
    assert passes(text, value) or value.strip("' ") in {"SELECT", ","}
