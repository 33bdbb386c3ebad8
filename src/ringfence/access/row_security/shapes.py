"""What the policies need to know of tables besides their rules: schemas and types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]  # untyped in SQLAlchemy


@dataclass(frozen=True, slots=True)
class Shape:
    """A table.

    Args:
        schema: where it is.
        name: in there.
        types: by column, as PostgreSQL writes them.
    """

    schema: str
    name: str
    types: Mapping[str, str]


Shapes = Mapping[str, Shape]
"""By table, named as its rule names it."""


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
