"""Make room for the tenant that an account belongs to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. Accounts that are there belong to no tenant."""
    op.add_column(
        "ringfence_accounts",
        sa.Column("tenant", sa.String(64), nullable=False, server_default=""),
    )


def downgrade() -> None:
    """Refuse: going back would mix up the tenants."""
    message = "the schema is not taken back; restore the database from its backup"
    raise NotImplementedError(message)
