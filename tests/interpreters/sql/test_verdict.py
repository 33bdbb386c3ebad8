"""Can the input change the meaning of a statement?"""

import pytest

from ringfence.interpreters.sql.constants import Constants
from ringfence.interpreters.sql.verdict import judge
from ringfence.interpreters.untrusted import Input, Inputs


def application(email, by, ids, table, number):
    """Written as careless applications are; the judge knows the pieces of it."""
    return (
        f"SELECT * FROM users WHERE email='{email}'",
        f"SELECT * FROM users WHERE email='{email}' AND role='{by}'",
        f"SELECT id, name FROM users WHERE kind='order' AND id IN ({ids})",
        f"SELECT id FROM users ORDER BY {by} LIMIT 5",
        f"SELECT id FROM data_{table}",
        f'SELECT "{by}" FROM users',
        f"SELECT id FROM users WHERE id = {number} AND active = 1",
        f"SELECT id FROM users WHERE age = age-{number}",
        f"SELECT id FROM users /* asked by {by} */ WHERE id = 1",
        f"SELECT id FROM users -- asked by {by}\n WHERE id = 1",
        "SELECT id FROM users WHERE name = %s ORDER BY {} LIMIT 5",
        ("name", "price"),
        "token",
        "DESC",
        "created_at DESC",
        "journal_mode=WAL",
    )


KNOWN = Constants()
KNOWN.add(application.__code__)
LOGIN = "SELECT * FROM users WHERE email='{}'"
TWO = "SELECT * FROM users WHERE email='{}' AND role='{}'"
SORT = "SELECT id FROM users ORDER BY {} LIMIT 5"
NUMBER = "SELECT id FROM users WHERE id = {} AND active = 1"
LISTED = "SELECT id, name FROM users WHERE kind='order' AND id IN ({})"
ANY = ("sqlite", "postgres", "mysql")

ATTACKS = r"""
' OR '1'='1
'; DROP TABLE users; --
' OR 1=1 --
' OR 1=1 #
' OR 1=1 /*
admin'--
' UNION SELECT password FROM users --
'||(SELECT password FROM users)||'
' AND sleep(5) AND '1'='1
x' OR email LIKE '%
''' OR 1=1 --
'/**/OR/**/1=1/**/--
' or email is not null and '1
'=0 or '1
'
O'Brien' OR 'a'='a
""".strip("\n").splitlines()

HONEST = r"""
alice@example.com
O'Brien
D'Arcy O''Neill
Tom Van 't Hoff
1 or 2
a
e
users
email
SELECT * FROM users
SELECT * FROM users WHERE email='x' OR 1=1; DROP TABLE users; --
-- a comment
/* another */
it's "quoted"
C:\temp\new
100% of %s and ?
$1 $$ $tag$
:name @name #
print('hello'); # code
∀x ∈ M: x² ≥ 0
שלום, 你好, Ζωή
🧑🏽‍🌾 emoji 🙂
'
''
\
\'
= * , ; ( )
FROM users WHERE
* FROM users
""".strip("\n").splitlines()


def asked(text, *sent, dialect="sqlite", approved=(), **more):
    """Return why a statement may not run, with these inputs in the request."""
    inputs = Inputs(tuple(Input(one, "query", "q") for one in sent))
    verdict = judge(text, dialect, inputs, KNOWN, approved.__contains__, **more)
    return verdict.objection.why if verdict.objection else ""


@pytest.mark.parametrize("dialect", ANY)
@pytest.mark.parametrize("attack", ATTACKS)
def test_input_that_leaves_its_literal_is_refused(attack, dialect):
    """Pasted between quotes, each of these is more than a value."""
    assert asked(LOGIN.format(attack), attack, dialect=dialect)


@pytest.mark.parametrize("dialect", ANY)
@pytest.mark.parametrize("value", HONEST)
def test_honest_text_raises_no_alarm(value, dialect):
    """Bound, escaped, or a value elsewhere while the statement is put together."""
    assert not asked(LISTED.format("?, ?"), value, dialect=dialect)
    assert not asked(NUMBER.format("5"), value, "5", dialect=dialect)
    escaped = value.replace("'", "''")
    if dialect == "mysql":
        escaped = escaped.replace("\\", "\\\\")
    assert not asked(LOGIN.format(escaped), value, dialect=dialect)


@pytest.mark.parametrize("value", HONEST)
def test_escaping_with_backslashes_is_honest_in_mysql(value):
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace('"', '\\"')
    assert not asked(LOGIN.format(escaped), value, dialect="mysql")


@pytest.mark.parametrize("number", ["5", "-5", "+5", "1.5", "-1.5e3", ".5", "0x1F"])
def test_a_number_is_one_value(number):
    assert not asked(NUMBER.format(number), number)


@pytest.mark.parametrize(
    "number",
    ["1 OR 1=1", "1--", "1;", "-", "1/**/", "(1)", "id", "1)", "1 -- ", "5 6", "--5"],
)
def test_what_is_no_number_is_code(number):
    assert asked(NUMBER.format(number), number)


def test_a_sign_that_makes_a_comment_is_refused():
    """The application's own minus and the input's: ``age--1``."""
    text = "SELECT id FROM users WHERE age = age-{}"
    assert asked(text.format("-1"), "-1")
    assert not asked(text.format("1"), "1")


def test_a_list_of_numbers_is_honest_after_in_only():
    assert not asked(LISTED.format("1,2,3"), "1,2,3")
    assert not asked(LISTED.format("1, -2, 3"), "1, -2, 3")
    assert asked(SORT.format("2,1"), "2,1")
    assert asked("SELECT id FROM users LIMIT 5,1", "5,1")


@pytest.mark.parametrize(
    "by", ["name", "price", "name, price", "name DESC", "name desc"]
)
def test_a_name_that_the_code_holds_is_its_own(by):
    """An allow-list in the code looks like this from here, and may be one."""
    assert not asked(SORT.format(by), by)


@pytest.mark.parametrize(
    "by",
    [
        "token",
        "name, token",
        "password",
        "name, password",
        "name OR password",
        "(CASE WHEN 1 THEN 1 END)",
        "random()",
        "name COLLATE nocase",
        "name--",
        '"password"',
    ],
)
def test_another_name_is_refused(by):
    assert asked(SORT.format(by), by)


def test_what_to_do_about_a_name_is_said():
    assert "ringfence.sql.identifier" in asked(SORT.format("password"), "password")
    assert not asked(SORT.format("password"), "password", approved=("password",))


def test_quoted_names_are_names():
    assert asked('SELECT "password" FROM users', "password")
    assert not asked('SELECT "name" FROM users', "name")
    assert asked('SELECT "a" , "b" FROM users', 'a" , "b')
    assert asked("SELECT `password` FROM users", "password", dialect="mysql")


def test_part_of_a_name_is_refused_where_it_was_put_in():
    assert asked("SELECT id FROM data_secret", "secret")
    assert not asked("SELECT id FROM data_secret_of_all", "ret_of")  # by chance


def test_nothing_enters_or_leaves_a_comment():
    block = "SELECT id FROM users /* asked by {} */ WHERE id = 1"
    line = "SELECT id FROM users -- asked by {}\n WHERE id = 1"
    for text in (block, line):
        assert not asked(text.format("request-77"), "request-77")
    for inside in ("*/ OR 1=1 /*", "x*/", "*"):
        assert asked(block.format(inside), inside) or inside == "*"
    for inside in ("x\nOR 1=1", "\nDROP", "x\n"):
        assert asked(line.format(inside), inside)


def test_comments_that_mysql_carries_out_are_code():
    text = "SELECT id FROM users /*!50000 WHERE id = {} */"
    assert asked(text.format("5"), "5", dialect="mysql")


def test_nested_comments_are_read_as_postgres_reads_them():
    """SQLite and MySQL end a comment where PostgreSQL goes on."""
    text = "SELECT /* /* {} */ 1"
    assert asked(text.format("*/ password, /*"), "*/ password, /*")
    nested = "SELECT /* /* a */ 'x{}' */ 1"
    assert not asked(nested.format("b"), "b", dialect="postgres")


def test_two_inputs_cannot_do_together_what_one_cannot():
    """The first swallows the closing quote, the second goes on."""
    first, second = "\\", " OR 1=1 -- "
    assert asked(TWO.format(first, second), first, second, dialect="mysql")
    assert asked(TWO.format("'", "'"), "'")
    assert asked(TWO.format("\\", "id"), "\\", "id", dialect="mysql")


def test_backslashes_are_read_both_ways():
    """MySQL may be set to ``NO_BACKSLASH_ESCAPES`` or not: a quote behind one is safe
    in neither mode."""
    attack = r"\' OR 1=1 -- "
    assert asked(LOGIN.format(attack), attack, dialect="mysql")
    doubled = attack.replace("'", "''")
    assert asked(LOGIN.format(doubled), attack, dialect="mysql")


@pytest.mark.parametrize(
    ("text", "sent", "honest"),
    [
        ("SELECT $${}$$", "it's", True),
        ("SELECT $${}$$", "$$ OR $$", False),
        ("SELECT $tag${}$tag$", "$$ it's $$", True),
        ("SELECT $tag${}$tag$", "$tag$||x||$tag$", False),
        ("SELECT E'{}'", r"\n", True),
        ("SELECT E'{}'", r"\\' OR 1=1 --", False),
        ("SELECT U&'{}'", r"\0027", True),
        ("SELECT N'{}'", "x' OR 'a", False),
        ('SELECT U&"{}" FROM t', r"d\0061t", False),
        ("SELECT a[{}]", "1", True),
        ("SELECT a::{}", "text; DROP", False),
    ],
)
def test_literals_of_postgres(text, sent, honest):
    assert (asked(text.format(sent), sent, dialect="postgres") == "") == honest


def test_double_quotes_are_texts_in_mysql():
    text = 'SELECT id FROM users WHERE email="{}"'
    assert not asked(text.format("O'Brien"), "O'Brien", dialect="mysql")
    assert asked(text.format('" OR ""="'), '" OR ""="', dialect="mysql")
    # SQLite takes it for a column where there is one: ``password="password"``.
    assert asked(text.format("password"), "password")
    assert not asked(text.format("a@example.com"), "a@example.com")


@pytest.mark.parametrize("dialect", ANY)
def test_literals_that_do_not_end_are_refused(dialect):
    assert asked("SELECT 'abc", "abc", dialect=dialect)
    assert asked("SELECT id /* abc", "abc", dialect=dialect) or dialect == "sqlite"


def test_several_statements_are_refused_without_any_input():
    assert asked("SELECT 1; DELETE FROM users", "q")
    assert not asked("SELECT 1 ; -- the end\n", "q")
    assert not asked("SELECT ';' ;", "q")


def test_a_nul_is_refused():
    """SQLite and libpq stop reading there, and a judge does not."""
    assert asked("SELECT 1\0 + 1", "q")


def test_what_is_missing_counts_against_a_statement():
    verdict = judge(
        "SELECT 1", "sqlite", Inputs((), complete=False), KNOWN, ().__contains__
    )
    assert verdict.objection is not None


def test_scripts_are_constants_or_nothing():
    assert asked("SELECT 1", script=True)


def test_a_fragment_is_excused_within_the_words_around_it_only():
    """A value that is a piece of the application's own statement raises no alarm; the
    same piece put in elsewhere does."""
    listed = LISTED.format("?, ?")
    for piece in (
        "name FROM users",
        "kind='order'",
        "'order'",
        "id, name",
        "SELECT id",
    ):
        assert not asked(listed, piece)
    assert not asked("PRAGMA journal_mode=WAL", "wal")
    assert asked(SORT.format("kind='order'"), "kind='order'")
    assert asked(LOGIN.format("' AND role='"), "' AND role='")
    assert asked(LOGIN.format("' AND role="), "' AND role=")


def test_how_an_input_stands_in_it_is_told():
    inputs = Inputs((Input("O'Brien", "json", "name"), Input("5", "query", "id")))
    text = "SELECT * FROM users WHERE email='O''Brien' AND role='5'"
    verdict = judge(text, "sqlite", inputs, KNOWN, ().__contains__)
    assert [one.name for one in verdict.escaped] == ["name"]
    assert [one.name for one in verdict.raw] == ["id"]


@pytest.mark.parametrize(
    ("sent", "pasted"),
    [
        ("-(CASE WHEN 1 THEN 1 END)", "(CASE WHEN 1 THEN 1 END)"),
        ("(SELECT password):desc", "(SELECT password)"),
        ("password:desc", "password"),
        ("-password", "password"),
        ("id.(SELECT 1)", "(SELECT 1)"),
        ("name__password", "password"),
    ],
)
def test_what_is_cut_out_of_an_input_is_input(sent, pasted):
    """Orders are taken apart before they are used."""
    assert asked(SORT.format(pasted), sent)
    assert not asked(SORT.format("name"), "-name")


def test_many_parts_hide_none():
    """What cannot be taken apart any more counts against a statement (CWE-770)."""
    sort = "-(CASE WHEN (SELECT 1) THEN id END)"
    noise = [f"a{n}'b c{n}'d e{n}'f" for n in range(3_000)]
    assert asked(SORT.format(sort[1:]), *noise, sort)
    flood = [f"a{n}'b c{n}'d e{n}'f" for n in range(30_000)]
    assert asked(SORT.format("1"), *flood)


def test_words_of_a_search_are_input():
    """Each word is pasted on its own."""
    word = "x'OR(1=1)--"
    assert asked(LOGIN.format(word), f"some {word} words")
    assert not asked(LOGIN.format("O''Brien"), "Mister O'Brien and others")


def test_an_input_names_no_other_bound_value():
    assert asked(SORT.format(":password"), ":password")
    assert not asked("UPDATE users SET email = :name", ":name")
