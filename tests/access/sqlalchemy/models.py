"""A shop whose rows have owners in every way that can be declared.

Each row has a ``secret`` that says who may read it: ``secret:orders:bea``, of several
``secret:notes:ann+bea``, of a tenant's operators too ``secret:invoices:bea@t2``, of all
``secret:products:public``. What leaks is seen by that alone.
"""

from __future__ import annotations

from sqlalchemy import (
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    String,
    Table,
    UniqueConstraint,
    func,
    select,
)
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import (
    DeclarativeBase,
    DynamicMapped,
    Mapped,
    WriteOnlyMapped,
    column_property,
    deferred,
    mapped_column,
    relationship,
)

from ringfence import access

mine = access.owner("owner_id")


class Base(DeclarativeBase):
    """Every model has an id and a secret, both text."""

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    secret: Mapped[str] = mapped_column(String(80), default="new")


# No declaration: it follows from its parents.
order_tags = Table(
    "order_tags",
    Base.metadata,
    Column("order_id", ForeignKey("orders.id"), primary_key=True),
    Column("tag_id", ForeignKey("tags.id"), primary_key=True),
    Column("secret", String(80), server_default="new"),
)


@access.rows(access.public, write=access.role("staff"))
class Product(Base):
    """What everybody reads and nobody but staff writes."""

    __tablename__ = "products"

    price: Mapped[int] = mapped_column(default=1)
    owner_id: Mapped[str | None] = mapped_column(String(40))  # a column as any other


@access.rows(
    access.matching(shared=True) | access.owner("owner_id"),
    write=access.owner("owner_id"),
)
class Tag(Base):
    """Somebody's, shown to all where it is shared."""

    __tablename__ = "tags"

    owner_id: Mapped[str | None] = mapped_column(String(40))
    shared: Mapped[bool] = mapped_column(default=False)
    orders: Mapped[list[Order]] = relationship(
        secondary=order_tags, back_populates="tags"
    )


@access.rows(access.through("order"))
class OrderLine(Base):
    """Whose the order is."""

    __tablename__ = "order_lines"
    __table_args__ = (UniqueConstraint("order_id", "position"),)

    order_id: Mapped[str] = mapped_column(ForeignKey("orders.id"))
    position: Mapped[int] = mapped_column(default=1)
    price: Mapped[int] = mapped_column(default=1)
    order: Mapped[Order] = relationship(back_populates="lines")
    details: Mapped[list[LineDetail]] = relationship(back_populates="line")


@access.rows(access.through("line"))
class LineDetail(Base):
    """Two steps from who owns it, the first over two columns."""

    __tablename__ = "line_details"
    __table_args__ = (
        ForeignKeyConstraint(
            ["order_id", "position"], ["order_lines.order_id", "order_lines.position"]
        ),
    )

    order_id: Mapped[str] = mapped_column(String(40))
    position: Mapped[int]
    line: Mapped[OrderLine] = relationship(back_populates="details")


@access.rows(access.owner("author_id"))
class Remark(Base):
    """Anybody's on anybody's order: the parent does not say whose it is."""

    __tablename__ = "remarks"

    order_id: Mapped[str | None] = mapped_column(ForeignKey("orders.id"))
    author_id: Mapped[str] = mapped_column(String(40))
    order: Mapped[Order | None] = relationship(back_populates="remarks")


@access.rows(mine)
class Order(Base):
    """The plain case."""

    __tablename__ = "orders"

    owner_id: Mapped[str] = mapped_column(String(40))
    total: Mapped[int] = mapped_column(default=1)
    address: Mapped[str] = deferred(mapped_column(String(80), default="new"))
    lines: Mapped[list[OrderLine]] = relationship(
        back_populates="order", cascade="all, delete-orphan"
    )
    remarks: Mapped[list[Remark]] = relationship(back_populates="order")
    tags: Mapped[list[Tag]] = relationship(
        secondary=order_tags, back_populates="orders"
    )
    dynamic_remarks: DynamicMapped[Remark] = relationship(overlaps="remarks,order")
    written_remarks: WriteOnlyMapped[Remark] = relationship(
        overlaps="remarks,order,dynamic_remarks"
    )
    joined_remarks: Mapped[list[Remark]] = relationship(viewonly=True, lazy="select")

    @hybrid_property
    def whispered(self) -> str:
        return self.secret + "!"


@access.rows(mine | access.role("operator") & access.tenant("tenant_id"))
class Invoice(Base):
    """Its owner's, and the operators' of its tenant."""

    __tablename__ = "invoices"

    owner_id: Mapped[str] = mapped_column(String(40))
    tenant_id: Mapped[str] = mapped_column(String(40))


@access.rows(access.owner("author_id") | access.owner("editor_id"))
class Note(Base):
    """Two owners."""

    __tablename__ = "notes"

    author_id: Mapped[str | None] = mapped_column(String(40))
    editor_id: Mapped[str | None] = mapped_column(String(40))


@access.rows(
    access.matching(published=True) | access.owner("author_id"),
    write=access.owner("author_id"),
)
class Article(Base):
    """Read by more than write it."""

    __tablename__ = "articles"

    author_id: Mapped[str] = mapped_column(String(40))
    published: Mapped[bool] = mapped_column(default=False)


@access.rows(mine)
class Document(Base):
    """Joined inheritance."""

    __tablename__ = "documents"
    __mapper_args__ = {  # noqa: RUF012 - as SQLAlchemy wants it
        "polymorphic_on": "kind",
        "polymorphic_identity": "document",
    }

    kind: Mapped[str] = mapped_column(String(20), default="document")
    owner_id: Mapped[str] = mapped_column(String(40))


class Report(Document):
    """A document with figures in a table of their own."""

    __tablename__ = "reports"
    __mapper_args__ = {"polymorphic_identity": "report"}  # noqa: RUF012 - likewise given

    id: Mapped[str] = mapped_column(ForeignKey("documents.id"), primary_key=True)
    figures: Mapped[str] = mapped_column(String(80), default="new")


@access.rows(mine)
class Payment(Base):
    """Single-table inheritance."""

    __tablename__ = "payments"
    __mapper_args__ = {  # noqa: RUF012 - as for documents
        "polymorphic_on": "kind",
        "polymorphic_identity": "payment",
    }

    kind: Mapped[str] = mapped_column(String(20), default="payment")
    owner_id: Mapped[str] = mapped_column(String(40))


class CardPayment(Payment):
    """A payment with a number in the same table."""

    __mapper_args__ = {"polymorphic_identity": "card"}  # noqa: RUF012 - as for reports

    number: Mapped[str | None] = mapped_column(String(80))


@access.rows(access.owner("author_id"))
class Comment(Base):
    """A tree in one table."""

    __tablename__ = "comments"

    author_id: Mapped[str] = mapped_column(String(40))
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("comments.id"))
    parent: Mapped[Comment | None] = relationship(
        remote_side="Comment.id", back_populates="replies"
    )
    replies: Mapped[list[Comment]] = relationship(back_populates="parent")


@access.rows(access.owner("members.account_id"), write=access.nobody)
class Team(Base):
    """Its members'."""

    __tablename__ = "teams"

    members: Mapped[list[Membership]] = relationship(back_populates="team")
    projects: Mapped[list[Project]] = relationship(back_populates="team")


@access.rows(access.owner("account_id"), write=access.role("staff"))
class Membership(Base):
    """Who writes these says who is in which team."""

    __tablename__ = "memberships"

    team_id: Mapped[str] = mapped_column(ForeignKey("teams.id"))
    account_id: Mapped[str] = mapped_column(String(40))
    team: Mapped[Team] = relationship(back_populates="members")


@access.rows(access.owner("team.members.account_id"))
class Project(Base):
    """Of everybody in a team: a path to one, then to many."""

    __tablename__ = "projects"

    team_id: Mapped[str] = mapped_column(ForeignKey("teams.id"))
    team: Mapped[Team] = relationship(back_populates="projects")


@access.rows(mine)
class Preference(Base):
    """The owner is a part of the key."""

    __tablename__ = "preferences"

    owner_id: Mapped[str] = mapped_column(String(40), primary_key=True)


Order.line_secrets = column_property(  # what a column computes of an owned table
    select(func.max(OrderLine.secret))
    .where(OrderLine.order_id == Order.id)
    .correlate_except(OrderLine)
    .scalar_subquery(),
    deferred=True,
)
Product.last_remark = column_property(
    select(func.min(Remark.secret)).where(Remark.author_id != "ann").scalar_subquery(),
    deferred=True,
)
