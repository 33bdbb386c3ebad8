"""A database whose rows belong to ann and bea."""

import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool
from tests.access.sqlalchemy.models import Base, Order, OrderLine, Report, Tag

from ringfence import Principal
from ringfence.access.ownership.acting import acting_as
from ringfence.access.ownership.escape import unscoped
from ringfence.access.sqlalchemy import Database

ANN = Principal("ann", frozenset({"customer"}), tenant="t1")
BEA = Principal("bea", frozenset({"customer"}), tenant="t2")


def rows():
    """Return one order of everybody's, with what hangs on it."""
    for name in ("ann", "bea"):
        yield Order(
            id=f"order-{name}",
            owner_id=name,
            lines=[OrderLine(id=f"line-{name}")],
            tags=[Tag(id=f"tag-{name}", owner_id=name)],
        )
        yield Report(id=f"report-{name}", owner_id=name)


@pytest.fixture
def events():
    return []


@pytest.fixture
def database(events):
    engine = create_engine(
        "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
    )
    made = Database(engine, Base)
    with unscoped("make tables"):
        Base.metadata.create_all(engine)
        with made.session() as session:
            session.add_all(rows())
            session.commit()
    made.bind({}, events.append)
    yield made
    engine.dispose()


@pytest.fixture
def ann(database):
    """A session of ann's."""
    with acting_as(ANN), database.session() as session:
        yield session
