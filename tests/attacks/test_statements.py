"""Statements that go round a filter of the ORM: on a bare engine they find, change and
give away what is another's; on a guarded one they are refused."""

import pytest
from sqlalchemy import StaticPool, create_engine, insert, select, text, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from ringfence import Principal, access, unscoped
from ringfence.access.sqlalchemy import Database
from ringfence.errors import OwnershipRefusedError


class Base(DeclarativeBase):
    pass


@access.rows(access.owner("owner_id"))
class Note(Base):
    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[str]
    body: Mapped[str]


NOTES = Note.__table__
ATTACKS = {
    "a text that forgets": text("SELECT body FROM notes"),
    "an OR": text("SELECT body FROM notes WHERE body <> '' OR 1 AND owner_id = 'ann'"),
    "an OR beside a filter": select(NOTES.c.body).where(
        NOTES.c.owner_id == "ann", text("1 = 0 or 1 = 1")
    ),
    "Core": select(NOTES.c.body),
    "a subquery": text("SELECT (SELECT max(body) FROM notes WHERE owner_id = 'bob')"),
    "IN a table": text("SELECT 1 WHERE 1 IN (SELECT id FROM notes) UNION SELECT 2"),
    "an alias": text("SELECT n.body FROM notes AS n, (SELECT 'ann' AS owner_id) AS m "
                     "WHERE m.owner_id = 'ann'"),
    "a change": update(NOTES).values(body="taken"),
    "a gift": text("INSERT INTO notes (owner_id, body) SELECT 'bob', 'planted'"),
    "another's row": insert(NOTES).values(owner_id="bob", body="planted"),
    "a replacement": text("REPLACE INTO notes VALUES (2, 'ann', 'taken')"),
    "another's name": select(NOTES.c.body).where(NOTES.c.owner_id == "bob"),
}  # fmt: skip
HONEST = {
    "Core": select(NOTES.c.body).where(NOTES.c.owner_id == "ann"),
    "text": text("SELECT body FROM notes WHERE owner_id = :me").bindparams(me="ann"),
}


@pytest.fixture
def engine():
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all(
            [
                Note(id=1, owner_id="ann", body="hers"),
                Note(id=2, owner_id="bob", body="his"),
            ]
        )
        session.commit()
    yield engine
    engine.dispose()


def rows(engine):
    with unscoped("look what is there"), engine.connect() as connection:
        return connection.exec_driver_sql("SELECT * FROM notes ORDER BY id").fetchall()


def tried(engine, statement):
    """Return what a statement finds, if it finds something."""
    with engine.begin() as connection:
        result = connection.execute(statement)
        return result.fetchall() if result.returns_rows else []


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_bare_engine_obeys(engine, attack):
    """Each finds Bob's note, or changes what is there."""
    before = rows(engine)
    found = tried(engine, ATTACKS[attack])
    assert found != [("hers",)]
    assert found or rows(engine) != before


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_guarded_one_refuses(engine, attack):
    """For Ann, each is refused, and nothing is changed."""
    Database(engine, Base)
    before = rows(engine)
    with access.acting_as(Principal("ann")), pytest.raises(OwnershipRefusedError):
        tried(engine, ATTACKS[attack])
    assert rows(engine) == before


@pytest.mark.parametrize("statement", HONEST)
def test_honest_statements_are_the_same(engine, statement):
    """What says whose rows it wants finds them on both."""
    bare = tried(engine, HONEST[statement])
    Database(engine, Base)
    with access.acting_as(Principal("ann")):
        assert tried(engine, HONEST[statement]) == bare == [("hers",)]
