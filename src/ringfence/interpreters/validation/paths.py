"""What stands in the path where a template has names."""

from __future__ import annotations

import re
from collections.abc import Callable

from ringfence.interpreters.validation.forms import Pair

_NAME = re.compile(r"{([a-zA-Z_][a-zA-Z0-9_]*)(?::([a-zA-Z_][a-zA-Z0-9_]*))?}")

Pairs = Callable[[str], list[Pair]]


def names_in(template: str) -> frozenset[str]:
    """Return the names of a template: ``/orders/{id:int}`` has ``id``."""
    return frozenset(found[1] for found in _NAME.finditer(template))


def reader_of(template: str) -> Pairs:
    """Return what reads the values of a template's names from a path.

    Args:
        template: of a route, with all that stands before it.
    """
    pieces = _NAME.split(template)
    pattern = re.escape(pieces[0])
    for kind, literal in zip(pieces[2::3], pieces[3::3], strict=True):
        pattern += ("(.*)" if kind == "path" else "([^/]+)") + re.escape(literal)
    match = re.compile(pattern + "/?", re.DOTALL).fullmatch
    names = pieces[1::3]

    def read(path: str) -> list[Pair]:
        found = match(path)
        values = () if found is None else found.groups()
        return list(zip(names, values, strict=False))

    return read
