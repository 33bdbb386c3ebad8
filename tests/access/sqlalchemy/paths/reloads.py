"""What the session has already, or believes to have: no statement, or one by key."""

from __future__ import annotations

import pickle

from sqlalchemy import inspect, select
from sqlalchemy.orm import (
    attributes,
    make_transient_to_detached,
    object_session,
    undefer,
)
from tests.access.sqlalchemy.models import Comment, Order, OrderLine, Preference, Report
from tests.access.sqlalchemy.paths.loads import pretended
from tests.access.sqlalchemy.paths.table import reads

from ringfence import unscoped

GROUP = "identity map"
theirs = reads(GROUP)


def brought(s, w):
    """Leave a row of another's in the session, loaded where that was allowed."""
    with unscoped("nightly report"):
        return s.get(Order, w.id("order"))


@reads(GROUP)
def key_lookup_of_what_is_there(s, w):
    held = brought(s, w)
    assert held is not None
    return s.get(Order, w.id("order"))


@theirs
def parent_that_is_there(s, w):
    with unscoped("nightly report"):
        held = s.get(Comment, "comment-bea")
    found = s.get(Comment, "comment-answer").parent
    del held
    return found


@theirs
def select_of_what_is_there(s, w):
    held = brought(s, w)
    assert held is not None
    return s.scalars(select(Order)).all()


@theirs
def merge_of_what_is_there(s, w):
    held = brought(s, w)
    assert held is not None
    found = s.merge(Order(id=w.id("order")), load=True)
    told = shown_state(found)
    s.rollback()
    return told


def shown_state(row):
    return dict(inspect(row).dict)


@reads(GROUP, honest=False)
def what_is_in_the_map_itself(s, w):
    held = brought(s, w)
    found = [shown_state(row) for row in s if row is not None]
    del held
    return found


@theirs
def refresh(s, w):
    order = pretended(s, Order, id=w.id("order"))
    s.refresh(order)
    return order


@theirs
def refresh_of_one_attribute(s, w):
    order = pretended(s, Order, id=w.id("order"))
    s.refresh(order, ["secret"])
    return order


@theirs
def refresh_with_lock(s, w):
    order = pretended(s, Order, id=w.id("order"))
    s.refresh(order, with_for_update=True)
    return order


@theirs
def expired_attributes(s, w):
    order = pretended(s, Order, id=w.id("order"))
    return order.secret


@theirs
def expired_after_commit(s, w):
    order = pretended(s, Order, id=w.id("order"))
    s.commit()
    return order.secret


@theirs
def expired_by_hand(s, w):
    order = pretended(s, Order, id=w.id("order"), owner_id="ann")
    s.expire(order, ["secret"])
    return order.secret


@theirs
def expired_after_a_rollback(s, w):
    order = pretended(s, Order, id=w.id("order"), owner_id="ann")
    s.rollback()
    return order.secret


@theirs
def deferred_column_of_a_pretended_row(s, w):
    return pretended(s, Order, id=w.id("order"), secret="x", owner_id="ann").address


@theirs
def computed_column_of_a_pretended_row(s, w):
    order = pretended(s, Order, id=w.id("order"), secret="x", owner_id="ann")
    return order.line_secrets


@theirs
def child_columns_of_a_pretended_row(s, w):
    report = pretended(
        s, Report, id=w.id("report"), secret="x", owner_id="ann", kind="report"
    )
    return report.figures


@theirs
def a_pretended_row_by_key(s, w):
    held = pretended(s, Order, id=w.id("order"))
    found = s.get(Order, w.id("order"))
    return [found, found and found.secret, held is found]


@theirs
def a_pretended_row_with_all_columns_undeferred(s, w):
    held = pretended(s, Order, id=w.id("order"))
    found = s.get(Order, w.id("order"), options=[undefer("*")], populate_existing=True)
    return [found, held]


@theirs
def a_pretended_child_without_an_owner(s, w):
    return pretended(s, OrderLine, id=w.id("line")).secret


@theirs
def a_pretended_row_with_two_keys(s, w):
    return pretended(s, Preference, id="colour", owner_id=w.person).secret


@theirs
def a_pickled_row(s, w):
    order = Order(id=w.id("order"))
    make_transient_to_detached(order)
    returned = pickle.loads(pickle.dumps(order))
    s.add(returned)
    return returned.secret


@theirs
def a_row_of_another_session(s, w):
    with unscoped("nightly report"), w.open() as other:
        order = other.get(Order, w.id("order"))
        assert order is not None
        other.expire(order)
        other.expunge(order)
    s.add(order)
    return order.secret


@theirs
def a_row_whose_owner_is_claimed(s, w):
    order = pretended(s, Order, id=w.id("order"), owner_id="ann")
    attributes.set_committed_value(order, "owner_id", "ann")
    return order.secret


@theirs
def a_row_merged_without_a_look(s, w):
    order = Order(id=w.id("order"))
    make_transient_to_detached(order)
    return s.merge(order, load=False).secret


@theirs
def a_row_merged_by_its_key(s, w):
    merged = s.merge(Order(id=w.id("order")))
    told = shown_state(merged)
    s.rollback()
    return told


@theirs
def the_session_of_a_row(s, w):
    order = pretended(s, Order, id=w.id("order"))
    return object_session(order).get(Order, w.id("order"), populate_existing=True)


@theirs
def a_row_renamed_to_another(s, w):
    order = s.get(Order, "order-ann")
    s.expunge(order)
    state = inspect(order)
    state.key = (*state.key[:1], (w.id("order"),), *state.key[2:])
    attributes.set_committed_value(order, "id", w.id("order"))
    s.add(order)
    s.refresh(order)
    return order


@theirs
def children_loaded_where_that_was_allowed(s, w):
    order = s.get(Order, "order-ann")
    with unscoped("nightly report"):
        loaded = len(order.remarks)
    assert loaded >= 1
    return [list(order.remarks)]


@theirs
def parent_loaded_where_that_was_allowed(s, w):
    answer = s.get(Comment, "comment-answer")
    with unscoped("nightly report"):
        told = answer.parent
    del told
    return [answer.parent]


@theirs
def columns_loaded_where_that_was_allowed(s, w):
    with unscoped("nightly report"):
        order = pretended(s, Order, id=w.id("order"))
        s.refresh(order)
    del order
    return s.get(Order, w.id("order"))
