"""Selects of the ORM, in every form."""

from __future__ import annotations

from sqlalchemy import (
    String,
    and_,
    bindparam,
    case,
    cast,
    exists,
    false,
    func,
    lateral,
    literal,
    literal_column,
    or_,
    select,
    true,
    tuple_,
    union,
    union_all,
)
from sqlalchemy.orm import Bundle, aliased, undefer, with_loader_criteria
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
    Tag,
    Team,
    order_tags,
)
from tests.access.sqlalchemy.paths.table import reads

GROUP = "select"
theirs = reads(GROUP)


@theirs
def entities(s, w):
    return s.scalars(select(Order)).all()


@theirs
def entity_by_key(s, w):
    return s.scalars(select(Order).where(Order.id == w.id("order"))).all()


@theirs
def entity_by_its_owner(s, w):
    return s.scalars(select(Order).where(Order.owner_id == w.person)).all()


@theirs
def filter_by(s, w):
    return s.scalars(select(Order).filter_by(id=w.id("order"))).all()


@theirs
def columns(s, w):
    return s.execute(select(Order.id, Order.secret)).all()


@theirs
def with_only_columns(s, w):
    return s.scalars(select(Order).with_only_columns(Order.secret)).all()


@theirs
def add_columns(s, w):
    return s.execute(select(Product.id).add_columns(Order.secret).where(true())).all()


@theirs
def count(s, w):
    total = select(func.count()).select_from(Order).where(Order.id == w.id("order"))
    return w.told(s.scalar(total))


@theirs
def count_of_a_column(s, w):
    return w.told(s.scalar(select(func.count(Order.id)).filter_by(id=w.id("order"))))


@theirs
def maximum(s, w):
    return s.scalar(select(func.max(Order.secret)).where(Order.id == w.id("order")))


@theirs
def group_by_and_having(s, w):
    return s.execute(
        select(Order.owner_id, func.min(Order.secret))
        .group_by(Order.owner_id)
        .having(func.count(Order.id) > 0)
    ).all()


@theirs
def window_function(s, w):
    first = func.first_value(Order.secret).over(order_by=Order.id.desc())
    return s.execute(select(Order.id, first)).all()


@theirs
def lag_of_a_window(s, w):
    before = func.lag(Order.secret).over(order_by=Order.id)
    after = func.lead(Order.secret).over(order_by=Order.id)
    return s.execute(select(Order.id, before, after).where(Order.owner_id != "x")).all()


@theirs
def distinct(s, w):
    return s.scalars(select(Order.secret).distinct()).all()


@theirs
def bundle(s, w):
    return s.scalars(select(Bundle("order", Order.id, Order.secret))).all()


@theirs
def alias(s, w):
    return s.scalars(select(aliased(Order))).all()


@theirs
def flat_alias(s, w):
    return s.scalars(select(aliased(Order, flat=True))).all()


@theirs
def alias_of_a_subquery(s, w):
    inner = select(Order).where(Order.id == w.id("order")).subquery()
    return s.scalars(select(aliased(Order, inner))).all()


@theirs
def alias_of_columns(s, w):
    some = aliased(Order)
    return s.scalars(select(some.secret).where(some.id == w.id("order"))).all()


@theirs
def key_lookup(s, w):
    return s.get(Order, w.id("order"))


@theirs
def key_lookup_that_must_find(s, w):
    return s.get_one(Order, w.id("order"))


@theirs
def key_lookup_that_populates(s, w):
    return s.get(Order, w.id("order"), populate_existing=True)


@theirs
def key_lookup_with_lock(s, w):
    return s.get(Order, w.id("order"), with_for_update=True)


@theirs
def key_lookup_with_two_columns(s, w):
    return s.get(Preference, {"id": "colour", "owner_id": w.person})


@theirs
def key_lookup_with_a_wider_filter_for_itself(s, w):
    wider = with_loader_criteria(Order, true())
    return s.get(Order, w.id("order"), options=[wider])


@theirs
def join_along_a_relationship(s, w):
    return s.execute(select(OrderLine.secret, Order.secret).join(OrderLine.order)).all()


@theirs
def outer_join_from_what_is_public(s, w):
    on = Order.owner_id == Product.owner_id
    found = select(Product.id, Order.secret).outerjoin(Order, on)
    return s.execute(found).all() if w.whose == "bea" else []


@theirs
def outer_join_to_one_at_the_left(s, w):
    on = OrderLine.order_id == Order.id
    return s.execute(
        select(Order.secret, OrderLine.secret).outerjoin(OrderLine, on)
    ).all()


@reads(GROUP, honest=False)
def full_join(s, w):
    on = Order.id == OrderLine.id
    joined = select(OrderLine.secret, Order.secret).join(Order, on, full=True)
    return s.execute(joined).all()


@theirs
def cross_join(s, w):
    return s.execute(
        select(Product.id, Order.secret).join_from(Product, Order, true())
    ).all()


@theirs
def secondary_join(s, w):
    return s.execute(select(Order.secret, Tag.secret).join(Order.tags)).all()


@theirs
def join_of_a_table_with_itself(s, w):
    reply, parent = aliased(Comment), aliased(Comment)
    return s.execute(
        select(reply.secret, parent.secret).join(parent, reply.parent_id == parent.id)
    ).all()


@theirs
def any_of_children(s, w):
    found = select(Product).where(
        select(Order.id)
        .where(Order.lines.any(OrderLine.price > 0), Order.id == w.id("order"))
        .exists()
    )
    return w.told(s.scalars(found).all())


@theirs
def children_of_what_one_has(s, w):
    told = select(Order).where(
        Order.remarks.any(Remark.author_id == "bea"), Order.id == "order-ann"
    )
    return w.told(s.scalars(told).all(), "remarks") if w.whose == "bea" else ""


@theirs
def has_of_a_parent(s, w):
    told = select(Comment).where(
        Comment.parent.has(Comment.secret.like("secret:comments:b%"))
    )
    return w.told(s.scalars(told).all(), "comments") if w.whose == "bea" else ""


@theirs
def existence(s, w):
    return w.told(s.scalar(select(exists().where(Order.id == w.id("order")))))


@theirs
def existence_of_a_select(s, w):
    inner = select(Order.id).where(Order.id == w.id("order"))
    return w.told(s.scalar(select(inner.exists())))


@theirs
def negated_existence(s, w):
    inner = select(Order.id).where(Order.id == w.id("order")).exists()
    return w.told(not s.scalars(select(Product.id).where(~inner)).all())


@theirs
def guessing_letter_by_letter(s, w):
    inner = select(Order.id).where(
        Order.id == w.id("order"), func.substr(Order.secret, 1, 7) == "secret:"
    )
    return w.told(s.scalars(select(Product.id).where(inner.exists())).all())


@theirs
def membership_in_a_subquery(s, w):
    inner = select(Order.id).where(Order.id == w.id("order"))
    told = select(Product.id).where(literal(w.id("order")).in_(inner))
    return w.told(s.scalars(told).all())


@theirs
def tuples_in_a_subquery(s, w):
    inner = select(Order.id, Order.owner_id)
    mine = tuple_(literal(w.id("order")), literal(w.person))
    return w.told(s.scalars(select(Product.id).where(mine.in_(inner))).all())


@theirs
def scalar_subquery(s, w):
    inner = select(Order.secret).where(Order.id == w.id("order")).scalar_subquery()
    return s.execute(select(Product.id, inner)).all()


@theirs
def scalar_subquery_without_a_from(s, w):
    inner = select(Order.secret).where(Order.id == w.id("order")).scalar_subquery()
    return s.scalar(select(inner))


@theirs
def function_of_a_subquery(s, w):
    inner = select(Order.secret).where(Order.id == w.id("order")).scalar_subquery()
    return s.scalar(select(func.lower(func.coalesce(inner, "nothing"))))


@theirs
def case_of_a_subquery(s, w):
    inner = select(Order.secret).where(Order.id == w.id("order")).scalar_subquery()
    return s.scalar(select(case((inner.is_not(None), inner), else_="nothing")))


@theirs
def order_by_a_subquery(s, w):
    inner = select(Order.total).where(Order.id == w.id("order")).scalar_subquery()
    products = select(Product.id).order_by(func.coalesce(inner, 0))
    told = products.add_columns(func.coalesce(inner, 0))
    return w.told(s.execute(told).all()[0][1])


@theirs
def limit_by_a_subquery(s, w):
    inner = select(func.count(Order.id)).where(Order.id == w.id("order"))
    return w.told(s.scalars(select(Product.id).limit(inner.scalar_subquery())).all())


@theirs
def subquery(s, w):
    inner = select(Order).where(Order.id == w.id("order")).subquery()
    return s.execute(select(inner.c.secret)).all()


@theirs
def subquery_in_a_subquery(s, w):
    inner = select(Order).subquery()
    middle = select(inner.c.secret.label("told")).subquery()
    return s.execute(select(func.upper(middle.c.told), middle.c.told)).all()


@theirs
def common_table_expression(s, w):
    named = select(Order).where(Order.id == w.id("order")).cte("named")
    return s.execute(select(named.c.secret)).all()


@theirs
def entity_of_a_common_table_expression(s, w):
    named = select(Order).cte("named")
    return s.scalars(select(aliased(Order, named))).all()


@reads(GROUP, honest=False)
def common_table_expression_named_like_a_table(s, w):
    named = select(Order).cte("products")
    return s.execute(select(named.c.secret)).all()


@theirs
def recursive_common_table_expression(s, w):
    top = select(Comment).where(Comment.id == "comment-ann").cte("t", recursive=True)
    tree = top.union_all(select(Comment).join(top, Comment.parent_id == top.c.id))
    return s.execute(select(tree.c.secret)).all()


@theirs
def unions(s, w):
    both = union(select(Product.secret), select(Order.secret))
    return s.scalars(both).all()


@theirs
def union_all_of_entities(s, w):
    both = union_all(
        select(Order).where(Order.id == w.id("order")), select(Order).where(false())
    )
    return s.scalars(select(Order).from_statement(both)).all()


@theirs
def intersection(s, w):
    return s.scalars(select(Order.secret).intersect(select(Order.secret))).all()


@theirs
def difference(s, w):
    return s.scalars(select(Order.secret).except_(select(Product.secret))).all()


@theirs
def difference_that_hides_what_is_not_filtered(s, w):
    left = union_all(select(literal(w.id("order"))), select(literal("none"))).subquery()
    gone = select(left).except_(select(Order.id))
    return w.told(w.id("order") not in s.scalars(gone).all())


@theirs
def entities_of_a_statement(s, w):
    return s.scalars(select(Order).from_statement(select(Order))).all()


@reads(GROUP, honest=False)
def entities_of_a_select_of_its_table(s, w):
    given = select(Order.__table__).where(Order.__table__.c.id == w.id("order"))
    return s.scalars(select(Order).from_statement(given)).all()


@theirs
def computed_column(s, w):
    return s.scalars(select(Order).options(undefer(Order.line_secrets))).all()


@theirs
def computed_column_of_what_is_public(s, w):
    found = s.scalars(select(Product).options(undefer(Product.last_remark))).all()
    return found if w.whose == "bea" else []


@theirs
def computed_column_by_itself(s, w):
    return s.execute(select(Product.id, Product.last_remark)).all()


@theirs
def computed_column_of_what_is_there(s, w):
    product = s.get(Product, "product-public")
    return product.last_remark


@theirs
def deferred_column(s, w):
    return s.scalars(select(Order).options(undefer(Order.address))).all()


@theirs
def deferred_column_by_itself(s, w):
    return s.scalars(select(Order.address)).all()


@theirs
def hybrid(s, w):
    return s.scalars(select(Order.whispered)).all()


@theirs
def cast_column(s, w):
    return s.scalars(select(cast(Order.secret, String))).all()


@theirs
def literal_column_of_a_model(s, w):
    return s.scalars(select(literal_column("secret")).select_from(Order)).all()


@theirs
def locked_rows(s, w):
    return s.scalars(select(Order).with_for_update()).all()


@theirs
def partitions(s, w):
    return [list(part) for part in s.scalars(select(Order)).partitions(1)]


@theirs
def rows_by_and_by(s, w):
    found = s.scalars(select(Order).execution_options(yield_per=1))
    return [row.secret for row in found]


@theirs
def streamed(s, w):
    found = s.execute(select(Order).execution_options(stream_results=True))
    return [row.secret for (row,) in found]


@theirs
def mappings(s, w):
    return [dict(row) for row in s.execute(select(Order.secret)).mappings()]


@theirs
def unique_rows(s, w):
    return s.scalars(select(Order)).unique().all()


@theirs
def expanding_parameters(s, w):
    wanted = Order.id.in_(bindparam("ids", expanding=True))
    return s.scalars(select(Order).where(wanted), {"ids": [w.id("order"), "x"]}).all()


@theirs
def values_written_into_the_statement(s, w):
    wanted = Order.id == bindparam("key", w.id("order"), literal_execute=True)
    return s.scalars(select(Order).where(wanted)).all()


@theirs
def no_row_of_another_is_excluded_by_or(s, w):
    wanted = or_(Order.owner_id == "ann", Order.id == w.id("order"))
    return s.scalars(select(Order).where(wanted)).all()


@theirs
def always_true(s, w):
    return s.scalars(select(Order).where(or_(true(), Order.id == "x"))).all()


@theirs
def negated_owner(s, w):
    return s.scalars(select(Order).where(~and_(Order.owner_id == "x"))).all()


@reads(GROUP, dialects=("postgresql",))
def laterally(s, w):
    inner = lateral(select(Order.secret).where(Order.owner_id == Remark.author_id))
    return s.execute(select(Remark.id, inner.c.secret).join(inner, true())).all()


@theirs
def through_a_parent(s, w):
    return s.scalars(select(OrderLine)).all()


@theirs
def through_two_parents(s, w):
    return s.scalars(select(LineDetail)).all()


@theirs
def through_a_team(s, w):
    return s.execute(select(Project.secret, Team.secret).join(Project.team)).all()


@theirs
def members(s, w):
    return s.scalars(select(Membership)).all()


@theirs
def two_owners(s, w):
    return s.scalars(select(Note)).all()


@theirs
def published_or_owned(s, w):
    return s.scalars(select(Article)).all()


@theirs
def shared_or_owned(s, w):
    return s.scalars(select(Tag)).all()


@theirs
def of_a_tenant(s, w):
    return s.scalars(select(Invoice)).all()


@reads(GROUP, honest=False)
def links(s, w):
    return s.execute(select(order_tags)).all()


@reads(GROUP, honest=False)
def links_of_an_order(s, w):
    found = select(order_tags.c.secret, Order.id).join(
        Order, Order.id == order_tags.c.order_id
    )
    return s.execute(found).all()
