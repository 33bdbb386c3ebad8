"""What is written is the principal's, before and after."""

import pytest
from sqlalchemy import event, func, insert, select
from tests.access.sqlalchemy.conftest import ANN, BEA
from tests.access.sqlalchemy.models import (
    Article,
    Invoice,
    Order,
    OrderLine,
    Preference,
    Report,
    Tag,
)

from ringfence import Principal
from ringfence.access.ownership.acting import acting_as
from ringfence.access.ownership.escape import unscoped
from ringfence.errors import OwnershipRefusedError

REFUSED = pytest.raises(OwnershipRefusedError)


def count(session):
    """Return what the session sends from now on."""
    sent = []
    engine = session.get_bind()

    def heard(*given):
        sent.append(given[2])

    event.listen(engine, "after_cursor_execute", heard)
    return sent


def test_owner_is_stamped(ann):
    """Whoever adds a row and does not say whose it is, owns it, at no further cost."""
    sent = count(ann)
    ann.add_all([Order(id="new"), Report(id="figures"), Preference(id="colour")])
    ann.flush()
    assert all(text.startswith("INSERT") for text in sent)
    assert ann.get(Order, "new").owner_id == "ann"
    assert ann.get(Report, "figures").owner_id == "ann"


def test_bulk_inserts_are_stamped(ann):
    """So are the rows of an INSERT of the ORM, and those of another's are refused."""
    ann.execute(insert(Order), [{"id": "one"}, {"id": "two", "owner_id": "ann"}])
    ann.execute(insert(Order), {"id": "three"})
    owners = ann.scalars(select(Order.owner_id)).all()
    assert owners == ["ann"] * 4
    with REFUSED:
        ann.execute(insert(Order), [{"id": "four"}, {"id": "five", "owner_id": "bea"}])


def test_tenant_is_stamped(database):
    """Where the tenant says who else sees it, it is stamped too."""
    with acting_as(ANN), database.session() as session:
        session.add(Invoice(id="invoice"))
        session.commit()
        found = session.get(Invoice, "invoice")
        assert (found.owner_id, found.tenant_id) == ("ann", "t1")


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.add(Order(id="new", owner_id="bea")),
        lambda s: setattr(s.get(Order, "order-ann"), "owner_id", "bea"),
        lambda s: setattr(s.get(Order, "order-ann"), "owner_id", None),
        lambda s: setattr(s.get(Order, "order-ann"), "owner_id", func.lower("BEA")),
        lambda s: setattr(s.get(OrderLine, "line-ann"), "order_id", "order-bea"),
        lambda s: s.add(OrderLine(id="new", order_id="order-bea")),
        lambda s: s.add(
            Tag(id="t", owner_id="bea", orders=[s.get(Order, "order-ann")])
        ),
        lambda s: setattr(s.get(Report, "report-ann"), "owner_id", "bea"),
    ],
)
def test_nothing_becomes_anothers(ann, change):
    """Neither by adding nor by moving, of a row or of what it belongs to."""
    change(ann)
    with REFUSED:
        ann.flush()


def test_readable_is_not_writable(database):
    """Whoever may read what is published may not change or remove it."""
    with unscoped("publish"), database.session() as session:
        session.add(Article(id="news", author_id="bea", published=True))
        session.commit()
    with acting_as(ANN), database.session() as session:
        session.get(Article, "news").secret = "mine"
        with REFUSED:
            session.flush()
        session.rollback()
        session.delete(session.get(Article, "news"))
        with REFUSED:
            session.flush()
    with acting_as(BEA), database.session() as session:
        session.get(Article, "news").secret = "mine"
        session.commit()
        session.delete(session.get(Article, "news"))
        session.commit()


def test_known_parents_are_not_asked_for(ann):
    """An order that was loaded, or written, is not looked up again for each line."""
    order = ann.get(Order, "order-ann")
    sent = count(ann)
    order.total = 3
    order.lines.append(OrderLine(id="second", position=2))
    ann.flush()
    assert sorted(text.split()[0] for text in sent) == ["INSERT", "SELECT", "UPDATE"]


def test_unknown_parents_are_asked_for_once(ann):
    """One question for each row whose parent was not loaded."""
    sent = count(ann)
    ann.add(OrderLine(id="second", order_id="order-ann", position=2))
    ann.flush()
    assert [text.split()[0] for text in sent] == ["SELECT", "INSERT"]


def test_rows_are_removed(ann):
    """One's own may go, both halves of them."""
    ann.delete(ann.get(Report, "report-ann"))
    ann.delete(ann.get(OrderLine, "line-ann"))
    ann.commit()
    assert ann.scalars(select(OrderLine)).all() == []
    assert ann.scalars(select(Report)).all() == []


def test_link_needs_both_ends(database, ann):
    """A tag that everybody sees is linked only by whom it belongs to."""
    with unscoped("share a tag"), database.session() as session:
        session.get(Tag, "tag-bea").shared = True
        session.commit()
    order = ann.get(Order, "order-ann")
    order.tags.append(ann.get(Tag, "tag-bea"))
    with REFUSED:
        ann.flush()
    ann.rollback()
    order.tags.append(Tag(id="another"))
    ann.flush()
    assert len(order.tags) == 2


def test_principal_without_tenant_writes_for_none(database):
    """An empty tenant is no tenant."""
    lone = Principal("lone", frozenset({"operator"}))
    with acting_as(lone), database.session() as session:
        session.add(Invoice(id="x", owner_id="ann", tenant_id=""))
        with pytest.raises(OwnershipRefusedError, match="lone belongs to no tenant"):
            session.flush()


def test_a_job_of_nobody_is_told_how_to_work_for_somebody(database):
    """What a newcomer writes first in a script."""
    with database.session() as session:
        session.add(Order(id="new"))
        with pytest.raises(OwnershipRefusedError, match=r"access\.acting_as"):
            session.flush()
