"""Changing and deleting what is another's."""

from __future__ import annotations

import pickle

from sqlalchemy import (
    bindparam,
    delete,
    exists,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import aliased, attributes, make_transient
from tests.access.sqlalchemy.models import (
    Article,
    CardPayment,
    Comment,
    Document,
    Invoice,
    LineDetail,
    Note,
    Order,
    OrderLine,
    Payment,
    Preference,
    Product,
    Project,
    Remark,
    Report,
    Tag,
    Team,
)
from tests.access.sqlalchemy.paths.loads import pretended
from tests.access.sqlalchemy.paths.table import writes

from ringfence import unscoped

BY_STATEMENT, BY_KEY = "update and delete", "write by key"
change = writes(BY_STATEMENT)
by_key = writes(BY_KEY)
ASKED = ("auto", "fetch", "evaluate", False)


def dialect_insert(s):
    """Return the insert that knows ON CONFLICT."""
    kind = s.get_bind().dialect.name
    return (sqlite if kind == "sqlite" else postgresql).insert


def _with_every_synchronisation(mode):
    options = {"synchronize_session": mode}

    def changed(s, w):
        told = update(Order).where(Order.id == w.id("order")).values(secret="taken")
        s.execute(told, execution_options=options)

    def deleted(s, w):
        told = delete(LineDetail).where(LineDetail.id == w.id("detail"))
        s.execute(told, execution_options=options)

    writes(BY_STATEMENT, f"update, synchronised by {mode}")(changed)
    # A filter with a subquery is nothing that Python could evaluate.
    honest = mode != "evaluate"
    writes(BY_STATEMENT, f"delete, synchronised by {mode}", honest=honest)(deleted)


for _mode in ASKED:
    _with_every_synchronisation(_mode)


@change
def update_of_all(s, w):
    s.execute(update(Order).values(secret="taken"))


@change
def delete_of_all(s, w):
    s.execute(delete(LineDetail))


@change
def update_by_owner(s, w):
    s.execute(update(Order).where(Order.owner_id == w.person).values(total=0))


@change
def update_through_a_parent(s, w):
    told = update(OrderLine).where(OrderLine.order_id == w.id("order"))
    s.execute(told.values(price=0))


@change
def update_through_a_team(s, w):
    s.execute(update(Project).where(Project.id == w.id("project")).values(secret="x"))


@change
def update_of_two_owners(s, w):
    s.execute(update(Note).where(Note.id == w.id("note")).values(secret="taken"))


@change
def update_of_a_tenants(s, w):
    s.execute(update(Invoice).where(Invoice.id == w.id("invoice")).values(secret="x"))


@writes(BY_STATEMENT, whose="public")
def update_of_what_one_only_reads(s, w):
    s.execute(update(Article).where(Article.id == w.id("article")).values(secret="x"))


@writes(BY_STATEMENT, whose="public")
def delete_of_what_one_only_reads(s, w):
    s.execute(delete(Article).where(Article.id == w.id("article")))


@writes(BY_STATEMENT, whose="public")
def update_of_what_staff_writes(s, w):
    s.execute(update(Product).values(price=0))


@writes(BY_STATEMENT, whose="public")
def delete_of_what_staff_writes(s, w):
    s.execute(delete(Product))


@writes(BY_STATEMENT, whose="public")
def update_of_what_nobody_writes(s, w):
    s.execute(update(Team).values(secret="taken"))


@change
def update_of_a_child_table(s, w):
    s.execute(update(Report).where(Report.id == w.id("report")).values(figures="x"))


@change
def update_of_the_table_of_a_base(s, w):
    s.execute(update(Document).where(Document.id == w.id("report")).values(secret="x"))


@change
def update_of_a_kind(s, w):
    s.execute(update(CardPayment).values(number="taken"))


@change
def delete_of_a_kind(s, w):
    s.execute(delete(CardPayment).where(CardPayment.id == w.id("card")))


@change
def update_that_returns(s, w):
    told = update(Order).where(Order.id == w.id("order")).values(total=0)
    return s.scalars(told.returning(Order.secret)).all()


@change
def update_that_returns_entities(s, w):
    told = update(Order).where(Order.id == w.id("order")).values(total=0)
    return s.scalars(told.returning(Order)).all()


@change
def delete_that_returns(s, w):
    told = delete(LineDetail).where(LineDetail.id == w.id("detail"))
    return s.scalars(told.returning(LineDetail.secret)).all()


@change
def update_in_order(s, w):
    s.execute(update(Order).ordered_values((Order.total, 0), (Order.secret, "taken")))


@change
def update_from_another_table(s, w):
    told = update(Order).where(
        Order.id == OrderLine.order_id, OrderLine.id == w.id("line")
    )
    s.execute(
        told.values(secret="taken"), execution_options={"synchronize_session": False}
    )


@change
def update_from_what_is_public(s, w):
    told = update(Order).where(Product.owner_id == "bea").values(secret="taken")
    s.execute(told, execution_options={"synchronize_session": False})


@writes(BY_STATEMENT, dialects=("postgresql",))
def delete_using_another_table(s, w):
    told = delete(LineDetail).where(
        LineDetail.order_id == Order.id, Order.id == w.id("order")
    )
    s.execute(told, execution_options={"synchronize_session": False})


@change
def update_with_anothers_value(s, w):
    """One's own row is changed to what stands in another's."""
    taken = select(Order.secret).where(Order.id == w.id("order")).scalar_subquery()
    s.execute(
        update(Order)
        .where(Order.id == "order-ann")
        .values(secret=func.coalesce(taken, "nothing")),
        execution_options={"synchronize_session": False},
    )


@change
def update_from_a_join_with_anothers_value(s, w):
    some = aliased(Order)
    told = update(Remark).where(Remark.id == "remark-ann", some.id == w.id("order"))
    s.execute(
        told.values(secret=some.secret),
        execution_options={"synchronize_session": False},
    )


@change
def attribute_with_anothers_value(s, w):
    order = s.get(Order, "order-ann")
    taken = select(Order.secret).where(Order.id == w.id("order")).scalar_subquery()
    order.secret = func.coalesce(taken, "nothing")
    s.flush()
    return order.secret


@change
def delete_where_another_exists(s, w):
    told = delete(Comment).where(
        Comment.id == "comment-answer", exists().where(Order.id == w.id("order"))
    )
    return w.told(
        s.execute(told, execution_options={"synchronize_session": False}).rowcount
    )


@change
def update_by_write_only_children(s, w):
    order = s.get(Order, "order-ann")
    told = order.written_remarks.update().values(secret="taken")
    s.execute(told)


@change
def delete_by_write_only_children(s, w):
    s.execute(s.get(Order, "order-ann").written_remarks.delete())


@change
def update_counted(s, w):
    told = update(Order).where(Order.id == w.id("order")).values(total=Order.total)
    return w.told(s.execute(told).rowcount)


# By primary key: these never see a filter.


@by_key
def many_updates_by_key(s, w):
    s.execute(update(Order), [{"id": w.id("order"), "secret": "taken"}])


@by_key
def many_updates_with_own_parameters(s, w):
    told = update(Order).where(Order.id == bindparam("key"))
    many = [{"key": w.id("order"), "secret": "taken"}]
    s.connection().execute(told.values(secret=bindparam("secret")), many)


@by_key
def bulk_update_mappings(s, w):
    s.bulk_update_mappings(Order, [{"id": w.id("order"), "secret": "taken"}])


@by_key
def bulk_update_mappings_of_a_child(s, w):
    s.bulk_update_mappings(OrderLine, [{"id": w.id("line"), "secret": "taken"}])


@by_key
def bulk_update_mappings_of_joined_tables(s, w):
    s.bulk_update_mappings(Report, [{"id": w.id("report"), "figures": "taken"}])


@by_key
def bulk_save_objects(s, w):
    order = pretended(s, Order, id=w.id("order"), owner_id="ann", total=1)
    s.expunge(order)
    order.total = 99
    s.bulk_save_objects([order])


@by_key
def bulk_update_mappings_among_own_ones(s, w):
    many = [{"id": "order-ann", "total": 2}, {"id": w.id("order"), "total": 99}]
    s.bulk_update_mappings(Order, many)


@by_key
def change_of_a_pretended_row(s, w):
    order = pretended(s, Order, id=w.id("order"))
    order.secret = "taken"
    s.flush()


@by_key
def change_of_a_pretended_row_of_ones_own(s, w):
    order = pretended(s, Order, id=w.id("order"), owner_id="ann", total=1)
    order.total = 99
    s.flush()


@by_key
def change_of_a_pretended_child(s, w):
    line = pretended(s, OrderLine, id=w.id("line"), order_id="order-ann", price=1)
    line.price = 99
    s.flush()


@by_key
def change_of_a_pretended_joined_row(s, w):
    report = pretended(s, Report, id=w.id("report"), owner_id="ann", kind="report")
    report.figures = "taken"
    s.flush()


@by_key
def delete_of_a_pretended_row(s, w):
    detail = pretended(
        s, LineDetail, id=w.id("detail"), order_id="order-ann", position=1
    )
    s.delete(detail)
    s.flush()


@by_key
def delete_of_a_pretended_row_of_ones_own(s, w):
    note = pretended(s, Note, id=w.id("note"), author_id="ann", editor_id="ann")
    s.delete(note)
    s.flush()


@by_key
def delete_of_a_pretended_payment(s, w):
    s.delete(pretended(s, Payment, id=w.id("payment"), owner_id="ann", kind="payment"))
    s.flush()


@by_key
def change_of_a_row_of_another_session(s, w):
    with unscoped("nightly report"), w.open() as other:
        order = other.get(Order, w.id("order"))
        other.expunge(order)
    s.add(order)
    order.total = 99
    s.flush()


@by_key
def delete_of_a_row_of_another_session(s, w):
    with unscoped("nightly report"), w.open() as other:
        payment = other.get(Payment, w.id("payment"))
        other.expunge(payment)
    s.delete(payment)
    s.flush()


@by_key
def change_of_a_pickled_row(s, w):
    with unscoped("nightly report"), w.open() as other:
        kept = pickle.dumps(other.get(Note, w.id("note")))
    note = pickle.loads(kept)
    s.add(note)
    note.secret = "taken"
    s.flush()


@by_key
def merge_of_changed_values(s, w):
    s.merge(Note(id=w.id("note"), secret="taken", author_id="ann"))
    s.flush()


@by_key
def merge_of_a_detached_row(s, w):
    with unscoped("nightly report"), w.open() as other:
        note = other.get(Note, w.id("note"))
        other.expunge(note)
    note.secret = "taken"
    s.merge(note)
    s.flush()


@by_key
def merge_without_a_look_and_change(s, w):
    note = pretended(s, Note, id=w.id("note"), author_id="ann", secret="x")
    s.expunge(note)
    merged = s.merge(note, load=False)
    merged.secret = "taken"
    s.flush()


@by_key
def change_of_a_row_loaded_where_that_was_allowed(s, w):
    with unscoped("nightly report"):
        note = s.get(Note, w.id("note"))
        assert note is not None
    if inspect(note).detached:
        s.add(note)
    note.secret = "taken"
    s.flush()


@writes(BY_KEY, honest=False)
def change_made_where_that_was_allowed_and_flushed_later(s, w):
    with unscoped("nightly report"):
        note = s.get(Note, w.id("note"))
        note.secret = "taken"
    s.add(note)
    s.flush()


@by_key
def change_of_a_renamed_row(s, w):
    note = s.get(Note, "note-ann")
    s.expunge(note)
    state = inspect(note)
    state.key = (*state.key[:1], (w.id("note"),), *state.key[2:])
    attributes.set_committed_value(note, "id", w.id("note"))
    s.add(note)
    note.secret = "taken"
    s.flush()


@by_key
def change_of_the_committed_key(s, w):
    note = s.get(Note, "note-ann")
    attributes.set_committed_value(note, "id", w.id("note"))
    note.secret = "taken"
    s.flush()


@by_key
def delete_of_a_row_with_a_changed_committed_key(s, w):
    note = s.get(Note, "note-ann")
    attributes.set_committed_value(note, "id", w.id("note"))
    s.delete(note)
    s.flush()


@by_key
def change_of_a_pretended_row_with_two_keys(s, w):
    row = pretended(s, Preference, id="colour", owner_id=w.person, secret="x")
    row.secret = "taken"
    s.flush()


@by_key
def change_through_a_nested_transaction(s, w):
    with s.begin_nested():
        pretended(s, Note, id=w.id("note"), author_id="ann").secret = "taken"


@by_key
def change_without_autoflush(s, w):
    with s.no_autoflush:
        pretended(s, Note, id=w.id("note"), author_id="ann").secret = "taken"
    s.commit()


@by_key
def delete_of_what_one_may_read(s, w):
    article = s.get(Article, w.id("article"))
    assert article is not None
    s.delete(article)
    s.flush()


@by_key
def a_new_row_in_the_place_of_another(s, w):
    """Deleted and inserted in one flush, which becomes an update by key."""
    old = pretended(s, Note, id=w.id("note"), author_id="ann", editor_id=None)
    s.delete(old)
    s.add(Note(id=w.id("note"), author_id="ann", secret="taken"))
    s.flush()


@by_key
def a_transient_copy(s, w):
    with unscoped("nightly report"), w.open() as other:
        note = other.get(Note, w.id("note"))
    make_transient(note)
    note.author_id = "ann"
    s.merge(note)
    s.flush()


# What a conflict, or a replacement, does to the row that is there.


@writes(BY_KEY, honest=False)
def upsert_over_another(s, w):
    told = dialect_insert(s)(Note).values(
        id=w.id("note"), author_id="ann", secret="taken"
    )
    s.execute(
        told.on_conflict_do_update(
            index_elements=["id"], set_={"secret": "taken", "author_id": "ann"}
        )
    )


@writes(BY_KEY, honest=False)
def upsert_that_returns_the_other(s, w):
    told = dialect_insert(s)(Note).values(
        id=w.id("note"), author_id="ann", secret="taken"
    )
    kept = told.on_conflict_do_update(index_elements=["id"], set_={"editor_id": None})
    return s.scalars(kept.returning(Note.secret)).all()


@writes(BY_KEY, honest=False)
def upsert_with_a_condition_that_holds(s, w):
    told = dialect_insert(s)(Note).values(
        id=w.id("note"), author_id="ann", secret="taken"
    )
    s.execute(
        told.on_conflict_do_update(
            index_elements=["id"],
            set_={"secret": told.excluded.secret},
            where=told.excluded.author_id == "ann",
        )
    )


@writes(BY_KEY, honest=False)
def many_upserts(s, w):
    told = dialect_insert(s)(Note)
    kept = told.on_conflict_do_update(
        index_elements=["id"], set_={"secret": told.excluded.secret}
    )
    s.execute(kept, [{"id": w.id("note"), "author_id": "ann", "secret": "taken"}])


@writes(BY_KEY, dialects=("sqlite",), honest=False)
def replacement_of_another(s, w):
    told = text(
        "INSERT OR REPLACE INTO notes (id, secret, author_id) VALUES (:i, 'x', 'ann')"
    )
    s.execute(told, {"i": w.id("note")})


@writes(BY_KEY, dialects=("sqlite",), honest=False)
def replacement_by_a_prefix(s, w):
    told = insert(Note).prefix_with("OR REPLACE")
    s.execute(told, [{"id": w.id("note"), "author_id": "ann", "secret": "taken"}])


@writes(BY_KEY, dialects=("sqlite",), honest=False)
def update_or_replace(s, w):
    told = update(Note).prefix_with("OR REPLACE").where(Note.id == "note-ann")
    s.execute(
        told.values(id=w.id("note")), execution_options={"synchronize_session": False}
    )


@by_key
def tags_of_a_pretended_order(s, w):
    order = pretended(s, Order, id=w.id("order"), owner_id="ann")
    order.tags.append(s.get(Tag, "tag-more"))
    s.flush()


@by_key
def tags_taken_from_a_pretended_order(s, w):
    order = pretended(s, Order, id=w.id("order"), owner_id="ann")
    tag = pretended(s, Tag, id=w.id("tag"), owner_id="ann", shared=False)
    attributes.set_committed_value(order, "tags", [tag])
    order.tags.clear()
    s.flush()
