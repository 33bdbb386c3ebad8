"""Run by Alembic for each command; the connection comes from ``stores.migrate``."""

from __future__ import annotations

from alembic import context

from ringfence.stores.migrate import VERSION_TABLE
from ringfence.stores.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()
