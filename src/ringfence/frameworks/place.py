"""Where a handler stands in the developer's source."""

from __future__ import annotations

import functools
import inspect
from types import FunctionType

from ringfence.frameworks.table import Place

_LIBRARIES = frozenset({"fastapi", "litestar", "starlette"})


def place_of(endpoint: object) -> Place:
    """Return file, line and name of a function, a class, or an object's class; through
    partials and decorators that keep ``__wrapped__``."""
    while isinstance(endpoint, functools.partial):
        endpoint = endpoint.func
    if callable(endpoint):
        endpoint = inspect.unwrap(endpoint)
    if inspect.ismethod(endpoint):
        endpoint = endpoint.__func__
    if isinstance(endpoint, FunctionType):
        code = endpoint.__code__
        return Place(code.co_filename, code.co_firstlineno, endpoint.__qualname__)
    kind = endpoint if inspect.isclass(endpoint) else type(endpoint)
    return _place_of_class(kind)


def _place_of_class(kind: type) -> Place:
    """Python before 3.13 does not keep a class's line: its first method is near. A
    library's class says nothing about where the developer has used it."""
    if kind.__module__.partition(".")[0] in _LIBRARIES:
        return Place(name=kind.__qualname__)
    codes = [
        member.__code__
        for member in vars(kind).values()
        if isinstance(member, FunctionType)
    ]
    if not codes:
        return Place(name=kind.__qualname__)
    first = min(codes, key=lambda code: code.co_firstlineno)
    line = getattr(kind, "__firstlineno__", first.co_firstlineno)
    return Place(first.co_filename, line, kind.__qualname__)
