"""ringfence's tables in a test's PostgreSQL."""

import psycopg
from psycopg import sql

from ringfence.stores.migrate import VERSION_TABLE


def tables_of(connection):
    """Return the names of ringfence's tables, but for the one with the version."""
    rows = connection.execute(
        "SELECT tablename FROM pg_tables"
        " WHERE schemaname = 'public' AND tablename LIKE 'ringfence_%' "
    ).fetchall()
    return [name for (name,) in rows if name != VERSION_TABLE]


def empty(database):
    """Delete all rows, which is faster than to make and migrate another database."""
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        if names := tables_of(connection):
            listed = sql.SQL(", ").join(map(sql.Identifier, names))
            connection.execute(sql.SQL("TRUNCATE {}").format(listed))
