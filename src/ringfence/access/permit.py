"""What the plan of a request has asked, and the lock on a handler that may ask more.

A mark on a handler is read at start-up and becomes part of its route's plan. Where it
was not (an application of another framework mounted below one public route, a plain
application behind a wider rule, a function that another handler calls), the lock asks
the policy itself, so that what is written beside a function holds wherever it runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ringfence.access.policy import AllOf, Hierarchy, Policy, Values
from ringfence.clock import Clock, system_clock
from ringfence.denial import Denial
from ringfence.errors import OutsideRequestError
from ringfence.exchange import Scope, active
from ringfence.principal import Principal

_NO_VALUES: Values = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class Permit:
    """The permission that a route's plan gives once it has been asked.

    Args:
        asked: the policies that all had to allow.
        hierarchy: roles with what they include, expanded.
        clock: tells how old a proof is.
    """

    asked: frozenset[Policy]
    hierarchy: Hierarchy
    clock: Clock = system_clock

    def refuses(
        self,
        policy: Policy,
        principal: Principal | None,
        values: Values | None = None,
    ) -> Denial | None:
        """Return why ``policy`` refuses, if it does and was not asked before.

        Args:
            policy: that is to allow as well.
            principal: who has sent the request.
            values: what the framework itself has found in the path; ``None`` if it has
                not said. A policy that looks at the path is asked again about these:
                what was compared is then what the handler works with, whatever has
                changed the path on its way, and whatever the names above it are.
        """
        asked = parts_of(policy) <= self.asked
        if asked and (values is None or not policy.parameters()):
            return None
        decide = policy.compile_for_path(self.hierarchy, self.clock)
        return decide(_NO_VALUES if values is None else values)(principal)


class Lock:
    """Stands before one function and lets in whom its policy allows.

    Args:
        name: of the function, for errors.
        policy: what stands beside it.
    """

    __slots__ = ("_known", "_name", "_policy")

    def __init__(self, name: str, policy: Policy) -> None:
        self._name = name
        self._policy = policy
        self._known: Permit | None = None  # the last one that has asked all of it

    def check(self) -> None:
        """Let the running request in, or stop it.

        Raises:
            OutsideRequestError: no guard has permitted this request, or the policy
                refuses it; then the guard answers with its refusal.
        """
        exchange = active.get()
        permit = None if exchange is None else exchange.permitted
        if permit is not None and permit is self._known:
            return
        if exchange is None or not isinstance(permit, Permit):
            message = (
                f"{self._name} was reached without the guard's permission; serve "
                "Guard(app) instead of app, and call handlers through it"
            )
            raise OutsideRequestError(message)
        values = values_in(exchange.scope)
        denial = permit.refuses(self._policy, exchange.principal, values)
        if denial is not None:
            exchange.denial = exchange.denial or denial
            message = (
                f"{self._name} asks for {self._policy}, which this request does not "
                "meet; the route that led here asks for less"
            )
            raise OutsideRequestError(message)
        if parts_of(self._policy) <= permit.asked and not self._policy.parameters():
            self._known = permit


def values_in(scope: Scope) -> Values | None:
    """Return what a framework has found in the path; ``None`` if it has not said."""
    found = scope.get("path_params")
    return found if isinstance(found, Mapping) else None


def parts_of(policy: Policy) -> frozenset[Policy]:
    """Return the policies that all have to allow."""
    if isinstance(policy, AllOf):
        return frozenset().union(*map(parts_of, policy.parts))
    return frozenset((policy,))
