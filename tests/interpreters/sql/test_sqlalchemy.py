"""SQLAlchemy's own statements pass; text that is put into them is judged."""

import pytest
import sqlalchemy
from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    String,
    Table,
    column,
    func,
    insert,
    literal_column,
    select,
    table,
    text,
    update,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from tests.interpreters.asking import asking

from ringfence import sql
from ringfence.errors import InjectionRefusedError
from ringfence.interpreters.sql.drivers import sqlalchemy as guard
from ringfence.interpreters.sql.drivers import sqlite as sqlite_guard

guard.arm()
sqlite_guard.arm()

ATTACK = "1) or (1=1".upper()  # put together: else it were a constant of this file
USERS = Table("users", MetaData(), Column("id", Integer), Column("name", String))


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "people"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


@pytest.fixture
def engine():
    engine = sqlalchemy.create_engine("sqlite://")
    USERS.create(engine)
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


def request(value=ATTACK):
    return asking(path=f"/{value}/users/name/people/id")


UNSAFE = (
    lambda given: text(f"SELECT * FROM users WHERE (id = {given})"),
    lambda given: select(USERS).where(text(f"(id = {given})")),
    lambda given: select(USERS).order_by(literal_column(f"({given})")),
    lambda given: select(USERS).order_by(text(f"({given})")),
    lambda given: select(USERS.c.id.op(f"= ({given}) =")(2)),
    lambda given: select(USERS).prefix_with(f"({given}),"),
    lambda given: select(USERS).suffix_with(f"WHERE ({given})"),
    lambda given: select(USERS).with_statement_hint(f"WHERE ({given})"),
    lambda given: insert(USERS).prefix_with(f"({given})").values(id=1),
    lambda given: update(USERS).values(id=text(f"({given})")),
    lambda given: sqlalchemy.DDL(f"CREATE TABLE x AS SELECT ({given})"),
)

SAFE = (
    lambda given: text("SELECT * FROM users WHERE name = :name").bindparams(name=given),
    lambda given: select(USERS).where(USERS.c.name == given),
    lambda given: select(USERS.c.id.label(given)),
    lambda given: select(USERS).where(USERS.c.name.in_([given, "x"])),
    lambda given: select(column("id").label(given)).select_from(table("users")),
    lambda given: select(User).where(User.name == given).order_by(User.id.desc()),
    lambda given: select(func.count()).select_from(User).where(text("1 = 1")),
    lambda given: insert(USERS).values(
        [{"id": 1, "name": given}, {"id": 2, "name": "x"}]
    ),
    lambda given: update(User).where(User.name.like(given)).values(name=given),
    lambda given: select(literal_column("id")).select_from(USERS).limit(3),
    lambda given: sql.query("SELECT * FROM users WHERE name = {n}", n=given).sqlalchemy,
)


@pytest.mark.parametrize("make", UNSAFE)
def test_text_from_input_is_refused(engine, make):
    with engine.connect() as db, request(), pytest.raises(InjectionRefusedError):
        db.execute(make(ATTACK))


@pytest.mark.parametrize("make", SAFE)
def test_what_is_bound_or_quoted_passes(engine, make):
    for value in (ATTACK, "O'Brien", "users", "name", "🙂"):
        with engine.connect() as db, request(value):
            db.execute(make(value))
            db.execute(make(value))  # kept as compiled, and known as such


def test_sessions_pass(engine):
    with request(), Session(engine) as session:
        session.add_all([User(name=ATTACK), User(name="x")])
        session.commit()
        assert session.scalars(select(User.name)).all() == [ATTACK, "x"]
        with session.begin_nested():
            session.delete(session.get(User, 1))


def test_reading_the_tables_passes(engine):
    """SQLAlchemy quotes names itself when it asks for them."""
    with request("users"):
        inspector = sqlalchemy.inspect(engine)
        assert {"users", "people"} <= set(inspector.get_table_names())
        assert [one["name"] for one in inspector.get_columns("users")] == ["id", "name"]
        Base.metadata.create_all(engine)


def test_a_changed_statement_is_judged_anew(engine):
    """Listeners may rewrite what was compiled."""

    def spoil(connection, cursor, statement, parameters, context, executemany):  # noqa: PLR0917 - SQLAlchemy's
        return f"{statement} WHERE (id = {ATTACK})", parameters

    sqlalchemy.event.listen(engine, "before_cursor_execute", spoil, retval=True)
    with engine.connect() as db, request(), pytest.raises(InjectionRefusedError):
        db.execute(select(USERS))


def test_a_statement_that_was_changed_before_is_judged(engine):
    """A listener that was there before the guard."""
    with engine.connect() as db, request():
        context = db.execute(select(USERS)).context
        changed = f"{context.statement} WHERE (id = {ATTACK})"
        with pytest.raises(InjectionRefusedError):
            guard.before_cursor_execute(db, None, changed, (), context, False)  # noqa: FBT003 - SQLAlchemy's


def test_many_rows_pass(engine):
    statement = insert(User).returning(User.id)
    with engine.connect() as db, request("people"):
        rows = [{"name": f"{ATTACK}{number}"} for number in range(5)]
        assert len(db.execute(statement, rows).all()) == 5


def test_engines_are_watched(engine):
    assert sql.watch(engine) is engine
