"""What a model is called, and what its fields are."""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import inspect

_MODULES = re.compile(r"(?:\w+\.|<locals>\.)+(?=\w)")
_WITH_FIELDS = (inspect.StructType, inspect.DataclassType, inspect.TypedDictType)
_LISTS = (
    inspect.ListType,
    inspect.SetType,
    inspect.FrozenSetType,
    inspect.VarTupleType,
    inspect.TupleType,
)


def name_of(annotation: object) -> str:
    """Return how a model is printed: ``Order``, ``dict[str, int]``."""
    if isinstance(annotation, type) and not getattr(annotation, "__args__", ()):
        return annotation.__qualname__.rpartition(".<locals>.")[2]
    return _MODULES.sub("", str(annotation))


def fields_of(annotation: object) -> Mapping[str, bool] | None:
    """Return the fields of a model by the names that are sent, and whether each takes
    several values; ``None`` for what has no fields."""
    try:
        info = inspect.type_info(annotation)
    except NameError:  # a class that is defined further down
        return {}
    if not isinstance(info, _WITH_FIELDS):
        return None
    return {one.encode_name: _takes_several(one.type) for one in info.fields}


def _takes_several(info: inspect.Type) -> bool:
    if isinstance(info, inspect.Metadata):
        return _takes_several(info.type)
    if isinstance(info, inspect.UnionType):
        return any(map(_takes_several, info.types))
    return isinstance(info, _LISTS)
