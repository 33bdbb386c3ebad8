"""Relationships: what is reached from what one has."""

from __future__ import annotations

from sqlalchemy import func, select, text
from sqlalchemy.orm import (
    aliased,
    contains_eager,
    defaultload,
    immediateload,
    joinedload,
    lazyload,
    make_transient_to_detached,
    raiseload,
    selectin_polymorphic,
    selectinload,
    subqueryload,
    with_parent,
    with_polymorphic,
)
from tests.access.sqlalchemy.models import (
    CardPayment,
    Comment,
    Document,
    LineDetail,
    Membership,
    Order,
    OrderLine,
    Payment,
    Product,
    Project,
    Remark,
    Report,
    Tag,
    Team,
)
from tests.access.sqlalchemy.paths.table import reads

GROUP = "relationship"
theirs = reads(GROUP)
unreal = reads("unfiltered parent")
derived = reads("inheritance")


def ours(s):
    return s.get(Order, "order-ann")


def loaded(s, option):
    return s.scalars(select(Order).options(option)).unique().all()


@theirs
def lazy_children(s, w):
    return list(ours(s).remarks)


@theirs
def lazy_children_once_more(s, w):
    order = ours(s)
    assert order.remarks is not None
    s.expire(order, ["remarks"])
    return list(order.remarks)


@theirs
def lazy_children_by_option(s, w):
    orders = loaded(s, lazyload(Order.remarks))
    return [list(order.remarks) for order in orders]


@theirs
def selectin_children(s, w):
    return loaded(s, selectinload(Order.remarks))


@theirs
def joined_children(s, w):
    return loaded(s, joinedload(Order.remarks))


@theirs
def inner_joined_children(s, w):
    return loaded(s, joinedload(Order.remarks, innerjoin=True))


@theirs
def subquery_children(s, w):
    return loaded(s, subqueryload(Order.remarks))


@theirs
def immediate_children(s, w):
    return loaded(s, immediateload(Order.remarks))


@theirs
def eager_children_of_a_join(s, w):
    joined = select(Order).join(Order.remarks).options(contains_eager(Order.remarks))
    return s.scalars(joined).unique().all()


@theirs
def eager_children_of_an_alias(s, w):
    some = aliased(Remark)
    joined = (
        select(Order)
        .outerjoin(some, some.order_id == Order.id)
        .options(contains_eager(Order.remarks.of_type(some)))
    )
    return s.scalars(joined).unique().all()


@theirs
def children_behind_a_lifted_wall(s, w):
    order = s.scalars(
        select(Order)
        .where(Order.id == "order-ann")
        .options(raiseload("*"), defaultload(Order.remarks))
    ).one()
    s.expire(order)
    s.get(Order, "order-ann", options=[lazyload("*")], populate_existing=True)
    return list(order.remarks)


@theirs
def children_narrowed_in_the_option(s, w):
    return loaded(s, selectinload(Order.remarks.and_(Remark.author_id == "bea")))


@theirs
def dynamic_children(s, w):
    return list(ours(s).dynamic_remarks)


@theirs
def dynamic_children_filtered(s, w):
    return ours(s).dynamic_remarks.filter(Remark.author_id == "bea").all()


@theirs
def dynamic_children_counted(s, w):
    found = ours(s).dynamic_remarks.filter(Remark.author_id == "bea").count()
    return w.told(found, "remarks") if w.whose == "bea" else ""


@theirs
def write_only_children(s, w):
    return s.scalars(ours(s).written_remarks.select()).all()


@theirs
def children_of_a_view_only_relationship(s, w):
    return list(ours(s).joined_remarks)


@theirs
def children_with_their_parent(s, w):
    return s.scalars(select(Remark).where(with_parent(ours(s), Order.remarks))).all()


@theirs
def linked_rows(s, w):
    return list(ours(s).tags)


@theirs
def linked_rows_eagerly(s, w):
    return loaded(s, selectinload(Order.tags))


@theirs
def linked_rows_joined(s, w):
    return loaded(s, joinedload(Order.tags))


@theirs
def linked_rows_and_back(s, w):
    shown = s.get(Tag, "tag-public")
    assert shown is not None
    orders = loaded(s, selectinload(Order.tags).selectinload(Tag.orders))
    return [orders, list(shown.orders)]


@theirs
def lazy_parent(s, w):
    return s.get(Comment, "comment-answer").parent


@theirs
def joined_parent(s, w):
    return s.scalars(select(Comment).options(joinedload(Comment.parent))).all()


@theirs
def selectin_parent(s, w):
    return s.scalars(select(Comment).options(selectinload(Comment.parent))).all()


@theirs
def parent_joined_inside(s, w):
    inner = joinedload(Comment.parent, innerjoin=True)
    found = s.scalars(select(Comment).options(inner)).all()
    return found if w.whose == "bea" else []


@theirs
def replies(s, w):
    return list(s.get(Comment, "comment-ann").replies)


@theirs
def replies_to_any_depth(s, w):
    deep = selectinload(Comment.replies, recursion_depth=-1)
    return s.scalars(select(Comment).options(deep)).all()


@theirs
def many_parents_in_a_chain(s, w):
    chain = joinedload(LineDetail.line).joinedload(OrderLine.order)
    return s.scalars(select(LineDetail).options(chain)).all()


@theirs
def chain_of_eager_loads(s, w):
    chain = selectinload(Order.lines).selectinload(OrderLine.details)
    return loaded(s, chain)


@theirs
def team_with_members_and_projects(s, w):
    both = (joinedload(Team.members), selectinload(Team.projects))
    return s.scalars(select(Team).options(*both)).unique().all()


@theirs
def parent_of_a_project(s, w):
    return [project.team for project in s.scalars(select(Project))]


@theirs
def refreshed_children(s, w):
    order = ours(s)
    s.refresh(order, ["remarks", "tags"])
    return order


@theirs
def children_loaded_by_the_parent_of_a_member(s, w):
    return [list(one.team.members) for one in s.scalars(select(Membership))]


# A parent that no filter has seen: made in this session, with another's key.


def pretended(s, model, **values):
    """Have the session believe that a row has been loaded."""
    row = model(**values)
    make_transient_to_detached(row)
    s.add(row)
    return row


@unreal
def lazy_children_of_a_pretended_parent(s, w):
    return list(pretended(s, Order, id=w.id("order")).lines)


@unreal
def dynamic_children_of_a_pretended_parent(s, w):
    order = pretended(s, Order, id=w.id("order"))
    return list(order.dynamic_remarks)


@unreal
def written_children_of_a_pretended_parent(s, w):
    order = pretended(s, Order, id=w.id("order"))
    return s.scalars(order.written_remarks.select()).all()


@unreal
def links_of_a_pretended_parent(s, w):
    return list(pretended(s, Order, id=w.id("order")).tags)


@unreal
def lazy_parent_of_a_pretended_child(s, w):
    return pretended(s, OrderLine, id="line-x", order_id=w.id("order")).order


@unreal
def children_of_a_pretended_parent_by_query(s, w):
    order = Order(id=w.id("order"))
    return s.scalars(select(OrderLine).where(with_parent(order, Order.lines))).all()


@unreal
def loads_switched_on_for_what_is_new(s, w):
    order = Order(id=w.id("order"))
    s.enable_relationship_loading(order)
    return list(order.lines)


@unreal
def children_of_one_pretended_and_refreshed(s, w):
    order = pretended(s, Order, id=w.id("order"))
    s.refresh(order, ["lines"])
    return list(order.lines)


# Inheritance: one entity, several tables or kinds.


@derived
def base_of_joined_tables(s, w):
    return s.scalars(select(Document)).all()


@derived
def child_of_joined_tables(s, w):
    return s.scalars(select(Report)).all()


@derived
def columns_of_the_child_table(s, w):
    return s.scalars(select(Report.figures)).all()


@derived
def child_by_key(s, w):
    return s.get(Report, w.id("report"))


@derived
def base_by_the_key_of_a_child(s, w):
    return s.get(Document, w.id("report"))


@derived
def polymorphic_join(s, w):
    every = with_polymorphic(Document, "*")
    return s.scalars(select(every)).all()


@derived
def polymorphic_join_flat(s, w):
    every = with_polymorphic(Document, [Report], flat=True)
    return s.execute(select(every.secret, every.Report.figures)).all()


@derived
def polymorphic_selectin(s, w):
    option = selectin_polymorphic(Document, [Report])
    return s.scalars(select(Document).options(option)).all()


@derived
def columns_of_a_child_loaded_late(s, w):
    return [row.figures for row in s.scalars(select(Document)) if row.kind == "report"]


@derived
def alias_of_a_child(s, w):
    """Which becomes a subquery of all rows, with the filter around it."""
    return s.scalars(select(aliased(Report))).all()


@derived
def columns_of_an_alias_of_a_child(s, w):
    other = aliased(Report)
    found = select(other.figures, other.secret).where(other.figures != "new")
    return s.execute(found.order_by(other.id)).all()


@derived
def greatest_of_an_alias_of_a_child(s, w):
    other = aliased(Report)
    return s.scalar(select(func.max(other.figures)).where(other.id == w.id("report")))


@derived
def alias_of_a_child_beside_products(s, w):
    other = aliased(Report)
    joined = select(Product.id, other.figures).outerjoin(other, other.id != Product.id)
    return s.execute(joined).all()


@derived
def alias_of_a_child_in_exists(s, w):
    other = aliased(Report)
    theirs = select(other.id).where(other.id == w.id("report")).exists()
    return w.told(s.scalars(select(Product.id).where(theirs)).all(), "reports")


@derived
def polymorphic_join_in_a_subquery(s, w):
    every = with_polymorphic(Document, [Report], aliased=True)
    return s.execute(select(every.secret, every.Report.figures)).all()


@derived
def flat_alias_of_a_child(s, w):
    return s.scalars(select(aliased(Report, flat=True))).all()


@derived
def base_of_one_table(s, w):
    return s.scalars(select(Payment)).all()


@derived
def kind_of_one_table(s, w):
    return s.scalars(select(CardPayment)).all()


@derived
def columns_of_a_kind(s, w):
    return s.scalars(select(CardPayment.number)).all()


@derived
def polymorphic_kinds(s, w):
    every = with_polymorphic(Payment, [CardPayment])
    return s.execute(select(every.id, every.CardPayment.number)).all()


@reads("inheritance", honest=False)
def child_table_alone(s, w):
    return s.execute(select(Report.__table__)).all()


@derived
def union_of_kinds(s, w):
    both = select(Report.secret).union_all(select(CardPayment.secret))
    return s.scalars(both).all()


@derived
def subquery_of_a_child(s, w):
    inner = select(Report).subquery()
    return s.execute(select(aliased(Report, inner).figures)).all()


@derived
def child_of_public_products(s, w):
    inner = select(Report.figures).where(Report.id == w.id("report")).scalar_subquery()
    return s.execute(select(Product.id, inner)).all()


@reads("inheritance", honest=False)
def child_table_by_text(s, w):
    return s.execute(text("SELECT figures FROM reports")).all()
