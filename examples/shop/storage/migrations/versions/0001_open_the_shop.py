"""Open the shop: products, reviews, orders, profiles, store credit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "products",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("summary", sa.String, nullable=False),
        sa.Column("description", sa.String, nullable=False),
        sa.Column("price", sa.Integer, nullable=False),
        sa.Column("added", sa.Integer, nullable=False),
        sa.CheckConstraint("price > 0", "products_price_positive"),
    )
    op.create_table(
        "reviews",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column(
            "product_id", sa.String, sa.ForeignKey("products.id"), nullable=False
        ),
        sa.Column("owner_id", sa.String, nullable=False),
        sa.Column("stars", sa.Integer, nullable=False),
        sa.Column("text", sa.String, nullable=False),
        sa.Column("written", sa.Float, nullable=False),
        sa.CheckConstraint("stars BETWEEN 1 AND 5", "reviews_stars_one_to_five"),
    )
    op.create_index("reviews_by_product", "reviews", ["product_id", "written"])
    op.create_index("reviews_by_owner", "reviews", ["owner_id"])
    op.create_table(
        "orders",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("owner_id", sa.String, nullable=False),
        sa.Column(
            "product_id", sa.String, sa.ForeignKey("products.id"), nullable=False
        ),
        sa.Column("quantity", sa.Integer, nullable=False),
        sa.Column("unit_price", sa.Integer, nullable=False),
        sa.Column("placed", sa.Float, nullable=False),
        sa.CheckConstraint("quantity > 0", "orders_quantity_positive"),
        sa.CheckConstraint("unit_price > 0", "orders_price_positive"),
    )
    op.create_index("orders_by_owner", "orders", ["owner_id", "placed"])
    op.create_table(
        "profiles",
        sa.Column("owner_id", sa.String, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
    )
    op.create_table(
        "wallets",
        sa.Column("owner_id", sa.String, primary_key=True),
        sa.Column("balance", sa.Integer, nullable=False),
        sa.CheckConstraint("balance >= 0", "wallets_never_negative"),
    )
    op.create_table(
        "transfers",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("owner_id", sa.String, nullable=False),
        sa.Column("recipient", sa.String, nullable=False),
        sa.Column("amount", sa.Integer, nullable=False),
        sa.Column("sent", sa.Float, nullable=False),
        sa.Column("collected_by", sa.String, nullable=True),
        sa.CheckConstraint("amount > 0", "transfers_amount_positive"),
    )
    op.create_index("transfers_by_owner", "transfers", ["owner_id", "sent"])
    op.create_index(
        "transfers_waiting",
        "transfers",
        ["recipient"],
        sqlite_where=sa.text("collected_by IS NULL"),
    )


def downgrade() -> None:
    for table in ("transfers", "wallets", "profiles", "orders", "reviews", "products"):
        op.drop_table(table)
