"""Remember the last proof of a session, where it was last used, and its move."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLE = "ringfence_sessions"


def upgrade() -> None:
    """Add the columns. Sessions that are there were proved at their sign-in, and last
    used where they began."""
    for column in (
        sa.Column("proved", sa.Double, nullable=False, server_default="0"),
        sa.Column("last_network", sa.String(64), nullable=False, server_default=""),
        sa.Column("last_device", sa.String(128), nullable=False, server_default=""),
        sa.Column("moved_at", sa.Double, nullable=False, server_default="0"),
        sa.Column("moved_network", sa.String(64), nullable=False, server_default=""),
        sa.Column("moved_device", sa.String(128), nullable=False, server_default=""),
    ):
        op.add_column(_TABLE, column)
    sessions = sa.table(
        _TABLE,
        *map(
            sa.column,
            ("created", "address", "device", "proved", "last_network", "last_device"),
        ),
    )
    op.execute(
        sessions.update().values(
            proved=sessions.c.created,
            last_network=sessions.c.address,
            last_device=sessions.c.device,
        )
    )


def downgrade() -> None:
    """Refuse: going back would delete what is known about thefts."""
    message = "the schema is not taken back; restore the database from its backup"
    raise NotImplementedError(message)
