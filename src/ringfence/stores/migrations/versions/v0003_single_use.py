"""Make the tables of what may be used once, and of what was taken back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the three tables."""
    op.create_table(
        "ringfence_tickets",
        sa.Column("kind", sa.String(64), primary_key=True),
        sa.Column("token_hash", sa.LargeBinary(32), primary_key=True),
        sa.Column(
            "account_id",
            sa.String(64),
            sa.ForeignKey("ringfence_accounts.id", ondelete="CASCADE"),
            nullable=False,
            index=True,
        ),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("issued", sa.Double, nullable=False),
        sa.Column("expires", sa.Double, nullable=False, index=True),
        sqlite_with_rowid=False,
    )
    for name in ("ringfence_replays", "ringfence_revocations"):
        op.create_table(
            name,
            sa.Column("key", sa.LargeBinary(32), primary_key=True),
            sa.Column("expires", sa.Double, nullable=False, index=True),
            sqlite_with_rowid=False,
        )


def downgrade() -> None:
    """Refuse: going back would make used tokens good again."""
    message = "the schema is not taken back; restore the database from its backup"
    raise NotImplementedError(message)
