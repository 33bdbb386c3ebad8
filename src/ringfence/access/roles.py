"""Roles that include other roles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ringfence.errors import SettingsError


def expand(declared: Mapping[str, Iterable[str]]) -> dict[str, frozenset[str]]:
    """Return each role with every role it includes, directly or through others.

    Args:
        declared: for instance ``{"admin": ["operator"], "operator": ["staff"]}``.

    Raises:
        SettingsError: a role includes itself by some way round.
    """
    complete: dict[str, frozenset[str]] = {}

    def included(role: str, path: tuple[str, ...]) -> frozenset[str]:
        if role in path:
            way = " > ".join((*path[path.index(role) :], role))
            message = f"the role hierarchy goes in a circle: {way}; remove one step"
            raise SettingsError(message)
        if role not in complete:
            found: set[str] = set()
            for child in declared.get(role, ()):
                found |= {child} | included(child, (*path, role))
            complete[role] = frozenset(found)
        return complete[role]

    for role in declared:
        included(role, ())
    return complete


def holders(
    names: Iterable[str], hierarchy: Mapping[str, frozenset[str]]
) -> frozenset[str]:
    """Return the roles that amount to one of ``names``."""
    wanted = frozenset(names)
    above = {role for role, below in hierarchy.items() if not wanted.isdisjoint(below)}
    return wanted | above
