"""What one kind of principal may see and write: every rule, reduced to who asks.

Principals with the same roles are of one kind, so that there are few views, each made
once: a statement is judged, and a filter built, for a view and not for a principal.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ringfence.access.ownership.conditions import (
    Condition,
    Subject,
    TableRule,
    all_of,
    reduce,
)
from ringfence.access.policy import Hierarchy, Policy
from ringfence.principal import Principal

_MOST_VIEWS = 512  # kinds of principals; the oldest goes first


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What one kind of principal may do with the rows of each table. One object a kind:
    compare with ``is``, and key dictionaries by it.

    Args:
        read: by table, which rows may be seen: without ``Holds``.
        write: by table, which rows may be written: those that may be seen and that the
            rule for writing allows.
        leave: by table, what a written row must be like afterwards.
    """

    read: Mapping[str, Condition]
    write: Mapping[str, Condition]
    leave: Mapping[str, Condition]


class Views:
    """Makes the view of a principal, and keeps it.

    Args:
        rules: of all tables.
        hierarchy: roles with what they include, expanded.
    """

    def __init__(self, rules: Sequence[TableRule], hierarchy: Hierarchy) -> None:
        self._rules = tuple(rules)
        self._hierarchy = hierarchy
        self._views: OrderedDict[tuple[object, ...], View] = OrderedDict()

    def of(self, principal: Principal | None) -> View:
        """Return what a principal may do; ``None`` is nobody."""
        kind = kind_of(principal)
        view = self._views.get(kind)
        if view is None:
            view = self._views[kind] = self._made(principal)
            if len(self._views) > _MOST_VIEWS:
                self._views.popitem(last=False)
        return view

    def _made(self, principal: Principal | None) -> View:
        def holds(policy: Policy) -> bool:
            return policy.compile(self._hierarchy)(principal) is None

        def has(subject: Subject) -> bool:
            return principal is not None and bool(value_of(principal, subject))

        read = {rule.table: reduce(rule.read, holds, has) for rule in self._rules}
        leave = {rule.table: reduce(rule.write, holds, has) for rule in self._rules}
        write = {
            table: all_of((read[table], condition))
            for table, condition in leave.items()
        }
        return View(read, write, leave)


def value_of(principal: Principal, subject: Subject) -> str:
    """Return what a column is compared with."""
    return principal.id if subject is Subject.ID else principal.tenant


def kind_of(principal: Principal | None) -> tuple[object, ...]:
    """Return what principals of one kind have in common: all that a policy without a
    row can ask of them."""
    if principal is None:
        return ()
    return (
        principal.roles,
        principal.factors,
        principal.scopes,
        principal.credential,
        bool(principal.id),
        bool(principal.tenant),
    )
