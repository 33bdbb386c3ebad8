"""Whose rows are wanted stands in every statement of the ORM."""

import pytest
from sqlalchemy import create_engine, event, exists, func, select, update
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    aliased,
    joinedload,
    mapped_column,
    selectinload,
    subqueryload,
)
from tests.access.sqlalchemy.conftest import ANN
from tests.access.sqlalchemy.models import Base, Document, Order, OrderLine, Report

from ringfence import access
from ringfence.access.ownership.acting import acting_as
from ringfence.access.sqlalchemy import Database, criteria, self_test
from ringfence.access.sqlalchemy.criteria import Filter
from ringfence.errors import DeclarationError


@pytest.mark.parametrize(
    "statement",
    [
        select(Order.id),
        select(aliased(Order).id),
        select(select(Order).subquery().c.id),
        select(OrderLine.order_id),
        select(OrderLine.order_id).join(OrderLine.order),
        select(Order.id).where(exists(select(OrderLine.id))),
        select(Order.id).union(select(Order.id)),
    ],
)
def test_selects(ann, statement):
    """One's own, whatever shape the statement has."""
    assert ann.scalars(statement).all() == ["order-ann"]


@pytest.mark.parametrize("load", [joinedload, selectinload, subqueryload])
def test_eager_loads(ann, load):
    """So are loads of relationships."""
    statement = select(Order).options(load(Order.lines), load(Order.tags))
    found = ann.scalars(statement).unique().all()
    loaded = [(one.lines[0].id, one.tags[0].id) for one in found]
    assert loaded == [("line-ann", "tag-ann")]


def test_inheritance(ann):
    """The rows of a joined table belong to whom those that they continue do."""
    assert ann.scalars(select(Report.figures)).all() == ["new"]
    assert [one.id for one in ann.scalars(select(Document))] == ["report-ann"]
    assert ann.scalars(select(aliased(Report).figures)).all() == ["new"]
    assert ann.execute(update(Report).values(figures="x")).rowcount == 1


def test_statements_are_compiled_once(database, ann):
    """Two principals and two executions share what was compiled."""
    compiled = []
    engine = ann.get_bind()
    event.listen(
        engine,
        "after_cursor_execute",
        lambda *given: compiled.append(given[4].cache_hit.name),
    )
    ann.scalars(select(func.count(Order.id))).all()
    ann.scalars(select(func.count(Order.id))).all()
    with database.session() as again:
        again.scalars(select(func.count(Order.id))).all()
    assert compiled[1:] == ["CACHE_HIT", "CACHE_HIT"]


def test_options_are_not_added_twice(ann):
    """A load that follows another carries its options."""
    statement = ann._filtered(select(Order))
    assert ann._filtered(statement)._with_options == statement._with_options


def test_filter_that_is_not_applied_stops_the_start(monkeypatch):
    """Another SQLAlchemy that ignores the filter must not start."""

    class Base(DeclarativeBase):
        pass

    @access.rows(access.owner("owner_id"))
    class Thing(Base):
        __tablename__ = "things"
        id: Mapped[int] = mapped_column(primary_key=True)
        owner_id: Mapped[str]

    monkeypatch.setattr(Filter, "get_global_criteria", lambda self, attributes: None)
    with pytest.raises(DeclarationError, match="is not filtered"):
        Database(create_engine("sqlite://"), Base)
    assert criteria.Filter is self_test.Filter


def test_objects_that_are_written_otherwise_stop_the_start(monkeypatch):
    """So must one whose UPDATE by key would not be known for what it is."""
    engine = create_engine("sqlite://")
    monkeypatch.setattr(self_test, "_WRITES_WITH", "another_option")
    with pytest.raises(DeclarationError, match="does not pass another_option"):
        Database(engine, Base)
    monkeypatch.undo()
    Database(engine, Base)


def test_integer_and_uuid_owners():
    """An id is compared as the column holds it; one that it cannot hold is nobody's."""

    class Base(DeclarativeBase):
        pass

    @access.rows(access.owner("owner_id"))
    class Thing(Base):
        __tablename__ = "things"
        id: Mapped[int] = mapped_column(primary_key=True)
        owner_id: Mapped[int]

    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    database = Database(engine, Base)
    seven = type(ANN)("7")
    with acting_as(seven), database.session() as session:
        session.add(Thing(id=1))
        session.commit()
        assert session.scalars(select(Thing.owner_id)).all() == [7]
    with acting_as(ANN), database.session() as session:
        assert session.scalars(select(Thing.owner_id)).all() == []
    engine.dispose()
