"""The shapes of SQLAlchemy's tables."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql

from ringfence.access.row_security.shapes import Shape

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]  # untyped in SQLAlchemy


def shapes_of(tables: Iterable[Table], *, schema: str = "public") -> dict[str, Shape]:
    """Return the shapes of tables.

    Args:
        tables: of the application, all that have rules.
        schema: of those that name none.
    """
    return {
        table.fullname: Shape(
            table.schema or schema,
            table.name,
            {
                column.name: column.type.compile(dialect=_DIALECT)
                for column in table.columns
            },
        )
        for table in tables
    }
