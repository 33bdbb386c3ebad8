"""Tables without their models: the session adds nothing to these, so that they are
refused unless they say whose rows they want."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    MetaData,
    String,
    Table,
    bindparam,
    column,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    table,
    true,
    union_all,
    update,
    values,
)
from sqlalchemy.orm import registry
from tests.access.sqlalchemy.models import (
    LineDetail,
    Note,
    Order,
    OrderLine,
    Product,
    Remark,
    Report,
    order_tags,
)
from tests.access.sqlalchemy.paths.table import reads, writes

GROUP = "Core"
unsaid = reads(GROUP, honest=False)
said = reads(GROUP)
undone = writes(GROUP, honest=False)
orders = Order.__table__
notes = Note.__table__
light = table("orders", column("id"), column("owner_id"), column("secret"))


@unsaid
def select_of_a_table(s, w):
    return s.execute(select(orders)).all()


@unsaid
def select_of_a_table_by_key(s, w):
    return s.execute(select(orders).where(orders.c.id == w.id("order"))).all()


@unsaid
def select_of_a_column(s, w):
    return s.scalars(select(orders.c.secret)).all()


@unsaid
def count_of_a_table(s, w):
    return w.told(s.scalar(select(func.count()).select_from(orders)) > 0)


@unsaid
def select_of_an_alias(s, w):
    return s.execute(select(orders.alias("o").c.secret)).all()


@unsaid
def select_of_an_alias_named_like_another(s, w):
    return s.execute(select(orders.alias("products").c.secret)).all()


@unsaid
def table_joined_to_a_model(s, w):
    joined = select(OrderLine.id, orders.c.secret).join(
        orders, orders.c.id == w.id("order")
    )
    found = s.execute(joined).all()
    return found or s.execute(joined.join_from(Product, orders, true())).all()


@unsaid
def table_beside_a_model(s, w):
    return s.execute(select(Product.id, orders.c.secret)).all()


@unsaid
def table_outer_joined_to_a_model(s, w):
    on = orders.c.owner_id == "bea"
    return s.execute(select(Product.id, orders.c.secret).outerjoin(orders, on)).all()


@unsaid
def table_and_model_of_one_name(s, w):
    mine = orders.alias("mine")
    return s.execute(select(Order.id, mine.c.secret).join(mine, true())).all()


@unsaid
def table_in_a_subquery(s, w):
    inner = select(orders.c.secret).where(orders.c.id == w.id("order"))
    return s.execute(select(Product.id, inner.scalar_subquery())).all()


@unsaid
def table_in_an_existence(s, w):
    inner = exists().where(orders.c.id == w.id("order"))
    return w.told(s.scalar(select(inner)))


@unsaid
def table_in_the_condition_of_a_model(s, w):
    inner = select(orders.c.id).where(orders.c.id == w.id("order"))
    return w.told(s.scalars(select(Product).where(inner.exists())).all())


@unsaid
def table_in_a_common_table_expression(s, w):
    return s.execute(select(select(orders).cte("named"))).all()


@unsaid
def table_in_a_union(s, w):
    return s.scalars(union_all(select(Product.secret), select(orders.c.secret))).all()


@reads(GROUP, honest=False, dialects=("postgresql",))
def table_in_a_lateral(s, w):
    inner = select(orders.c.secret).lateral()
    return s.execute(select(Product.id, inner.c.secret).join(inner, true())).all()


@unsaid
def lightweight_table(s, w):
    return s.execute(select(light)).all()


@unsaid
def lightweight_table_in_capitals(s, w):
    return s.execute(select(table("ORDERS", column("secret"), schema=None))).all()


@unsaid
def table_of_another_catalogue(s, w):
    other = Table("orders", MetaData(), Column("secret", String))
    return s.execute(select(other)).all()


@unsaid
def table_read_from_the_database(s, w):
    columns = (Column("id", String, primary_key=True), Column("secret", String))
    other = Table("orders", MetaData(), *columns, extend_existing=True)
    return s.execute(select(other).where(other.c.id == w.id("order"))).all()


@unsaid
def model_of_another_registry(s, w):
    """The same table, mapped once more where nobody declares anything."""

    class Shadow:
        pass

    columns = (Column("id", String, primary_key=True), Column("secret", String))
    other = registry()
    other.map_imperatively(Shadow, Table("orders", other.metadata, *columns))
    try:
        return [row.secret for row in s.scalars(select(Shadow))]
    finally:
        other.dispose()


@unsaid
def table_under_another_schema(s, w):
    place = "main" if w.dialect == "sqlite" else "public"
    given = table("orders", column("secret"), schema=place)
    return s.execute(select(given)).all()


@unsaid
def schema_by_translation(s, w):
    place = "main" if w.dialect == "sqlite" else "public"
    return s.execute(
        select(orders), execution_options={"schema_translate_map": {None: place}}
    ).all()


@said
def schema_of_a_model_by_translation(s, w):
    place = "main" if w.dialect == "sqlite" else "public"
    return s.scalars(
        select(Order), execution_options={"schema_translate_map": {None: place}}
    ).all()


@unsaid
def a_view_of_the_database(s, w):
    return s.execute(select(table("all_orders", column("secret")))).all()


@unsaid
def children_without_their_parent(s, w):
    return s.execute(select(OrderLine.__table__)).all()


@unsaid
def link_table(s, w):
    return s.execute(select(order_tags.alias("x").c.secret)).all()


@reads(GROUP, honest=False, dialects=("postgresql",))
def values_joined_to_a_table(s, w):
    some = values(column("key", String), name="some").data([(w.id("order"),)])
    return s.execute(
        select(orders.c.secret).join(some, some.c.key == orders.c.id)
    ).all()


@said
def owner_of_another_said(s, w):
    """The filter is there, with the wrong value."""
    return s.execute(select(orders).where(orders.c.owner_id == w.person)).all()


@unsaid
def owner_of_another_in_a_list(s, w):
    mine = orders.c.owner_id.in_(["ann", w.person])
    return s.execute(select(orders).where(mine)).all()


@unsaid
def owner_beside_an_or(s, w):
    mine = (orders.c.owner_id == "ann") | (orders.c.id == w.id("order"))
    return s.execute(select(orders).where(mine)).all()


@unsaid
def owner_denied(s, w):
    return s.execute(select(orders).where(~(orders.c.owner_id == "x"))).all()


@unsaid
def owner_compared_otherwise(s, w):
    return s.execute(select(orders).where(orders.c.owner_id >= "ann")).all()


@unsaid
def owner_compared_with_itself(s, w):
    return s.execute(select(orders).where(orders.c.owner_id == orders.c.owner_id)).all()


@unsaid
def owner_of_a_wrong_alias(s, w):
    one, other = orders.alias("one"), orders.alias("other")
    told = select(other.c.secret).select_from(one.join(other, true()))
    return s.execute(told.where(one.c.owner_id == "ann")).all()


@unsaid
def owner_in_an_outer_join(s, w):
    """A condition on the left side, in the ON of a LEFT JOIN, removes nothing."""
    on = (orders.c.owner_id == "ann") & (orders.c.id == OrderLine.order_id)
    joined = orders.outerjoin(OrderLine.__table__, on)
    return s.execute(select(orders.c.secret).select_from(joined)).all()


@unsaid
def owner_in_a_full_join(s, w):
    on = orders.c.owner_id == "ann"
    joined = orders.join(Product.__table__, on, full=True)
    return s.execute(select(orders.c.secret).select_from(joined)).all()


@unsaid
def owner_in_the_selected_columns(s, w):
    return s.execute(select(orders.c.secret, orders.c.owner_id == "ann")).all()


@unsaid
def owner_after_grouping(s, w):
    told = select(func.max(orders.c.secret)).group_by(orders.c.total)
    return s.execute(told.having(func.max(orders.c.owner_id) == w.person)).all()


@said
def owner_said(s, w):
    """Core with the owner in it is let through, and shows nothing else."""
    mine = select(orders).where(orders.c.owner_id == bindparam("me", w.person))
    return s.execute(mine).all()


@undone
def update_of_a_table(s, w):
    s.execute(update(orders).where(orders.c.id == w.id("order")).values(secret="x"))


@undone
def delete_of_a_table(s, w):
    details = LineDetail.__table__
    s.execute(delete(details).where(details.c.id == w.id("detail")))


@undone
def update_of_a_lightweight_table(s, w):
    s.execute(update(light).where(light.c.id == w.id("order")).values(secret="x"))


@undone
def update_of_a_child_table_alone(s, w):
    reports = Report.__table__
    s.execute(update(reports).where(reports.c.id == w.id("report")).values(figures="x"))


@undone
def delete_of_links(s, w):
    s.execute(delete(order_tags).where(order_tags.c.order_id == w.id("order")))


@writes(GROUP, honest=False)
def insert_into_a_table(s, w):
    s.execute(insert(orders).values(id="new", owner_id=w.person, total=1, address="x"))


@writes(GROUP, honest=False)
def insert_many_into_a_table(s, w):
    row = {"owner_id": w.person, "total": 1, "address": "x"}
    s.execute(insert(orders), [{"id": "a", **row}, {"id": "b", **row}])


@undone
def insert_of_a_select_of_a_table(s, w):
    found = select(orders.c.id, literal("ann"), orders.c.secret)
    found = found.where(orders.c.id == w.id("order"))
    s.execute(insert(Remark).from_select(["id", "author_id", "secret"], found))


@writes(GROUP, honest=False)
def owner_of_a_table_changed(s, w):
    mine = update(orders).where(orders.c.id == "order-ann", orders.c.owner_id == "ann")
    s.execute(mine.values(owner_id=w.person))


@undone
def update_of_a_table_by_the_wrong_owner(s, w):
    told = update(notes).where(notes.c.author_id == w.person)
    s.execute(told.values(secret="taken"))


@writes(GROUP, honest=False, dialects=("postgresql",))
def update_in_a_common_table_expression(s, w):
    inner = (
        update(notes)
        .where(notes.c.id == w.id("note"))
        .values(secret="taken")
        .returning(notes.c.id)
        .cte("changed")
    )
    return s.execute(select(inner.c.id)).all()


@writes(GROUP, dialects=("postgresql",), honest=False)
def update_of_a_model_in_a_common_table_expression(s, w):
    inner = (
        update(Note)
        .where(Note.id == w.id("note"))
        .values(secret="taken")
        .returning(Note.id)
        .cte("changed")
    )
    return s.execute(select(inner.c.id)).all()


@writes(GROUP, honest=False)
def delete_with_a_common_table_expression(s, w):
    named = select(Note.id).where(Note.id == w.id("note")).cte("named")
    told = delete(notes).where(notes.c.id.in_(select(named.c.id)))
    s.execute(told)
