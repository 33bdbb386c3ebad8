"""Make the tables of counters and of blocked networks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables. Counters are not worth a log: after a crash they begin anew."""
    is_postgres = op.get_bind().dialect.name == "postgresql"
    op.create_table(
        "ringfence_counters",
        sa.Column("key", sa.LargeBinary(32), primary_key=True),
        sa.Column("state", sa.LargeBinary, nullable=False),
        sa.Column("expires", sa.Double, nullable=False),
        prefixes=["UNLOGGED"] if is_postgres else [],
        postgresql_with={"fillfactor": 70},
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ringfence_blocks",
        sa.Column("network", sa.String(64), primary_key=True),
        sa.Column("until", sa.Double, nullable=False, index=True),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False, index=True),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ringfence_block_versions",
        sa.Column("list", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("floor", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Refuse: going back would let everybody in who was blocked."""
    message = "the schema is not taken back; restore the database from its backup"
    raise NotImplementedError(message)
