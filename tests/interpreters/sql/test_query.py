"""Statements and values, apart; names out of an allow-list."""

import sqlite3
from contextlib import closing
from types import SimpleNamespace

import pytest
import sqlalchemy
from tests.interpreters.asking import asking

from ringfence import sql
from ringfence.errors import InjectionRefusedError
from ringfence.interpreters.sink import Sink
from ringfence.interpreters.sql.judge import check

SINK = Sink("sql", "a test")


def test_each_driver_gets_its_form():
    query = sql.query("SELECT '100%' FROM t WHERE a = {a} AND b = {b}", b=2, a="O'B")
    assert query.values == ("O'B", 2)
    assert query.qmark == ("SELECT '100%' FROM t WHERE a = ? AND b = ?", ("O'B", 2))
    assert query.format[0] == "SELECT '100%%' FROM t WHERE a = %s AND b = %s"
    assert query.numbered == ("SELECT '100%' FROM t WHERE a = $1 AND b = $2", "O'B", 2)


def test_it_runs():
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE users (id, name)")
        db.execute(*sql.query("INSERT INTO users VALUES ({a}, {b})", a=1, b="x'").qmark)
        found = sql.query("SELECT * FROM users WHERE id IN {ids}", ids=[1, 2])
        assert db.execute(*found.qmark).fetchall() == [(1, "x'")]
    engine = sqlalchemy.create_engine("sqlite://")
    query = sql.query("SELECT {a} || ' 10:30 ' || {b}", a="x", b="y")
    with engine.connect() as db:
        assert db.execute(query.sqlalchemy).scalar() == "x 10:30 y"
    engine.dispose()


def test_a_template_string_of_python_3_14():
    value = SimpleNamespace(
        value="x", expression="name", conversion=None, format_spec=""
    )
    template = SimpleNamespace(
        strings=("SELECT * FROM t WHERE a = ", ""), interpolations=(value,)
    )
    assert sql.query(template).qmark == ("SELECT * FROM t WHERE a = ?", ("x",))
    with pytest.raises(ValueError, match="no others"):
        sql.query(template, a=1)
    value.format_spec = ">3"
    with pytest.raises(ValueError, match="bound as it is"):
        sql.query(template)


def test_queries_and_names_are_parts_of_queries():
    only = sql.query("active = {active}", active=1)
    order = sql.order_by("name", allowed={"name"})
    query = sql.query(
        "SELECT * FROM t WHERE {only} AND id = {id} ORDER BY {order}",
        only=only,
        order=order,
        id=5,
    )
    assert query.qmark == (
        "SELECT * FROM t WHERE active = ? AND id = ? ORDER BY name ASC",
        (1, 5),
    )


@pytest.mark.parametrize(
    ("template", "values", "why"),
    [
        ("SELECT {a}", {}, "no value"),
        ("SELECT 1", {"a": 1}, "no place"),
        ("SELECT {}", {"a": 1}, "no value"),
        ("SELECT {a!r}", {"a": 1}, "bound as it is"),
        ("SELECT {a:>3}", {"a": 1}, "bound as it is"),
        ("SELECT '{a}'", {"a": 1}, "within quotes"),
        ("SELECT * FROM t WHERE a LIKE '%{a}%'", {"a": 1}, "LIKE"),
        ("SELECT * FROM t WHERE a IN {a}", {"a": []}, "empty"),
    ],
)
def test_mistakes_are_told(template, values, why):
    with pytest.raises(ValueError, match=why):
        sql.query(template, **values)


def test_a_query_is_static_and_an_f_string_is_not():
    attack = "x' OR 1=1 --"
    with asking(query=b"q=" + attack.encode()):
        text, _ = sql.query("SELECT * FROM t WHERE a = {a}", a=attack).qmark
        check(text, dialect="sqlite", sink=SINK)
        text, _ = sql.query(f"SELECT * FROM t WHERE a = '{attack}'").qmark
        with pytest.raises(InjectionRefusedError):
            check(text, dialect="sqlite", sink=SINK)


def test_orders():
    allowed = {"name", "price"}
    assert sql.order_by("name", allowed=allowed) == "name ASC"
    assert sql.order_by("-price, name", allowed=allowed) == "price DESC, name ASC"
    assert sql.order_by("price DESC", allowed=allowed) == "price DESC"
    assert sql.order_by(" ", allowed=allowed, default="id") == "id"
    named = {"newest": "t.created_at"}
    assert sql.order_by("-newest", allowed=named) == "t.created_at DESC"


@pytest.mark.parametrize(
    "asked",
    [
        "",
        "password",
        "name; DROP",
        "name desc nulls",
        "-name desc",
        "name,",
        20 * "name,",
    ],
)
def test_other_orders_are_refused(asked):
    with pytest.raises(InjectionRefusedError) as refused:
        sql.order_by(asked, allowed={"name"})
    assert refused.value.denial.status == 400


def test_names():
    assert sql.identifier("name", allowed=["name"]) == "name"
    assert sql.identifier("order", allowed={"order": '"order"'}) == '"order"'
    with pytest.raises(InjectionRefusedError):
        sql.identifier("other", allowed=["name"])
    with pytest.raises(ValueError, match="no plain name"):
        sql.identifier("name", allowed=["name", "a b"])
    with pytest.raises(TypeError, match="one text"):
        sql.identifier("name", allowed="name")
    with pytest.raises(TypeError, match="a name is a text"):
        sql.identifier(7, allowed=["name"])


def test_a_name_that_was_let_through_may_stand_in_an_f_string():
    """Even where the list comes from elsewhere than the code."""
    columns = [word.lower() for word in ("Qx_One", "Qx_Two")]
    with asking(query=b"by=qx_two"):
        statement = f"SELECT * FROM t ORDER BY {columns[1]}"
        with pytest.raises(InjectionRefusedError):
            check(statement, dialect="sqlite", sink=SINK)
        sql.identifier(columns[1], allowed=columns)
        check(statement, dialect="sqlite", sink=SINK)
