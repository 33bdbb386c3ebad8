"""What cannot be enforced stops the start-up, and says what to do instead."""

import pytest
from sqlalchemy import (
    Column,
    ForeignKey,
    Integer,
    String,
    Table,
    create_engine,
    join,
    select,
)
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    column_property,
    mapped_column,
    relationship,
    sessionmaker,
)

from ringfence import access
from ringfence.access.ownership.rules import declared_rows
from ringfence.access.sqlalchemy import Database
from ringfence.errors import DeclarationError


@pytest.fixture
def base():
    class Base(DeclarativeBase):
        id: Mapped[int] = mapped_column(primary_key=True)

    return Base


def refused(base, **options):
    with pytest.raises(DeclarationError) as raised:
        Database(create_engine("sqlite://"), base, **options)
    return str(raised.value)


def test_silent_model_stops_the_start(base):
    """A model that says nothing is named, with what to write."""

    class Secret(base):
        __tablename__ = "secrets"

    said = refused(base)
    assert "Secret does not say whose its rows are" in said
    assert "@access.rows(" in said
    assert __file__ in said


def test_misspelt_column_is_guessed(base):
    """The name that was meant is in the message."""

    @access.rows(access.owner("owner_idd"))
    class Order(base):
        __tablename__ = "orders"
        owner_id: Mapped[str]

    assert "has no attribute owner_idd; is it owner_id?" in refused(base)


def test_misspelt_relationship_is_guessed(base):
    """So is that of a relationship."""

    @access.rows(access.owner("owner_id"))
    class Order(base):
        __tablename__ = "orders"
        owner_id: Mapped[str]

    @access.rows(access.through("ordr"))
    class Line(base):
        __tablename__ = "lines"
        order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
        order: Mapped[Order] = relationship()

    assert "has no relationship ordr; is it order?" in refused(base)


@pytest.mark.parametrize("rule", ["order", "owner", "length"])
def test_what_is_no_column_is_refused(base, rule):
    """A relationship, a hybrid and an expression hold no owner."""

    @access.rows(access.public, write=access.nobody)
    class Order(base):
        __tablename__ = "orders"

    class Line(base):
        __tablename__ = "lines"
        order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
        order: Mapped[Order] = relationship()

        @hybrid_property
        def owner(self) -> int:
            return self.order_id

    Line.length = column_property(select(Order.id).scalar_subquery())
    access.rows(access.owner(rule))(Line)
    said = refused(base)
    assert "name the column" in said or "no attribute" in said
    assert "Line" in said


def test_circle_is_named(base):
    """Rules that lead back to themselves have no owner at their end."""

    @access.rows(access.owner("owner_id") | access.through("parent"))
    class Node(base):
        __tablename__ = "nodes"
        owner_id: Mapped[str]
        parent_id: Mapped[int | None] = mapped_column(ForeignKey("nodes.id"))
        parent: Mapped["Node | None"] = relationship(remote_side="Node.id")

    Node.__annotations__["parent"] = Mapped[Node | None]
    assert "Node -> Node" in refused(base)


def test_query_as_a_model_is_refused(base):
    """A class that is mapped to a query has no table to filter."""

    @access.rows(access.owner("owner_id"))
    class Order(base):
        __tablename__ = "orders"
        owner_id: Mapped[str]

    @access.rows(access.owner("owner_id"))
    class Summary(base):
        __table__ = select(Order.id, Order.owner_id).subquery()
        __mapper_args__ = {"primary_key": [__table__.c.id]}  # noqa: RUF012 - as SQLAlchemy wants it
        id = __table__.c.id

    assert "Summary is mapped to a query or a join" in refused(base)


def test_join_as_a_model_is_refused(base):
    """Nor has one that is mapped to a join."""
    one = Table(
        "one",
        base.metadata,
        Column("id", Integer, primary_key=True),
        Column("o", String),
    )
    two = Table(
        "two", base.metadata, Column("two_id", ForeignKey("one.id"), primary_key=True)
    )

    @access.rows(access.owner("o"))
    class Both(base):
        __table__ = join(one, two)
        id = column_property(one.c.id, two.c.two_id)

    assert "Both is mapped to a query or a join" in refused(base)


def test_two_rules_of_one_table_are_refused(base):
    """A class in the table of another cannot say another thing of it."""

    @access.rows(access.owner("owner_id"))
    class Payment(base):
        __tablename__ = "payments"
        __mapper_args__ = {"polymorphic_on": "kind"}  # noqa: RUF012 - as SQLAlchemy wants it
        kind: Mapped[str]
        owner_id: Mapped[str]

    @access.rows(access.public, write=access.nobody)
    class Refund(Payment):
        __mapper_args__ = {"polymorphic_identity": "refund"}  # noqa: RUF012 - likewise here

    assert "one table has one rule" in refused(base)


def test_other_rule_of_a_joined_class_is_refused(base):
    """A class that continues rows of another has the rule of that one."""

    @access.rows(access.owner("owner_id"))
    class Document(base):
        __tablename__ = "documents"
        owner_id: Mapped[str]

    @access.rows(access.public, write=access.nobody)
    class Report(Document):
        __tablename__ = "reports"
        id: Mapped[int] = mapped_column(ForeignKey("documents.id"), primary_key=True)

    assert "say it on that class alone" in refused(base)


def test_relationship_with_more_than_equality_is_refused(base):
    """A path over a relationship that also filters would not mean what it says."""

    @access.rows(access.owner("owner_id"))
    class Order(base):
        __tablename__ = "orders"
        owner_id: Mapped[str]
        total: Mapped[int]

    @access.rows(access.through("order"))
    class Line(base):
        __tablename__ = "lines"
        order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
        order: Mapped[Order] = relationship(
            primaryjoin="and_(Line.order_id == Order.id, Order.total > 5)"
        )

    Line.__mapper__.registry._class_registry["Line"] = Line
    assert "more than equal columns" in refused(base)


def test_tables_without_class_are_named(base):
    """What is said of tables is said of tables that are there, and of their columns."""
    Table(
        "exports", base.metadata, Column("id", Integer), Column("owner_id", String(40))
    )

    @access.rows(access.public, write=access.nobody)
    class Product(base):
        __tablename__ = "products"

    mine = declared_rows(access.owner("owner_id"))
    assert "is it exports?" in refused(base, tables={"export": mine})
    assert "say it there" in refused(base, tables={"products": mine})
    wrong = declared_rows(access.owner("ownr_id"))
    assert "is it owner_id?" in refused(base, tables={"exports": wrong})
    path = declared_rows(access.through("product"))
    assert "has no class" in refused(base, tables={"exports": path})
    shown = access.rows(access.public, write=access.owner("owner_id"))
    for said, read in (
        (access.owner("owner_id"), "owner(owner_id)"),
        (mine, "owner(owner_id)"),
        (shown, "public"),
    ):
        engine = create_engine("sqlite://")
        rules = Database(engine, base, tables={"exports": said}).rules()
        assert [rule.says[0] for rule in rules] == ["public", read]


def test_a_query_as_a_model_is_not_mended_by_a_rule(base):
    """Nobody is sent to write a rule that is refused as well."""
    orders = Table("orders", base.metadata, Column("id", Integer, primary_key=True))

    class Recent(base):
        __table__ = select(orders).subquery()
        id = column_property(__table__.c.id)
        __mapper_args__ = {"primary_key": [__table__.c.id]}  # noqa: RUF012 - as SQLAlchemy wants it

    assert "Recent is mapped to a query" in refused(base)


def test_what_is_no_engine_and_no_base_is_named(base):
    """What is written by mistake is named, and what belongs there."""

    @access.rows(access.public, write=access.nobody)
    class Product(base):
        __tablename__ = "products"

    engine = create_engine("sqlite://")
    for wrong in ("sqlite://", sessionmaker(engine), None):
        with pytest.raises(TypeError, match="Database takes an engine"):
            Database(wrong, base)
    for wrong in (base.metadata, [base], None):
        with pytest.raises(TypeError, match="takes the declarative base"):
            Database(engine, wrong)


def test_two_bases_share_a_registry(base):
    """As the message for two bases says."""

    class Second(DeclarativeBase):
        registry = base.registry

    @access.rows(access.public, write=access.nobody)
    class Product(base):
        __tablename__ = "products"

    @access.rows(access.owner("owner_id"))
    class Order(Second):
        __tablename__ = "orders"
        id: Mapped[int] = mapped_column(primary_key=True)
        owner_id: Mapped[str]

    rules = Database(create_engine("sqlite://"), base).rules()
    assert {rule.table for rule in rules} == {"products", "orders"}


def test_dialects_that_nobody_reads_are_refused(base):
    """Statements that cannot be judged are not sent."""

    @access.rows(access.public, write=access.nobody)
    class Product(base):
        __tablename__ = "products"

    engine = create_engine("sqlite://")
    engine.dialect.name = "oracle"
    with pytest.raises(DeclarationError, match="oracle cannot be read"):
        Database(engine, base)
