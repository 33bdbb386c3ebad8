"""What the policies need to know of tables besides their rules: schemas and types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


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
