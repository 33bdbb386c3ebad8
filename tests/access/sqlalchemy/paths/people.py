"""For whom code works, and when that changes."""

from __future__ import annotations

import contextvars
import threading

from sqlalchemy import select, text, update
from sqlalchemy.orm import object_session
from tests.access.sqlalchemy.models import (
    Comment,
    Invoice,
    Membership,
    Note,
    Order,
    OrderLine,
    Product,
    Tag,
    Team,
)
from tests.access.sqlalchemy.paths.table import reads, writes
from tests.access.sqlalchemy.paths.world import (
    ANN,
    BEA,
    DRIFTER,
    EMPTY,
    NOBODY,
    OTTO,
)

from ringfence import unscoped

GROUP = "who acts"
as_nobody = {"actor": NOBODY, "honest": False}
as_empty = {"actor": EMPTY, "honest": False, "whose": "empty"}


@reads(GROUP, **as_nobody)
def nobody_reads(s, w):
    return [s.scalars(select(model)).all() for model in (Order, OrderLine, Tag)]


@reads(GROUP, **as_nobody)
def nobody_reads_by_key(s, w):
    return s.get(Order, w.id("order"))


@reads(GROUP, **as_nobody)
def nobody_reads_what_nobody_owns(s, w):
    return s.scalars(select(Note)).all()


@reads(GROUP, **as_nobody)
def nobody_reads_a_table(s, w):
    return s.execute(select(Order.__table__)).all()


@reads(GROUP, **as_nobody)
def nobody_counts(s, w):
    return w.told(s.query(Order).count())


@writes(GROUP, **as_nobody)
def nobody_writes(s, w):
    s.execute(update(Note).values(secret="taken"))


@writes(GROUP, **as_nobody)
def nobody_adds(s, w):
    s.add(Note(id="new", author_id=None))
    s.flush()


@writes(GROUP, **as_nobody)
def nobody_adds_for_somebody(s, w):
    s.add(Note(id="new", author_id="bea"))
    s.flush()


@reads(GROUP, **as_empty)
def empty_id_reads(s, w):
    return s.scalars(select(Order)).all()


@reads(GROUP, **as_empty)
def empty_id_reads_children(s, w):
    return s.scalars(select(OrderLine)).all()


@reads(GROUP, **as_empty)
def empty_id_reads_a_table(s, w):
    orders = Order.__table__
    return s.execute(select(orders).where(orders.c.owner_id == "")).all()


@writes(GROUP, **as_empty)
def empty_id_writes(s, w):
    s.execute(update(Order).values(secret="taken"))


@writes(GROUP, **as_empty)
def empty_id_adds(s, w):
    s.add(Order(id="new", owner_id=""))
    s.flush()


@reads(GROUP, actor=DRIFTER, whose="empty", honest=False)
def operator_of_no_tenant_reads(s, w):
    return s.scalars(select(Invoice)).all()


@reads(GROUP, actor=OTTO, honest=False)
def operator_reads_of_another_tenant(s, w):
    return s.scalars(select(Invoice)).all()


@reads(GROUP, actor=OTTO, honest=False)
def operator_reads_by_key(s, w):
    return s.get(Invoice, w.id("invoice"))


@writes(GROUP, actor=OTTO, honest=False)
def operator_writes_of_another_tenant(s, w):
    told = update(Invoice).where(Invoice.id == w.id("invoice"))
    s.execute(told.values(secret="taken"))


@reads(GROUP, actor=OTTO, honest=False)
def operator_reads_what_no_operator_sees(s, w):
    return s.scalars(select(Order)).all()


@writes(GROUP, actor=OTTO, honest=False)
def operator_moves_to_another_tenant(s, w):
    told = update(Invoice).where(Invoice.id == "invoice-ann").values(tenant_id="t2")
    s.execute(told)


@reads(GROUP, honest=False)
def session_of_another(s, w):
    """Opened for Bea, used for Ann."""
    with w.acting(BEA):
        other = w.open()
    with other, w.acting(ANN):
        return other.scalars(select(Order)).all()


@reads(GROUP, honest=False)
def what_the_session_of_another_holds(s, w):
    with w.acting(w.other):
        other = w.open()
        held = other.get(Order, w.id("order"))
    with other, w.acting(ANN):
        found = other.get(Order, w.id("order"))
        del held
        return found


@reads(GROUP, honest=False)
def lazy_children_in_the_session_of_another(s, w):
    with w.acting(w.other):
        other = w.open()
        order = other.get(Order, w.id("order"))
    with other, w.acting(ANN):
        return list(order.lines)


@reads(GROUP, honest=False)
def expired_row_in_the_session_of_another(s, w):
    with w.acting(w.other):
        other = w.open()
        order = other.get(Order, w.id("order"))
        other.expire(order)
    with other, w.acting(ANN):
        return order.secret


@reads(GROUP, honest=False)
def text_in_the_session_of_another(s, w):
    with w.acting(w.other):
        other = w.open()
    with other, w.acting(ANN):
        mine = text("SELECT secret FROM orders WHERE owner_id = :me")
        return other.execute(mine, {"me": w.person}).all()


@writes(GROUP, honest=False)
def pending_row_in_the_session_of_another(s, w):
    s.rollback()
    with w.acting(w.other):
        other = w.open()
        other.add(Note(id="new", author_id=w.person))
    with other, w.acting(ANN):
        other.commit()


@writes(GROUP, honest=False)
def dirty_row_in_the_session_of_another(s, w):
    s.rollback()
    with w.acting(w.other):
        other = w.open()
        note = other.get(Note, w.id("note"))
    with other, w.acting(ANN):
        note.secret = "taken"
        other.commit()


@reads(GROUP, honest=False)
def session_from_before_the_sign_in(s, w):
    with w.acting(NOBODY):
        other = w.open()
    with other:
        return other.scalars(select(Order)).all()


@reads(GROUP, actor=NOBODY, honest=False)
def session_from_before_the_sign_out(s, w):
    with w.acting(BEA):
        other = w.open()
    with other:
        return other.scalars(select(Order)).all()


@reads(GROUP, actor=NOBODY, honest=False)
def row_from_before_the_sign_out(s, w):
    with w.acting(BEA):
        other = w.open()
        order = other.get(Order, w.id("order"))
        other.expire(order)
    with other:
        return order.secret


@reads(GROUP, honest=False, plain=True)
def thread_that_carries_nothing(s, w):
    found = []

    def work():
        try:
            with w.open() as other:
                found.append(other.scalars(select(Order)).all())
        except Exception as error:  # noqa: BLE001 - told to whoever waits
            found.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(10)
    return _told(found)


@reads(GROUP, honest=False, plain=True)
def thread_that_carries_an_escape(s, w):
    """Which is over when the thread gets to work."""
    with unscoped("nightly report"):
        carried = contextvars.copy_context()
    return carried.run(_looked, w)


@reads(GROUP, honest=False)
def session_of_an_escape_that_is_over(s, w):
    with unscoped("nightly report"):
        other = w.open()
    with other:
        return other.scalars(select(Order)).all()


@reads(GROUP, honest=False)
def row_of_an_escape_that_is_over(s, w):
    with unscoped("nightly report"):
        order = s.get(Order, w.id("order"))
        s.expire(order)
    try:
        return order.secret
    except Exception:
        assert object_session(order) is None
        raise


@reads(GROUP, honest=False)
def result_of_an_escape_that_is_over(s, w):
    """Rows that nobody has fetched yet."""
    with unscoped("nightly report"):
        s.execute(select(Product)).all()
        other = w.open()
        held = other.get(Order, w.id("order"))
    with other:
        del held
        return other.get(Order, w.id("order"))


@reads(GROUP, honest=False)
def connection_of_an_escape_that_is_over(s, w):
    with unscoped("nightly report"):
        connection = s.connection()
    return connection.execute(text("SELECT secret FROM orders")).all()


@reads(GROUP, honest=False)
def statement_known_from_an_escape(s, w):
    """What was let through once is not let through for everybody."""
    told = text("SELECT secret FROM orders")
    with unscoped("nightly report"):
        s.execute(told).all()
    return s.execute(told).all()


@reads(GROUP, honest=False)
def statement_known_from_an_operator(s, w):
    told = text("SELECT secret FROM invoices WHERE tenant_id = :tenant")
    with w.acting(OTTO), w.open() as other:
        other.execute(told, {"tenant": "t1"}).all()
    return s.execute(told, {"tenant": "t2"}).all()


@reads(GROUP, honest=False)
def statement_known_with_ones_own_value(s, w):
    told = text("SELECT secret FROM orders WHERE owner_id = :me")
    s.execute(told, {"me": "ann"}).all()
    return s.execute(told, {"me": w.person}).all()


@reads(GROUP, honest=False)
def two_people_in_turn_on_one_engine(s, w):
    with w.acting(w.other), w.open() as other:
        theirs = other.scalars(select(Order.id).where(Order.owner_id == "bea")).all()
        mine = s_read(s, w)
        del theirs
    return mine


def s_read(s, w):
    with w.acting(ANN):
        return s.scalars(select(Order)).all()


@reads(GROUP, honest=False, plain=True)
def two_people_at_once_on_one_engine(s, w):
    """Many threads, two people, one engine: nobody ever sees a row of the other."""
    found = []

    def work(person):
        try:
            with w.acting(person):
                for _ in range(5):
                    with w.open() as other:
                        seen = other.scalars(select(Order)).all()
                    if person is ANN:
                        found.append(seen)
        except Exception as error:  # noqa: BLE001 - told to whoever waits
            found.append(error)

    threads = [
        threading.Thread(target=work, args=(person,), daemon=True)
        for person in (ANN, BEA, ANN, BEA)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    return _told(found)


@reads(GROUP, honest=False)
def team_by_membership_of_another(s, w):
    joined = select(Team.secret, Membership.secret).join(Team.members)
    return s.execute(joined).all()


@writes(GROUP, honest=False)
def delete_queued_where_that_was_allowed(s, w):
    """Marked inside, flushed outside."""
    with unscoped("nightly report"):
        comment = s.get(Comment, "comment-reply")
        s.delete(comment)
    s.flush()


@writes(GROUP, honest=False)
def row_added_where_that_was_allowed(s, w):
    with unscoped("nightly report"):
        s.add(Note(id="new", author_id="bea"))
    s.flush()


def _looked(w):
    with w.open() as other:
        return other.scalars(select(Order)).all()


def _told(found):
    for one in found:
        if isinstance(one, Exception):
            raise one
    return found
