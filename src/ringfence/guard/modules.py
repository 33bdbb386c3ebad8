"""The modules of an application, as its handlers lead to them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FunctionType, ModuleType

from ringfence.guard.plan import RoutePlan

_OURS = "ringfence"
_STANDARD_LIBRARY = Path(os.__file__).parent
_INSTALLED = {"site-packages", "dist-packages"}


def reached(plans: Iterable[RoutePlan]) -> list[ModuleType]:
    """Return the modules in which handlers stand, and all of the application's that can
    be named in these, and so on.

    Args:
        plans: of all routes.
    """
    files = {plan.place.file for plan in plans if plan.place.file and not plan.is_own}
    loaded = {
        module.__file__: module
        for module in tuple(sys.modules.values())
        if isinstance(getattr(module, "__file__", None), str)
    }
    found = [loaded[file] for file in sorted(files) if file in loaded]
    packages = {_package(module.__name__) for module in found}
    seen = {id(module) for module in found}
    for module in found:  # grows meanwhile
        for name in _named_in(module):
            other = sys.modules.get(name)
            if (
                isinstance(other, ModuleType)
                and id(other) not in seen
                and _is_theirs(other, packages)
            ):
                seen.add(id(other))
                found.append(other)
    return found


def _named_in(module: ModuleType) -> Iterator[str]:
    for value in tuple(vars(module).values()):
        if isinstance(value, ModuleType):
            yield value.__name__
        elif isinstance(value, (type, FunctionType)):
            yield value.__module__
        else:
            yield type(value).__module__


def _is_theirs(module: ModuleType, packages: set[str]) -> bool:
    """Return whether a module is the application's: of a package with handlers, or of
    no library."""
    package = _package(module.__name__)
    if package == _OURS:
        return False
    file = getattr(module, "__file__", None)
    if package in packages or not isinstance(file, str):
        return package in packages
    path = Path(file)
    return _INSTALLED.isdisjoint(path.parts) and _STANDARD_LIBRARY not in path.parents


def _package(name: str) -> str:
    return name.partition(".")[0]
