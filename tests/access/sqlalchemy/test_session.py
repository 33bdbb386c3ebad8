"""A session is one principal's, and keeps nothing that is not theirs."""

import pytest
from sqlalchemy import create_engine, func, insert, select, text, update
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Session, make_transient_to_detached
from tests.access.sqlalchemy.conftest import ANN, BEA
from tests.access.sqlalchemy.models import Order, OrderLine

from ringfence import Principal
from ringfence.access.ownership.acting import acting_as
from ringfence.access.ownership.escape import unscoped
from ringfence.audit.events import OwnershipLifted
from ringfence.errors import OwnershipRefusedError

REFUSED = pytest.raises(OwnershipRefusedError)


def test_another_principal_is_refused(database):
    """What was loaded for one is not shown to the next."""
    with acting_as(ANN):
        session = database.session()
        assert session.get(Order, "order-ann")
    with acting_as(BEA):
        for use in (
            lambda: session.get(Order, "order-ann"),
            lambda: session.scalars(select(Order)).all(),
            session.commit,
            session.flush,
        ):
            with REFUSED:
                use()
    session.close()


def test_same_principal_proved_again_is_not_another(database):
    """Another object for the same person, with the same rights, may go on."""
    with acting_as(ANN), database.session() as session:
        assert session.get(Order, "order-ann")
        again = Principal(ANN.id, ANN.roles, tenant=ANN.tenant, signed_in_at=5.0)
    with acting_as(again):
        assert session.scalar(select(func.count(Order.id))) == 1
    session.close()


def test_nobody_sees_nothing(database):
    """Without a principal there are no rows, and writing raises."""
    with database.session() as session:
        assert session.scalars(select(Order)).all() == []
        session.add(Order(id="new"))
        with REFUSED:
            session.flush()
        session.rollback()
        session.add(Order(id="new", owner_id="ann"))
        with REFUSED:
            session.flush()


def test_unscoped_shows_all_and_leaves_nothing(database, ann, events):
    """Inside the block all rows are there; afterwards one's own, and the ledger knows
    why."""
    mine = ann.get(Order, "order-ann")
    with unscoped("nightly report"):
        assert len(ann.scalars(select(Order)).all()) == 2
        theirs = ann.get(Order, "order-bea")
    assert mine in ann
    assert theirs not in ann
    assert ann.get(Order, "order-bea") is None
    [told] = events
    assert isinstance(told, OwnershipLifted)
    assert (told.reason, told.account) == ("nightly report", "ann")


def test_links_to_what_has_left_are_loaded_again(ann):
    """No collection keeps what was loaded without a filter."""
    with unscoped("look at everything"):
        ann.execute(
            update(OrderLine).where(OrderLine.id == "line-bea").values(position=2)
        )
        ann.commit()
    order = ann.get(Order, "order-ann")
    with unscoped("look at everything"):
        found = [line.id for line in order.lines]
    assert found == ["line-ann"]
    assert [line.id for line in order.lines] == ["line-ann"]


def test_changes_left_over_at_the_end_are_told(ann):
    """What was changed inside and not written is not lost in silence."""

    def change():
        with unscoped("mend totals"):
            ann.get(Order, "order-bea").total = 9

    with pytest.raises(InvalidRequestError, match="changes of Order are not written"):
        change()


def test_earlier_changes_are_not_let_through(ann):
    """What waits to be written is verified before anybody lifts ownership."""
    ann.get(Order, "order-ann").owner_id = "bea"
    with unscoped("count"), REFUSED:
        ann.scalar(select(func.count(Order.id)))


def test_changes_inside_are_let_through(database, ann):
    """An order is given to somebody else where code says so."""
    with unscoped("give an order away"):
        ann.get(Order, "order-ann").owner_id = "bea"
        ann.commit()
    assert ann.get(Order, "order-ann") is None


def test_what_was_given_away_is_not_written(ann):
    """An object that was loaded before its row was given away changes nothing."""
    order = ann.get(Order, "order-ann")
    with unscoped("give it away"):
        ann.execute(update(Order).where(Order.id == order.id).values(owner_id="bea"))
    order.total = 50
    with REFUSED:
        ann.flush()


def test_refresh_does_not_show_what_was_given_away(database, ann):
    """What is another's by now is not loaded again."""
    order = ann.get(Order, "order-ann")
    with unscoped("give it away"), database.session() as other:
        other.execute(update(Order).values(owner_id="bea"))
        other.commit()
    with pytest.raises(InvalidRequestError):
        ann.refresh(order)
    ann.expire_all()
    assert ann.get(Order, "order-ann") is None


def test_attached_key_of_anothers_row(ann):
    """An empty object with another's key is no way to their row."""
    fake = Order(id="order-bea")
    make_transient_to_detached(fake)
    ann.add(fake)
    with REFUSED:
        ann.get(Order, "order-bea")
    fake.total = 0
    with REFUSED:
        ann.flush()


def test_cached_object_of_another_is_not_merged(database, ann):
    """What a cache has of one principal is not given to another."""
    with unscoped("fill the cache"), database.session() as other:
        cached = other.get(Order, "order-bea")
        mine = other.get(Order, "order-ann")
        other.expunge_all()
    with REFUSED:
        ann.merge(cached, load=False)
    with REFUSED:
        ann.add(cached)
    assert ann.merge(mine, load=False).id == "order-ann"
    assert ann.get(Order, "order-ann").total == 1


@pytest.mark.parametrize(
    "run",
    [
        lambda session: session.execute(select(Order.__table__.c.id)),
        lambda session: session.execute(text("SELECT id FROM orders")),
        lambda session: session.connection().exec_driver_sql("SELECT id FROM orders"),
        lambda session: session.scalars(
            select(Order).from_statement(text("SELECT * FROM orders"))
        ).all(),
        lambda session: session.scalars(
            select(Order).where(text("1 = 1 or total = 1"))
        ).all(),
        lambda session: session.get_bind().raw_connection(),
        lambda session: session.get_bind().pool.connect(),
        lambda session: session.connection().connection,
        lambda session: Session(session.get_bind()).scalars(select(Order)).all(),
        lambda session: session.execute(
            insert(Order), [{"id": "x", "owner_id": "bea"}]
        ),
        lambda session: session.bulk_save_objects([Order(id="x", owner_id="bea")]),
        lambda session: session.bulk_update_mappings(
            Order, [{"id": "order-bea", "total": 0}]
        ),
        lambda session: session.execute(
            update(Order), [{"id": "order-bea", "total": 0}]
        ),
    ],
)
def test_ways_round_the_filter_are_refused(ann, run):
    """Core, text, the driver, other sessions, bulk: all pass the wall."""
    with REFUSED:
        run(ann)


def test_what_says_whose_it_wants_passes(ann):
    """The same ways are open to whoever writes the owner into them."""
    own = text("SELECT id FROM orders WHERE owner_id = :me")
    assert ann.execute(own, {"me": "ann"}).scalars().all() == ["order-ann"]
    with REFUSED:
        ann.execute(own, {"me": "bea"})
    ann.execute(insert(Order), [{"id": "x", "owner_id": "ann"}])
    ann.execute(update(Order), [{"id": "x", "total": 4}])
    assert ann.get(Order, "x").total == 4


def test_driver_is_open_inside_unscoped(ann):
    """Where ownership is lifted, the driver's own connection may be had."""
    with unscoped("make a backup"):
        raw = ann.connection().connection
        assert raw.execute("SELECT count(*) FROM orders").fetchone() == (2,)


def test_object_loaded_past_every_filter_is_refused(database, ann):
    """Should a statement slip through, what it loads is still looked at."""
    database.wall._check.verdict = lambda text, view: (
        __import__("ringfence.access.statements.verdicts", fromlist=["FINE"]).FINE
    )
    with REFUSED:
        ann.scalars(select(Order).from_statement(text("SELECT * FROM orders"))).all()


def test_other_engines_of_the_application_are_left_alone():
    """What has no owners is used as before."""
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1
        assert connection.connection is not None
    engine.dispose()
