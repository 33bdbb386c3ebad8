"""Bringing a database to the newest schema."""

from __future__ import annotations

from threading import Lock

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from ringfence.errors import StoreError

VERSION_TABLE = "ringfence_schema"
"""Holds the schema's revision; not ``alembic_version``, which may be the
application's own."""

_one_at_a_time = Lock()  # Alembic's ``op`` and ``context`` are one for the process


def migrate(connection: Connection, revision: str = "head") -> None:
    """Bring the database to the newest schema, in the transaction that is running.

    The caller's transaction must hold off other writers, so that of two processes
    which start at once the second finds the work done.

    Args:
        connection: in a transaction, which the caller commits.
        revision: an older schema instead, for tests of what comes after it.

    Raises:
        StoreError: the schema is newer than this version of ringfence.
    """
    config = _config()
    config.attributes["connection"] = connection
    try:
        with _one_at_a_time:
            command.upgrade(config, revision)
    except CommandError as error:
        message = (
            f"the schema of the database cannot be brought up to date ({error}); was "
            "it made by a newer version of ringfence?"
        )
        raise StoreError(message) from error


def is_current(connection: Connection) -> bool:
    """Return whether the database has the newest schema. Needs no right but to read."""
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    options = {"version_table": VERSION_TABLE}
    context = MigrationContext.configure(connection, opts=options)
    return context.get_current_revision() == newest


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "ringfence.stores:migrations")
    return config
