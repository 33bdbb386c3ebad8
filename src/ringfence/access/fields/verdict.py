"""Which fields are closed to whoever the running code works for.

Decided once for each kind of principal, and kept: most objects that are answered with
cost one look into a dictionary.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import MappingProxyType

from ringfence.access.ownership.acting import acting
from ringfence.access.ownership.escape import Unscoped
from ringfence.access.ownership.rules import Matching, Owner, Tenant
from ringfence.access.ownership.views import kind_of
from ringfence.access.permit import Permit
from ringfence.access.policy import AllOf, AnyOf, Hierarchy, Policy
from ringfence.exchange import active
from ringfence.principal import Principal

Test = Callable[[object], bool]
"""Says of an object whether a field of it may be read."""

Closed = Mapping[str, Test | None]
"""The fields that are not open to everybody of a kind: ``None`` for closed, whatever
the object, else what has to be asked of it."""


def passes(test: Test | None, row: object) -> bool:
    """Return whether a field that is not open to everybody may be read of an object."""
    return test is not None and row is not None and test(row)


_OPEN: Closed = MappingProxyType({})
# Outside a request no guard says which role includes which: those that are held count.
_NO_HIERARCHY: Hierarchy = MappingProxyType({})
_MOST_KINDS = 256  # of principals; the oldest goes first


class Gate:
    """Stands before the fields of one model.

    Args:
        rules: by field, who may pass; all others are open.
    """

    __slots__ = ("_kinds", "_last", "rules")

    def __init__(self, rules: Mapping[str, Policy]) -> None:
        self.rules = rules
        self._kinds: OrderedDict[tuple[object, ...], _Kind] = OrderedDict()
        self._last: tuple[Principal | None, Hierarchy, Closed] | None = None

    def closed(self) -> Closed:
        """Return what is closed to whoever the running code works for. To nobody, all
        that is not public; in an ``unscoped`` block nothing."""
        actor = acting()
        if isinstance(actor, Unscoped):
            return _OPEN
        exchange = active.get()
        permit = None if exchange is None else exchange.permitted
        hierarchy = permit.hierarchy if isinstance(permit, Permit) else _NO_HIERARCHY
        last = self._last
        if last is not None and last[0] is actor and last[1] is hierarchy:
            return last[2]
        closed = self._closed_to(actor, hierarchy)
        self._last = (actor, hierarchy, closed)
        return closed

    def _closed_to(self, actor: Principal | None, hierarchy: Hierarchy) -> Closed:
        # The hierarchy is kept as well, so that no other gets its id.
        key = (id(hierarchy), *kind_of(actor))
        kind = self._kinds.get(key)
        if kind is None:
            kind = self._kinds[key] = _Kind(self.rules, actor, hierarchy)
            if len(self._kinds) > _MOST_KINDS:
                self._kinds.popitem(last=False)
        return kind.closed_to(actor)


Asked = Callable[[Principal | None, object], bool]

Verdict = bool | Asked
"""Open, closed, or what decides by the principal and the object."""


class _Kind:
    """What is closed to one kind of principal."""

    __slots__ = ("_asked", "_closed", "_hierarchy")

    def __init__(
        self, rules: Mapping[str, Policy], actor: Principal | None, hierarchy: Hierarchy
    ) -> None:
        self._hierarchy = hierarchy
        said = {name: judge(rule, actor, hierarchy) for name, rule in rules.items()}
        self._asked = {
            name: verdict
            for name, verdict in said.items()
            if not isinstance(verdict, bool)
        }
        self._closed: Closed = {
            name: None for name, verdict in said.items() if verdict is False
        }

    def closed_to(self, actor: Principal | None) -> Closed:
        """Return what is closed to one of this kind."""
        if not self._asked:
            return self._closed
        tests = {name: _test(asked, actor) for name, asked in self._asked.items()}
        return {**self._closed, **tests}


def _test(asked: Asked, principal: Principal | None) -> Test:
    return lambda row: asked(principal, row)


def judge(policy: Policy, actor: Principal | None, hierarchy: Hierarchy) -> Verdict:
    """Return what a policy says to all principals of a kind.

    Args:
        policy: of a field.
        actor: one of the kind; ``None`` for nobody.
        hierarchy: roles with what they include, expanded.
    """
    match policy:
        case AllOf(parts):
            return _joined([judge(part, actor, hierarchy) for part in parts], all)
        case AnyOf(parts):
            return _joined([judge(part, actor, hierarchy) for part in parts], any)
        case Owner(path):
            return actor is not None and _equals(path, lambda who: who.id)
        case Tenant(path):
            return actor is not None and _equals(path, lambda who: who.tenant)
        case Matching(values):
            return lambda _, row: all(
                getattr(row, name, None) == value for name, value in values
            )
        case _:
            return policy.compile(hierarchy)(actor) is None


def _equals(name: str, of: Callable[[Principal], str]) -> Asked:
    def holds(principal: Principal | None, row: object) -> bool:
        mine = "" if principal is None else of(principal)
        value = getattr(row, name, None)
        return bool(mine) and value is not None and str(value) == mine

    return holds


def _joined(
    verdicts: list[Verdict], quantifier: Callable[[list[bool]], bool]
) -> Verdict:
    """Join by ``all`` or ``any``; what is known beforehand decides beforehand."""
    known = [one for one in verdicts if isinstance(one, bool)]
    asked = [one for one in verdicts if not isinstance(one, bool)]
    neutral = quantifier([])
    if not asked or any(one is not neutral for one in known):
        return quantifier(known)
    return lambda principal, row: quantifier([one(principal, row) for one in asked])
