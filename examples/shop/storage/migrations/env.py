"""Where Alembic starts. The connection, and its transaction, come from prepare.py."""

from __future__ import annotations

from alembic import context
from examples.shop.storage.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    render_as_batch=True,
)
context.run_migrations()
