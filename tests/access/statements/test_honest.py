"""What SQLAlchemy writes for honest work, with the filter in place, passes."""

from typing import ClassVar

import pytest
from sqlalchemy import (
    Column,
    ForeignKey,
    String,
    Table,
    create_engine,
    event,
    exists,
    func,
    or_,
    select,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import asyncpg, psycopg
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    aliased,
    joinedload,
    mapped_column,
    relationship,
    selectinload,
    subqueryload,
    with_loader_criteria,
    with_polymorphic,
)
from tests.access.statements.shopfront import OF_ORDER, OF_TAG, OWN, rule, view_of

from ringfence.access.ownership.conditions import Linked, all_of
from ringfence.access.statements.check import StatementCheck


class Base(DeclarativeBase):
    pass


order_tags = Table(
    "order_tags",
    Base.metadata,
    Column("order_id", ForeignKey("orders.id"), primary_key=True),
    Column("tag_id", ForeignKey("tags.id"), primary_key=True),
)


class Order(Base):
    __tablename__ = "orders"
    __mapper_args__: ClassVar = {
        "polymorphic_on": "kind",
        "polymorphic_identity": "order",
    }
    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[str] = mapped_column(String(36))
    note: Mapped[str | None]
    kind: Mapped[str]
    lines: Mapped[list["Line"]] = relationship(back_populates="order")
    tags: Mapped[list["Tag"]] = relationship(secondary=order_tags)


class Rush(Order):
    __tablename__ = "rush"
    __mapper_args__: ClassVar = {"polymorphic_identity": "rush"}
    id: Mapped[int] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    speed: Mapped[int]


class Line(Base):
    __tablename__ = "lines"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    name: Mapped[str | None]
    order: Mapped[Order] = relationship(back_populates="lines")


class Tag(Base):
    __tablename__ = "tags"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[str]
    name: Mapped[str | None]


CONDITIONS = {
    "orders": OWN,
    "tags": OWN,
    "lines": OF_ORDER,
    "rush": Linked("orders", (("id", "id"),), OWN),
    "order_tags": all_of((OF_ORDER, OF_TAG)),
}
RULES = [
    rule(
        table.name,
        CONDITIONS[table.name],
        key=tuple(column.name for column in table.primary_key),
        columns=[column.name for column in table.columns],
        parent="orders" if table.name == "rush" else "",
        is_link=table.name == "order_tags",
    )
    for table in Base.metadata.sorted_tables
]
VIEW = view_of(RULES)


def criteria():
    """Return the filter, as a session puts it on what is loaded."""
    orders = Order.__table__.alias()
    of_order = exists().where(orders.c.id == Line.order_id, orders.c.owner_id == "me")
    return [
        with_loader_criteria(Order, Order.owner_id == "me", include_aliases=True),
        with_loader_criteria(Tag, Tag.owner_id == "me", include_aliases=True),
        with_loader_criteria(
            Line, of_order.correlate_except(orders), include_aliases=True
        ),
    ]


TREE = select(Order.id).where(Order.note == "root").cte("tree", recursive=True)
READS = {
    "entity": select(Order),
    "columns": select(Order.id, Order.note).order_by(Order.note).limit(2).offset(1),
    "count": select(func.count()).select_from(Order),
    "in": select(Order).where(Order.id.in_([1, 2, 3])),
    "empty in": select(Order).where(Order.id.in_([])),
    "pairs": select(Order).where(tuple_(Order.id, Order.note).in_([(1, "a")])),
    "or": select(Order).where(or_(Order.note == "a", Order.note.like("%b"))),
    "join": select(Order.id, Line.name).join(Order.lines),
    "outer join": select(Order).outerjoin(Order.lines).where(Line.id.is_(None)),
    "secondary": select(Order).join(Order.tags).where(Tag.name == "a"),
    "any": select(Order).where(Order.lines.any(Line.name == "a")),
    "any tag": select(Order).where(Order.tags.any(Tag.name == "a")),
    "has": select(Line).where(Line.order.has(note="a")),
    "selectin": select(Order).options(
        selectinload(Order.lines), selectinload(Order.tags)
    ),
    "joined": select(Order)
    .options(joinedload(Order.lines), joinedload(Order.tags))
    .limit(3),
    "subquery load": select(Order).options(subqueryload(Order.lines)),
    "to one": select(Line).options(joinedload(Line.order)),
    "to one, after": select(Line).options(selectinload(Line.order)),
    "subclass": select(Rush),
    "polymorphic": select(with_polymorphic(Order, "*")),
    "union": union_all(select(Order.id), select(Line.id)),
    "derived": select(select(Order).subquery()),
    "alias": select(aliased(Order)).distinct(),
    "alias of subquery": select(
        aliased(Order, select(Order).where(Order.note == "a").subquery())
    ),
    "scalar": select(
        Order.id,
        select(func.count(Line.id)).where(Line.order_id == Order.id).scalar_subquery(),
    ),
    "window": select(func.row_number().over(order_by=Order.id), Order.id),
    "cte": select(select(Order.id).cte("c")),
    "recursive": select(
        TREE.union_all(select(Order.id).where(Order.id == TREE.c.id + 1))
    ),
    "update": update(Order).where(Order.note == "a").values(note="b"),
    "for update": select(Order).with_for_update(),
}


def objections(dialect, texts):
    check = StatementCheck(RULES, dialect)
    said = {text: check.verdict(text, VIEW).objection for text in texts}
    return {text: objection for text, objection in said.items() if objection}


@pytest.mark.parametrize("driver", [asyncpg, psycopg])
def test_postgresql(driver):
    """What is compiled for the drivers of PostgreSQL is read, placeholders and casts
    and all."""
    dialect = driver.dialect()
    texts = [
        str(
            one.options(*criteria()).compile(
                dialect=dialect, compile_kwargs={"render_postcompile": True}
            )
        )
        for one in READS.values()
        if hasattr(one, "options")
    ]
    assert objections("postgres", texts) == {}


@pytest.fixture
def engine():
    found = create_engine("sqlite://")
    yield found
    found.dispose()


def test_sqlite(engine):
    """So is all that a session sends: loads, lazy and eager, refreshes, flushes, and
    changes in bulk."""
    texts = []

    @event.listens_for(engine, "before_cursor_execute")
    def note(connection, cursor, text, *rest):
        texts.append(text)

    Base.metadata.create_all(engine)
    with Session(engine) as session:

        @event.listens_for(session, "do_orm_execute")
        def restrict(state):
            if state.is_select or state.is_update or state.is_delete:
                state.statement = state.statement.options(*criteria())

        tags = [Tag(owner_id="me", name="a"), Tag(owner_id="me", name="b")]
        order = Order(owner_id="me", lines=[Line(name="a"), Line(name="b")], tags=tags)
        session.add_all([order, Rush(owner_id="me", speed=1)])
        session.commit()
        assert len(order.lines) == len(order.tags) == 2
        order.note, order.lines[0].name = "b", "c"
        order.tags.pop()
        session.commit()
        session.refresh(order)
        for one in READS.values():
            session.execute(one).unique().all() if one.is_select else session.execute(
                one
            )
        session.execute(update(Order), [{"id": 1, "note": "a"}])
        session.delete(session.scalars(select(Rush)).one())
        session.delete(order.lines[0])
        session.commit()
    assert len(texts) > len(READS)
    assert objections("sqlite", texts) == {}
