"""Rows made for others, given to others, and taken from them."""

from __future__ import annotations

from sqlalchemy import (
    bindparam,
    event,
    func,
    insert,
    literal,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.orm import make_transient
from tests.access.sqlalchemy.models import (
    Article,
    Comment,
    Invoice,
    LineDetail,
    Membership,
    Note,
    Order,
    OrderLine,
    Preference,
    Product,
    Project,
    Remark,
    Report,
    Tag,
    order_tags,
)
from tests.access.sqlalchemy.paths.loads import pretended
from tests.access.sqlalchemy.paths.table import writes
from tests.access.sqlalchemy.paths.writes import dialect_insert

NEW, GIVEN, TAKEN = "insert for another", "change of owner", "taking from another"
made = writes(NEW)
given = writes(GIVEN)
taken = writes(TAKEN)


@made
def a_new_row_of_anothers(s, w):
    s.add(Order(id="new", owner_id=w.person))
    s.flush()


@made
def new_rows_among_own_ones(s, w):
    s.add_all([Order(id="a", owner_id="ann"), Order(id="b", owner_id=w.person)])
    s.flush()


@made
def insert_of_anothers(s, w):
    s.execute(insert(Order).values(id="new", owner_id=w.person))


@made
def insert_of_several_rows(s, w):
    rows = [{"id": "a", "owner_id": "ann"}, {"id": "b", "owner_id": w.person}]
    s.execute(insert(Order), rows)


@made
def insert_of_several_rows_in_one_statement(s, w):
    rows = [
        {"id": "a", "owner_id": "ann", "secret": "new", "total": 1, "address": "x"},
        {"id": "b", "owner_id": w.person, "secret": "new", "total": 1, "address": "x"},
    ]
    s.execute(insert(Order).values(rows))


@made
def insert_by_a_parameter(s, w):
    told = insert(Order).values(id="new", owner_id=bindparam("who"))
    s.execute(told, {"who": w.person})


@made
def insert_of_a_literal(s, w):
    told = insert(Order).values(id="new", owner_id=literal(w.person))
    s.execute(told)


@writes(NEW, honest=False)
def insert_of_a_literal_column(s, w):
    told = insert(Order).values(id="new", owner_id=literal_column(f"'{w.person}'"))
    s.execute(told)


@writes(NEW, honest=False)
def insert_of_a_function(s, w):
    told = insert(Order).values(id="new", owner_id=func.lower(w.person.upper()))
    s.execute(told)


@writes(NEW, honest=False)
def insert_of_text(s, w):
    s.execute(insert(Order).values(id="new", owner_id=text(f"'{w.person}'")))


@writes(NEW, honest=False)
def insert_of_a_subquery(s, w):
    who = select(Product.owner_id).limit(1).scalar_subquery()
    if w.whose == "ann":
        who = literal("ann")
    s.execute(insert(Order).values(id="new", owner_id=who))


@made
def insert_that_returns(s, w):
    told = insert(Order).values(id="new", owner_id=w.person).returning(Order)
    return s.scalars(told).all()


@made
def inserts_that_return(s, w):
    told = insert(Order).returning(Order.id)
    return s.scalars(told, [{"id": "new", "owner_id": w.person}]).all()


@made
def bulk_insert_mappings(s, w):
    s.bulk_insert_mappings(Order, [{"id": "new", "owner_id": w.person}])


@made
def bulk_save_of_new_objects(s, w):
    s.bulk_save_objects([Order(id="new", owner_id=w.person)])


@made
def insert_page_by_page(s, w):
    rows = [{"id": f"n{n}", "owner_id": "ann"} for n in range(5)]
    rows[-1]["owner_id"] = w.person
    s.execute(
        insert(Order).returning(Order.id),
        rows,
        execution_options={"insertmanyvalues_page_size": 2},
    )


@made
def insert_where_there_is_no_conflict(s, w):
    told = dialect_insert(s)(Order).values(id="new", owner_id=w.person)
    s.execute(told.on_conflict_do_nothing())


@made
def a_new_child_of_joined_tables(s, w):
    s.add(Report(id="new", owner_id=w.person, figures="x"))
    s.flush()


@made
def a_new_row_of_a_tenants(s, w):
    s.add(Invoice(id="new", owner_id=w.person, tenant_id="t1"))
    s.flush()


@made
def a_new_row_with_two_owners(s, w):
    s.add(Note(id="new", author_id=w.person, editor_id=w.person))
    s.flush()


@made
def a_new_article_in_anothers_name(s, w):
    s.add(Article(id="new", author_id=w.person, published=True))
    s.flush()


@made
def a_new_row_with_two_keys(s, w):
    s.add(Preference(id="size", owner_id=w.person))
    s.flush()


@made
def merge_of_a_new_row(s, w):
    s.merge(Order(id="new", owner_id=w.person))
    s.flush()


@made
def a_copy_for_another(s, w):
    order = s.get(Order, "order-ann")
    s.refresh(order)
    make_transient(order)
    order.id, order.owner_id = "new", w.person
    s.add(order)
    s.flush()


@made
def owner_set_by_a_listener_before_the_insert(s, w):
    def late(mapper, connection, row):
        row.owner_id = w.person

    event.listen(Order, "before_insert", late)
    try:
        s.add(Order(id="new", owner_id="ann"))
        s.flush()
    finally:
        event.remove(Order, "before_insert", late)


@made
def owner_set_by_a_listener_before_the_flush(s, w):
    def late(session, *_):
        for row in session.new:
            row.owner_id = w.person

    event.listen(s, "before_flush", late)
    s.add(Order(id="new", owner_id="ann"))
    s.flush()


@writes(NEW, honest=False)
def owner_given_as_an_expression(s, w):
    s.add(Order(id="new", owner_id=func.lower(w.person)))
    s.flush()


@made
def a_new_line_of_anothers_order(s, w):
    s.add(OrderLine(id="new", order_id=w.id("order"), position=9))
    s.flush()


@made
def a_new_line_of_anothers_order_by_statement(s, w):
    s.execute(insert(OrderLine).values(id="new", order_id=w.id("order"), position=9))


@made
def new_lines_by_the_parents_key(s, w):
    line = {"id": "new", "order_id": w.id("order"), "position": 9}
    s.bulk_insert_mappings(OrderLine, [line])


@made
def a_new_line_of_a_pretended_order(s, w):
    order = pretended(s, Order, id=w.id("order"), owner_id="ann")
    s.add(OrderLine(id="new", order=order, position=9))
    s.flush()


@writes(NEW, honest=False)
def a_new_detail_over_two_columns(s, w):
    s.add(LineDetail(id="new", order_id=w.id("order"), position=1))
    s.flush()


@made
def a_new_project_of_anothers_team(s, w):
    s.add(Project(id="new", team_id=w.id("team")))
    s.flush()


@made
def a_new_link_to_anothers_order(s, w):
    link = {"order_id": w.id("order"), "tag_id": "tag-more"}
    s.execute(insert(order_tags).values(link))


@made
def a_new_link_to_anothers_tag(s, w):
    tag = "tag-empty" if w.whose == "bea" else "tag-more"
    link = {"order_id": "order-ann", "tag_id": tag}
    s.execute(insert(order_tags).values(link))


@made
def anothers_tag_on_ones_own_order(s, w):
    tag = pretended(s, Tag, id="tag-empty" if w.whose == "bea" else "tag-more")
    order = s.get(Order, "order-ann")
    order.tags.append(tag)
    s.flush()


@writes(NEW, whose="public")
def a_new_product(s, w):
    s.add(Product(id="new"))
    s.flush()


@writes(NEW, whose="public")
def a_new_product_by_statement(s, w):
    s.execute(insert(Product).values(id="new"))


@writes(NEW, honest=False)
def joining_a_team(s, w):
    s.add(Membership(id="new", team_id=w.id("team"), account_id="ann"))
    s.flush()


@writes(NEW, honest=False)
def joining_a_team_by_statement(s, w):
    values = {"id": "new", "team_id": w.id("team"), "account_id": "ann"}
    s.execute(insert(Membership).values(values))


@writes(NEW)
def copies_of_anothers_rows(s, w):
    """One's own rows, filled from those of another."""
    found = select(Order.id + "-copy", literal("ann"), Order.secret).where(
        Order.id == w.id("order")
    )
    names = ["id", "author_id", "secret"]
    s.execute(insert(Remark).from_select(names, found))


@writes(NEW)
def copies_of_anothers_rows_for_them(s, w):
    found = select(Order.id + "-copy", literal(w.person), literal("x")).where(
        Order.id == w.id("order")
    )
    s.execute(insert(Remark).from_select(["id", "author_id", "secret"], found))


@writes(NEW)
def copies_from_a_union(s, w):
    found = select(Product.id + "-copy", literal("ann"), Product.secret).union_all(
        select(Order.id + "-copy", literal("ann"), Order.secret).where(
            Order.id == w.id("order")
        )
    )
    s.execute(insert(Remark).from_select(["id", "author_id", "secret"], found))


@writes(NEW)
def copies_by_way_of_an_expression(s, w):
    found = select(Order.id + "-copy", literal("ann"), Order.secret).where(
        Order.id == w.id("order")
    )
    named = found.cte("named")
    s.execute(insert(Remark).from_select(["id", "author_id", "secret"], select(named)))


@made
def a_value_of_anothers_in_a_new_row(s, w):
    secret = select(Order.secret).where(Order.id == w.id("order")).scalar_subquery()
    s.execute(
        insert(Remark).values(
            id="new", author_id="ann", secret=func.coalesce(secret, "nothing")
        )
    )


# What was one's own is given away: a row in somebody else's list.


@given
def owner_of_ones_own_row(s, w):
    s.get(Order, "order-ann").owner_id = w.person
    s.flush()


@given
def owner_by_update(s, w):
    s.execute(update(Order).where(Order.id == "order-ann").values(owner_id=w.person))


@given
def owner_by_query_update(s, w):
    s.query(Order).filter_by(id="order-ann").update({"owner_id": w.person})


@given
def owner_by_many_updates(s, w):
    s.execute(update(Order), [{"id": "order-ann", "owner_id": w.person}])


@given
def owner_by_bulk_mappings(s, w):
    s.bulk_update_mappings(Order, [{"id": "order-ann", "owner_id": w.person}])


@writes(GIVEN, honest=False)
def owner_by_an_expression(s, w):
    s.get(Order, "order-ann").owner_id = func.lower(w.person)
    s.flush()


@writes(GIVEN, honest=False)
def owner_by_a_literal_column(s, w):
    told = update(Order).where(Order.id == "order-ann")
    s.execute(
        told.values(owner_id=literal_column(f"'{w.person}'")),
        execution_options={"synchronize_session": False},
    )


@writes(GIVEN, honest=False)
def owner_by_a_subquery(s, w):
    who = select(Product.owner_id).limit(1).scalar_subquery()
    if w.whose == "ann":
        who = literal("ann")
    told = update(Order).where(Order.id == "order-ann").values(owner_id=who)
    s.execute(told, execution_options={"synchronize_session": False})


@given
def owner_by_a_listener_before_the_update(s, w):
    def late(mapper, connection, row):
        row.owner_id = w.person

    event.listen(Order, "before_update", late)
    try:
        s.get(Order, "order-ann").total = 99
        s.flush()
    finally:
        event.remove(Order, "before_update", late)


@writes(GIVEN, honest=False)
def owner_by_the_upsert_of_ones_own(s, w):
    told = dialect_insert(s)(Order).values(id="order-ann", owner_id="ann")
    s.execute(
        told.on_conflict_do_update(index_elements=["id"], set_={"owner_id": w.person})
    )


@given
def owner_that_is_a_part_of_the_key(s, w):
    row = s.get(Preference, {"id": "colour", "owner_id": "ann"})
    row.owner_id = "bea2" if w.whose == "bea" else "ann"
    s.flush()


@given
def author_of_an_article(s, w):
    s.get(Article, "article-ann").author_id = w.person
    s.flush()


@given
def both_owners_of_a_note(s, w):
    note = s.get(Note, "note-ann")
    note.author_id = note.editor_id = w.person
    s.flush()


@given
def owner_of_a_joined_row(s, w):
    s.get(Report, "report-ann").owner_id = w.person
    s.flush()


@given
def line_moved_to_anothers_order(s, w):
    line = s.get(OrderLine, "line-ann")
    line.order_id, line.position = w.id("order"), 9
    s.flush()


@given
def line_moved_by_update(s, w):
    told = update(OrderLine).where(OrderLine.id == "line-ann")
    s.execute(told.values(order_id=w.id("order"), position=9))


@given
def line_moved_by_its_relationship(s, w):
    line = s.get(OrderLine, "line-ann")
    s.execute(update(LineDetail).values(secret="x"))
    for detail in list(line.details):
        s.delete(detail)
    line.position = 9
    line.order = pretended(s, Order, id=w.id("order"), owner_id="ann")
    s.flush()


@given
def project_moved_to_anothers_team(s, w):
    s.get(Project, "project-ann").team_id = w.id("team")
    s.flush()


@given
def detail_moved_over_two_columns(s, w):
    s.get(LineDetail, "detail-ann").order_id = w.id("order")
    s.flush()


@given
def link_moved_to_anothers_order(s, w):
    told = update(order_tags).where(
        order_tags.c.order_id == "order-ann", order_tags.c.tag_id == "tag-ann"
    )
    s.execute(told.values(order_id=w.id("order")))


# What is another's comes to stand under one's own.


@taken
def owner_of_anothers_row(s, w):
    s.execute(update(Order).where(Order.id == w.id("order")).values(owner_id="ann"))


@writes(TAKEN, honest=False)
def owner_of_a_pretended_row(s, w):
    order = pretended(s, Order, id=w.id("order"), owner_id="x")
    order.owner_id = "ann"
    s.flush()


@taken
def child_of_another_appended(s, w):
    line = pretended(
        s, OrderLine, id=w.id("line"), order_id="order-x", position=9, price=1
    )
    order = s.get(Order, "order-ann")
    order.lines.append(line)
    line.price, line.position = 2, 8
    s.flush()


@taken
def child_of_another_by_its_backref(s, w):
    remark = pretended(s, Remark, id=w.id("remark"), author_id="ann", order_id=None)
    remark.order = s.get(Order, "order-ann")
    remark.secret = "taken"
    s.flush()


@taken
def child_of_another_adopted(s, w):
    """A reply of Bea's is hung under another comment, by whoever owns that."""
    if w.whose == "ann":
        reply = s.get(Comment, "comment-answer")
    else:
        reply = pretended(s, Comment, id="comment-reply", parent_id=None)
    reply.parent = s.get(Comment, "comment-ann")
    reply.secret = "taken"
    s.flush()


@taken
def children_replaced(s, w):
    """Who takes children out of a list changes their rows."""
    order = s.get(Order, "order-ann")
    if w.whose == "ann":
        remark = s.get(Remark, "remark-ann")
    else:
        remark = pretended(
            s, Remark, id="remark-here", author_id="bea", order_id="order-ann"
        )
    if remark not in order.remarks:
        order.remarks.append(remark)
    order.remarks = []
    remark.secret = "taken"
    s.flush()


@taken
def parent_deleted_with_children_of_another(s, w):
    """The rows of others that point at a deleted one would be set free."""
    comment = s.get(Comment, "comment-ann")
    if w.whose == "bea":
        reply = pretended(s, Comment, id="comment-reply", parent_id="comment-ann")
        comment.replies.append(reply)
    s.delete(comment)
    s.flush()


@taken
def orphan_of_a_pretended_order(s, w):
    order = pretended(s, Order, id=w.id("order"), owner_id="ann")
    detail = pretended(
        s, LineDetail, id=w.id("detail"), order_id=w.id("order"), position=1
    )
    s.delete(detail)
    del order
    s.flush()
