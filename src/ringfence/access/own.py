"""Policies about the path of a route: whose it is says a name in its template."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from ringfence.access.ownership.refusals import NOT_FOUND
from ringfence.access.policy import (
    NOT_SIGNED_IN,
    Decision,
    Hierarchy,
    PathDecision,
    Policy,
    Values,
)
from ringfence.clock import Clock, system_clock
from ringfence.denial import Denial
from ringfence.principal import Principal


@dataclass(frozen=True, slots=True)
class Own(Policy):
    """Whoever has the id that stands in the path. What is another's answers as what is
    not there.

    Args:
        name: of the parameter of the path.

    Source: ASVS 5.0 V8.2.2; OWASP API1:2023; CWE-639.
    """

    name: str

    def compile(self, hierarchy: Hierarchy, clock: Clock = system_clock) -> Decision:
        return self.compile_for_path(hierarchy, clock)({})  # no path: nobody's

    def compile_for_path(
        self, hierarchy: Hierarchy, clock: Clock = system_clock
    ) -> PathDecision:
        return self._decision

    def parameters(self) -> frozenset[str]:
        return frozenset({self.name})

    def _decision(self, values: Values) -> Decision:
        value = values.get(self.name)

        def decide(principal: Principal | None) -> Denial | None:
            if principal is None:
                return NOT_SIGNED_IN
            return None if _is(value, self.of(principal)) else NOT_FOUND

        return decide

    def of(self, principal: Principal) -> str:
        """Return what the path must hold."""
        return principal.id

    def __str__(self) -> str:
        return f"own({self.name})"


@dataclass(frozen=True, slots=True)
class OwnTenant(Own):
    """Whoever belongs to the tenant whose id stands in the path.

    Args:
        name: of the parameter of the path.

    Source: ASVS 5.0 V8.4.1; CWE-639.
    """

    def of(self, principal: Principal) -> str:
        return principal.tenant

    def __str__(self) -> str:
        return f"own_tenant({self.name})"


def _is(value: object, wanted: str) -> bool:
    """Return whether a value of the path is an id, in one of the ways in which ids of
    its type are written."""
    if not wanted or value is None:
        return False
    return str(value) == wanted or (isinstance(value, UUID) and value.hex == wanted)
