"""Orders, labels that others may use, and the table that puts one on the other."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Table, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from ringfence import access


class Base(DeclarativeBase):
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    owner_id: Mapped[str] = mapped_column(Text)


order_labels = Table(
    "order_labels",
    Base.metadata,
    Column("order_id", ForeignKey("orders.id"), primary_key=True),
    Column("label_id", ForeignKey("labels.id"), primary_key=True),
)


@access.rows(
    access.matching(shared=True) | access.owner("owner_id"),
    write=access.owner("owner_id"),
)
class Label(Base):
    __tablename__ = "labels"

    shared: Mapped[bool] = mapped_column(default=False)


@access.rows(access.owner("owner_id"))
class Order(Base):
    __tablename__ = "orders"

    labels: Mapped[list[Label]] = relationship(secondary=order_labels)


LINKS = {"order_labels": access.through("order")}


def everybody_s():
    """Return an order of each, and Bea's labels: one is for everybody."""
    yield Order(id="order-ann", owner_id="ann")
    yield Order(id="order-bea", owner_id="bea")
    yield Label(id="gift", owner_id="bea", shared=True)
    yield Label(id="late", owner_id="bea")
