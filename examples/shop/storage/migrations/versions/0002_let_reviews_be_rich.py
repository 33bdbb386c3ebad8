"""Let reviews be rich text: the form that their text was written in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    form = sa.Column("form", sa.String, nullable=False, server_default="plain")
    op.add_column("reviews", form)


def downgrade() -> None:
    op.drop_column("reviews", "form")
