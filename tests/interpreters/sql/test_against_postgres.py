"""What passes is asked of PostgreSQL itself: it must have read one statement, of the
same shape as with a harmless value.

The shape is the server's own: its query identifier, a hash of the parsed statement that
leaves out the constants. ``FUZZ_EXAMPLES=100000`` looks for longer.
"""

import json
import os

import hypothesis.strategies as st
import psycopg
import pytest
from hypothesis import example, given, settings
from tests.interpreters.asking import asking

from ringfence.errors import InjectionRefusedError
from ringfence.interpreters.sql.constants import Constants
from ringfence.interpreters.sql.drivers import psycopg as guard
from ringfence.interpreters.sql.verdict import judge
from ringfence.interpreters.untrusted import Input, Inputs

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
TWO_STATEMENTS = "cannot insert multiple commands"
SCHEMA = """
CREATE TABLE users (id int PRIMARY KEY, email text, name text, password text, age int)
"""


def doubled(value):
    return value.replace("'", "''")


def slashed(value):
    return value.replace("\\", "\\\\").replace("'", "\\'")


# As developers write input into statements, rightly and wrongly.
TEMPLATES = [
    lambda v, w: f"SELECT id FROM users WHERE email='{v}'",
    lambda v, w: f"SELECT id FROM users WHERE email='{v}' AND name='{w}'",
    lambda v, w: f"SELECT id FROM users WHERE email=E'{v}' AND name='{w}'",
    lambda v, w: f"SELECT id FROM users WHERE email='{doubled(v)}' AND name='{w}'",
    lambda v, w: f"SELECT id FROM users WHERE email=E'{doubled(v)}' AND name='{w}'",
    lambda v, w: f"SELECT id FROM users WHERE email=E'{slashed(v)}' AND name='{w}'",
    lambda v, w: f"SELECT id FROM users WHERE email='{slashed(v)}' AND name='{w}'",
    lambda v, w: f"SELECT id FROM users WHERE email=N'{v}' AND name=U&'{w}'",
    lambda v, w: f"SELECT id FROM users WHERE email='{v}'\n'{w}'",
    lambda v, w: f"SELECT id FROM users WHERE email LIKE '%{v}%' ORDER BY name",
    lambda v, w: f"SELECT id FROM users WHERE email=$${v}$$ AND name='{w}'",
    lambda v, w: f"SELECT id FROM users WHERE email=$q${v}$q$ AND name='{w}'",
    lambda v, w: f"SELECT id FROM users WHERE id={v} AND age={w}",
    lambda v, w: f"SELECT id FROM users WHERE age=age-{v}",
    lambda v, w: f"SELECT id FROM users WHERE id IN ({v})",
    lambda v, w: f"SELECT id FROM users WHERE name=ANY('{{{v}}}') AND email='{w}'",
    lambda v, w: f"SELECT id FROM users /* {v} */ WHERE name='{w}'",
    lambda v, w: f"SELECT id FROM users -- {v}\nWHERE name='{w}'",
    lambda v, w: f"SELECT id AS \"{v}\", '{w}' FROM users",
    lambda v, w: f"SELECT id FROM users LIMIT {v} OFFSET {w}",
    lambda v, w: f"SELECT interval '{v}' day FROM users WHERE name='{w}'",
]
# ... and where a name of the application's own may stand.
OF_NAMES = [
    lambda v, w: f"SELECT id FROM users ORDER BY {v} LIMIT 5",
    lambda v, w: f'SELECT id FROM users ORDER BY "{v}" DESC',
]
SIGNS = "'\"$\\;-/*()=,.%_?:@&#+|<>![]{} \n\r\t\f\v"
ALPHABET = SIGNS + "aeEnNUuxXbBqoOrRd019é🙂\u2028\xa0"
SPLIT = """
' '' \\' " OR or 1=1 -- /* */ ; UNION SELECT password name id FROM users NULL 1 -1
0x1 1e5 1_0 99999999999 $$ $q$ $1 E' e' U&' $a$ x b N' \\ :: text || , ( ) * {} [ ]
% :name ?
"""
WORDS = st.sampled_from([*SPLIT.split(), "\n", "\r", " ", "\n'", "'\n'", "\f"])
VALUES = st.one_of(
    st.text(ALPHABET, min_size=1, max_size=12),
    st.lists(WORDS, min_size=1, max_size=5).map(" ".join),
    st.lists(WORDS, min_size=1, max_size=5).map("".join),
)
SIZES = ("1", "1.5", "99999999999")
NUMBERS = [sign + size for sign in ("", "-", "+") for size in SIZES]
NAMES = ["name", "id", "name,id"]
HARMLESS = [
    *NUMBERS,
    ":name",
    "$1",
    "a",
    "a\n",
    "1,2",
    "1,1,1",
    "0",
    "'1'",
    "''",
    "NULL",
]

KNOWN = Constants()
for template in TEMPLATES + OF_NAMES:
    KNOWN.add(template.__code__)
KNOWN.add(compile("'name', 'id'", "an application", "eval"))


@pytest.fixture(scope="module")
def server(postgres_server):
    with (
        postgres_server.database() as database,
        psycopg.connect(database.dsn, autocommit=True) as connection,
    ):
        connection.execute(SCHEMA)
        connection.execute("SET compute_query_id = on")
        yield connection


def shape(server, text):
    """Return what PostgreSQL has read, without the values; ``None``: nothing."""
    asked = f"EXPLAIN (VERBOSE, FORMAT JSON) {text}"
    result = server.pgconn.exec_params(asked.encode(), [])
    if result.status == psycopg.pq.ExecStatus.TUPLES_OK:
        return json.loads(result.get_value(0, 0))[0]["Query Identifier"]
    assert TWO_STATEMENTS not in result.error_message.decode(), text
    return None


def passes(text, *sent):
    inputs = Inputs(tuple(Input(one, "query") for one in sent if one))
    return judge(text, "postgres", inputs, KNOWN, ().__contains__).objection is None


def bound(examples):
    return settings(max_examples=EXAMPLES or examples, deadline=None)


@pytest.fixture(scope="module")
def harmless(server):
    """The shapes of each template with values that change nothing."""

    def shapes(template):
        values = HARMLESS + NAMES if template in OF_NAMES else HARMLESS
        pairs = [(v, w) for v in values for w in ("a", *NUMBERS)]
        return {shape(server, template(v, w)) for v, w in pairs} - {None}

    return {template: shapes(template) for template in TEMPLATES + OF_NAMES}


TRICKS = [
    # The quote that should end the first literal is made half of a pair, so that the
    # condition in between becomes text: whose order it is, say.
    (1, "x'", "'"),
    (1, "'", "'"),
    (1, "x'", "' OR name='"),
    (2, "x\\", "'"),
    (6, "x'", "'"),
    # Literals with a line break between them are one, and what stood there is in it.
    (1, "\"'\n", "\n'\""),
    (2, "\"'\n", "\n'\""),
    (6, "\"'\n", "\n'\""),
    (7, "\"'\n", "\n'\""),
    (7, "x'", "'"),
    # A column that is compared with itself.
    (12, "id", "age"),
    (14, "id", ""),
    (14, "id,id", ""),
]


@pytest.mark.parametrize(("place", "first", "second"), TRICKS)
def test_tricks(server, harmless, place, first, second):
    """They do change the statement, and do not pass."""
    text = TEMPLATES[place](first, second)
    assert shape(server, text) not in harmless[TEMPLATES[place]]
    assert not passes(text, first, second)
    # ... nor with a third input that spells both and what stands between them.
    spelled = text[text.find("'") + 1 : -1].replace("''", "'")
    assert not passes(text, first, second, spelled)


@bound(800)
@given(template=st.sampled_from(TEMPLATES + OF_NAMES), first=VALUES, second=VALUES)
@example(template=TEMPLATES[1], first="\\", second=" OR 1=1 --")
@example(template=TEMPLATES[4], first="\\'", second=" OR 1=1 --")
@example(template=TEMPLATES[10], first="$$ OR $$1$$=$$1", second="a")
def test_what_passes_has_not_changed_the_statement(
    server, harmless, template, first, second
):
    text = template(first, second)
    if passes(text, first, second):
        found = shape(server, text)
        assert found is None or found in harmless[template], text


# Where the driver writes the bound value into the text itself.
MERGED = [
    lambda v: f"SELECT id FROM users WHERE email='{v}' AND name=%(w)s",
    lambda v: f"SELECT id FROM users WHERE email=%(w)s AND name='{v}'",
    lambda v: f"SELECT id FROM users WHERE email=E'{slashed(v)}' AND name=%(w)s",
    lambda v: f"SELECT id FROM users /* {v} */ WHERE name=%(w)s",
    lambda v: f'SELECT id AS "{v}" FROM users WHERE name=%(w)s',
    lambda v: f"SELECT id FROM users WHERE email=$${v}$$ AND name=%(w)s",
    lambda v: f"SELECT id FROM users WHERE email='{v}' AND name='%(w)s'",
]
PLACEHOLDERS = st.sampled_from(["%(w)s", "'%(w)s'", "%(w)s\n", "%%(w)s", "x%(w)sx"])


@bound(120)
@given(template=st.sampled_from(MERGED), first=VALUES | PLACEHOLDERS, second=VALUES)
@example(template=MERGED[0], first="%(w)s", second=" OR 1=1 --")
@example(template=MERGED[6], first="a", second=" OR 1=1 --")
def test_what_is_merged_has_not_changed_the_statement(server, template, first, second):
    cursor = psycopg.ClientCursor(server)
    text = template(first)
    sent = json.dumps([first, second]).encode()
    try:
        with asking(sent, content_type=b"application/json"):
            guard._ask_merging(cursor, text, ({"w": second},))
        found = shape(server, cursor.mogrify(text, {"w": second}))
    except (InjectionRefusedError, psycopg.Error, ValueError, TypeError):
        return  # refused by the guard, or not to be merged
    usual = {
        shape(server, cursor.mogrify(template(value), {"w": "a"}))
        for value in ("a", "")
    }
    assert found is None or found in usual, text
