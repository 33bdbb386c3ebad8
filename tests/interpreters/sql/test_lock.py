"""The statement lock: shapes, the file, learning and enforcing."""

import pytest
from tests.interpreters.asking import asking

from ringfence.errors import InjectionRefusedError, SettingsError
from ringfence.interpreters.settings import InterpretersSettings
from ringfence.interpreters.sink import Sink, Sinks
from ringfence.interpreters.sql.judge import check
from ringfence.interpreters.sql.lock import (
    Entry,
    StatementLock,
    read_lock,
    render,
    write_lock,
)
from ringfence.interpreters.sql.shapes import shape_of

SINK = Sink("sql", "a test")


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("SELECT  a\nFROM t -- x", "select a from t"),
        ("SELECT 'x''y', 1.5, ?, :a", "select ?"),
        ("SELECT * FROM t WHERE id IN (1, 2, 3)", "select * from t where id in (?)"),
        ("INSERT INTO t VALUES (?, ?), (?, ?)", "insert into t values (?)"),
        ("SELECT a FROM t WHERE b = -5", "select a from t where b = ?"),
        ("SELECT a FROM t LIMIT -1", "select a from t limit ?"),
        ("SELECT a -1 FROM t", "select a - ? from t"),
        ('SELECT "A", t.b FROM t', 'select "A", t.b from t'),
        ("SELECT /* c */ count(*) FROM t;", "select count (*) from t;"),
    ],
)
def test_shapes(text, shape):
    assert shape_of(text, "sqlite") == shape
    assert shape_of(shape, "sqlite") == shape


def test_another_structure_is_another_shape():
    honest = "SELECT * FROM t WHERE a = 'x'"
    for other in (
        "SELECT * FROM t WHERE a = 'x' OR 'a' = 'a'",
        "SELECT * FROM t WHERE a = 'x' --",
        "SELECT * FROM t WHERE a = b",
        "SELECT * FROM u WHERE a = 'x'",
    ):
        same = other.endswith("--")  # nothing but a comment
        assert (shape_of(other, "sqlite") == shape_of(honest, "sqlite")) is same


def test_a_file_is_sorted_and_comes_back(tmp_path):
    lock = StatementLock()
    lock = lock.with_one(Entry("select ? from b", "sqlite"), "app.b")
    lock = lock.with_one(Entry('select "\t\x7f\\" from a', "postgres"), "app.a")
    lock = lock.with_one(Entry("select ? from b", "sqlite"), "app.a")
    path = tmp_path / "statements.lock"
    write_lock(path, lock)
    assert read_lock(path) == lock
    assert path.read_text("utf-8") == render(lock)
    assert render(lock).index("from a") < render(lock).index("from b")
    assert [one.name for one in tmp_path.iterdir()] == ["statements.lock"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("x", "not TOML"),
        ("version = 9", "version"),
        ("version = 1\n[[statement]]\nshape = 'x'", "lacks"),
        ("version = 1\nstatement = [1]", "lacks"),
    ],
)
def test_a_file_that_is_none_is_told(tmp_path, content, why):
    path = tmp_path / "statements.lock"
    path.write_text(content)
    with pytest.raises(SettingsError, match=why):
        read_lock(path)


def test_a_missing_file_stops_the_start(tmp_path):
    missing = tmp_path / "statements.lock"
    with pytest.raises(SettingsError, match="ringfence lock"):
        read_lock(missing)
    with pytest.raises(SettingsError, match="no such file"):
        InterpretersSettings(sql_lock=missing, sql_lock_mode="enforce")
    with pytest.raises(SettingsError, match="without a file"):
        InterpretersSettings(sql_lock_mode="learn")
    with pytest.raises(SettingsError, match="cannot be written"):
        write_lock(tmp_path / "no" / "file", StatementLock())


def find(name):
    """Trust what a table holds: second order."""
    check(f"SELECT * FROM t WHERE name = '{name}'", dialect="sqlite", sink=SINK)


def asked(path, mode, query=b""):
    settings = InterpretersSettings(sql_lock=path, sql_lock_mode=mode)
    request = asking(query=query)
    made = request.__enter__()
    made.sinks = Sinks(settings, lambda _: None)
    return request


def during(path, mode, work, query=b""):
    request = asked(path, mode, query)
    try:
        work()
    finally:
        request.__exit__(None, None, None)


STORED = "x' OR 'a'='a"


def test_second_order_is_stopped_by_what_was_learned(tmp_path):
    path = tmp_path / "statements.lock"
    during(path, "learn", lambda: find("Alice"))
    during(path, "learn", lambda: find("Bob"))
    (entry, places) = next(iter(read_lock(path).places.items()))
    assert entry == Entry("select * from t where name = ?", "sqlite")
    assert all(place.endswith(".find") for place in places)
    during(path, "enforce", lambda: find("Zoe O''Brien"))
    during(path, "off", lambda: find(STORED))  # what it is like without
    with pytest.raises(InjectionRefusedError):
        during(path, "enforce", lambda: find(STORED))


def test_an_attack_teaches_nothing(tmp_path):
    path = tmp_path / "statements.lock"
    with pytest.raises(InjectionRefusedError):
        during(path, "learn", lambda: find(STORED), b"q=x' OR 'a'%3D'a")
    assert not path.exists()


def test_constants_and_transactions_need_no_entry(tmp_path):
    path = tmp_path / "statements.lock"
    write_lock(path, StatementLock())
    number = len("x" * 7)

    def work():
        check("SELECT * FROM t", dialect="sqlite", sink=SINK)
        check(f"SAVEPOINT p_{number}", dialect="sqlite", sink=SINK)
        check(f"PRAGMA read_uncommitted = {number}", dialect="sqlite", sink=SINK)

    during(path, "enforce", work)
    with pytest.raises(InjectionRefusedError):
        during(
            path,
            "enforce",
            lambda: check(f"PRAGMA x = {number}", dialect="sqlite", sink=SINK),
        )


def test_shapes_without_end_are_told():
    lock = StatementLock({Entry(str(n), "sqlite"): frozenset() for n in range(10_000)})
    with pytest.raises(SettingsError, match="allow-list"):
        lock.with_one(Entry("x", "sqlite"), "app")
