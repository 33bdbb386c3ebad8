"""What the shop remembers. Accounts and sessions are the guard's, in its own file.

Each table says whose its rows are, and the sessions of ``database`` hold everybody to
it: a statement that asks for all orders is answered with one's own.

Money is whole cents, times are Unix seconds, and the owner of a row is the id of an
account as the guard knows it.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from ringfence import access


class Table(DeclarativeBase):
    pass


@access.rows(access.public, write=access.nobody)
class Product(Table):
    __tablename__ = "products"
    __table_args__ = (CheckConstraint("price > 0", "products_price_positive"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[str]
    summary: Mapped[str]
    description: Mapped[str]
    price: Mapped[int]
    added: Mapped[int]


@access.rows(access.public, write=access.owner("owner_id"))
class Review(Table):
    __tablename__ = "reviews"
    __table_args__ = (
        CheckConstraint("stars BETWEEN 1 AND 5", "reviews_stars_one_to_five"),
        Index("reviews_by_product", "product_id", "written"),
        Index("reviews_by_owner", "owner_id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    product_id: Mapped[str] = mapped_column(ForeignKey("products.id"))
    owner_id: Mapped[str]
    stars: Mapped[int]
    text: Mapped[str]
    form: Mapped[str]
    written: Mapped[float]


@access.rows(access.owner("owner_id"))
class Order(Table):
    __tablename__ = "orders"
    __table_args__ = (
        CheckConstraint("quantity > 0", "orders_quantity_positive"),
        CheckConstraint("unit_price > 0", "orders_price_positive"),
        Index("orders_by_owner", "owner_id", "placed"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    owner_id: Mapped[str]
    product_id: Mapped[str] = mapped_column(ForeignKey("products.id"))
    quantity: Mapped[int]
    unit_price: Mapped[int]
    placed: Mapped[float]

    product: Mapped[Product] = relationship(lazy="raise")

    @property
    def total(self) -> int:
        return self.quantity * self.unit_price


@access.rows(access.public, write=access.owner("owner_id"))
class Profile(Table):
    """The name under which somebody's reviews stand."""

    __tablename__ = "profiles"

    owner_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]


@access.rows(access.owner("owner_id"))
class Wallet(Table):
    """Store credit. The check is the last of three locks against overdrawing."""

    __tablename__ = "wallets"
    __table_args__ = (CheckConstraint("balance >= 0", "wallets_never_negative"),)

    owner_id: Mapped[str] = mapped_column(primary_key=True)
    balance: Mapped[int]


@access.rows(access.owner("owner_id"))
class Transfer(Table):
    """Credit on its way to an address. It waits there until whoever owns the address
    comes by, so that a sender cannot tell whether an account exists."""

    __tablename__ = "transfers"
    __table_args__ = (
        CheckConstraint("amount > 0", "transfers_amount_positive"),
        Index("transfers_by_owner", "owner_id", "sent"),
        Index(
            "transfers_waiting",
            "recipient",
            sqlite_where=text("collected_by IS NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    owner_id: Mapped[str]
    recipient: Mapped[str]
    amount: Mapped[int]
    sent: Mapped[float]
    collected_by: Mapped[str | None]
