"""Statements are judged right before the driver, whoever stands between."""

import pytest
from sqlalchemy import create_engine, event, text
from tests.access.sqlalchemy.conftest import ANN
from tests.access.sqlalchemy.models import Base

from ringfence.access.ownership.acting import acting_as
from ringfence.access.ownership.escape import unscoped
from ringfence.access.sqlalchemy import Database
from ringfence.errors import DeclarationError, OwnershipRefusedError

EVERYBODYS = "SELECT secret FROM orders"
REFUSED = pytest.raises(OwnershipRefusedError)


def test_a_listener_that_carries_out_a_statement_itself(database, ann):
    """What the driver is not asked by SQLAlchemy is judged before."""
    done = []

    def carry_out(cursor, statement, parameters, context):
        cursor.execute(statement, parameters)
        done.append(statement)
        return True

    event.listen(database._engine, "do_execute", carry_out)
    assert ann.execute(text("SELECT 1")).scalar() == 1
    assert done == ["SELECT 1"]
    with REFUSED:
        ann.execute(text(EVERYBODYS))
    assert done == ["SELECT 1"]


def test_listeners_from_before_are_still_asked():
    """An engine that was listened to keeps its listeners."""
    engine, seen = create_engine("sqlite://"), []
    event.listen(engine, "do_execute", lambda *sent: seen.append(sent[1]))
    Database(engine, Base)
    with acting_as(ANN), engine.connect() as connection:
        assert connection.execute(text("SELECT 2")).scalar() == 2
    assert "SELECT 2" in seen
    engine.dispose()


def test_a_dialect_that_is_asked_directly(database, ann):
    """Whoever has a cursor does not pass by with the dialect."""
    connection = ann.connection()
    with unscoped("take a cursor"):
        cursor = connection.connection.cursor()
        connection.dialect.do_execute(cursor, "SELECT 3", ())
        assert cursor.fetchone() == (3,)
    with REFUSED:
        connection.dialect.do_execute(cursor, EVERYBODYS, ())
    cursor.close()


def test_a_pool_that_was_made_anew_hands_out_nothing(tmp_path):
    """``dispose`` makes another pool."""
    engine = create_engine(f"sqlite:///{tmp_path}/shop.db")
    Database(engine, Base)
    for _ in range(2):
        with REFUSED:
            engine.pool.connect()
        with acting_as(ANN), engine.connect() as connection:
            assert connection.scalar(text("SELECT 4")) == 4
        engine.dispose()


def test_a_second_database_on_one_engine_is_refused():
    """Each would refuse the tables of the other, one request after the other."""
    engine = create_engine("sqlite://")
    Database(engine, Base)
    for again in (engine, engine.execution_options(isolation_level="SERIALIZABLE")):
        with pytest.raises(DeclarationError, match="has a Database already"):
            Database(again, Base)
    engine.dispose()
