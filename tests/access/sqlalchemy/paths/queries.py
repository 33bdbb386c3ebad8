"""The older interface: ``session.query``."""

from __future__ import annotations

import warnings

from sqlalchemy import func, select, text
from sqlalchemy.orm import joinedload
from tests.access.sqlalchemy.models import Order, OrderLine, Product
from tests.access.sqlalchemy.paths.table import reads, writes

GROUP = "query"
theirs = reads(GROUP)
changes = writes(GROUP)


@theirs
def query_all(s, w):
    return s.query(Order).all()


@theirs
def query_iterated(s, w):
    return list(s.query(Order))


@theirs
def query_get(s, w):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return s.query(Order).get(w.id("order"))


@theirs
def query_filter(s, w):
    return s.query(Order).filter(Order.id == w.id("order")).all()


@theirs
def query_first(s, w):
    return s.query(Order).filter_by(id=w.id("order")).first()


@theirs
def query_one(s, w):
    return s.query(Order).filter_by(id=w.id("order")).one()


@theirs
def query_one_or_none(s, w):
    return s.query(Order).filter_by(id=w.id("order")).one_or_none()


@theirs
def query_scalar(s, w):
    return s.query(Order.secret).filter(Order.id == w.id("order")).scalar()


@theirs
def query_count(s, w):
    return w.told(s.query(Order).filter(Order.id == w.id("order")).count())


@theirs
def query_exists(s, w):
    asked = s.query(Order).filter(Order.id == w.id("order")).exists()
    return w.told(s.query(asked).scalar())


@theirs
def query_slice(s, w):
    return s.query(Order).order_by(Order.id)[0:5]


@theirs
def query_columns(s, w):
    return s.query(Order.id, Order.secret).all()


@theirs
def query_with_entities(s, w):
    return s.query(Product).with_entities(Order.secret).all()


@theirs
def query_select_from(s, w):
    return s.query(func.max(Order.secret)).select_from(Order).all()


@theirs
def query_join(s, w):
    return s.query(OrderLine.secret, Order.secret).join(OrderLine.order).all()


@theirs
def query_outer_join(s, w):
    on = Order.owner_id == Product.owner_id
    found = s.query(Product.id, Order.secret).outerjoin(Order, on)
    return found.all() if w.whose == "bea" else []


@theirs
def query_union(s, w):
    first = s.query(Order).filter(Order.id == w.id("order"))
    return first.union(s.query(Order)).all()


@theirs
def query_subquery(s, w):
    inner = s.query(Order).filter(Order.id == w.id("order")).subquery()
    return s.query(inner.c.secret).all()


@theirs
def query_of_a_label(s, w):
    inner = s.query(Order.secret).filter(Order.id == w.id("order"))
    return s.query(inner.label("told")).all()


@theirs
def query_yield_per(s, w):
    return list(s.query(Order).yield_per(1))


@theirs
def query_from_statement(s, w):
    return s.query(Order).from_statement(select(Order)).all()


@reads(GROUP, honest=False)
def query_from_text(s, w):
    given = text("SELECT * FROM orders WHERE id = :id").bindparams(id=w.id("order"))
    return s.query(Order).from_statement(given).all()


@theirs
def query_without_assertions(s, w):
    return s.query(Order).enable_assertions(value=False).all()


@theirs
def query_that_populates(s, w):
    return s.query(Order).populate_existing().all()


@theirs
def query_with_lock(s, w):
    return s.query(Order).with_for_update(read=True).all()


@theirs
def query_with_options(s, w):
    return s.query(Order).options(joinedload(Order.lines)).all()


@theirs
def query_with_parameters(s, w):
    return s.query(Order).filter(text("id = :key")).params(key=w.id("order")).all()


@changes
def query_update(s, w):
    s.query(Order).filter(Order.id == w.id("order")).update({"secret": "taken"})


@changes
def query_delete(s, w):
    s.query(OrderLine).filter(OrderLine.order_id == w.id("order")).delete()


@changes
def query_update_all(s, w):
    s.query(Order).update({Order.secret: "taken"})
