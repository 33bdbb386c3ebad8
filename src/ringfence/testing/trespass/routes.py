"""What of a guard's plan can be tried."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ringfence.access.policy import FACTORS, Hierarchy, Policy
from ringfence.access.roles import expand
from ringfence.guard.asgi import Guard
from ringfence.guard.plan import RoutePlan
from ringfence.principal import Principal
from ringfence.testing.trespass.addresses import parameters_of, pattern_of
from ringfence.testing.trespass.intakes import Intake, described, key_of, marked

SAFE = ("GET", "HEAD", "OPTIONS")
_ALL = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
# What destroys comes last, so that there is something left for the others to try.
_TURN = {"PUT": 0, "PATCH": 1, "POST": 2, "DELETE": 3}
_ANY = "somebody"
_SENDS = ("json", "data", "content")
_ADMINS = {"admin", "administration", "backoffice", "internal", "management", "staff"}


@dataclass(slots=True, eq=False)
class Route:
    """One method of one route.

    Args:
        method: upper case.
        path: the template.
        intake: what it takes.
        admits: its policy lets the parties in, by their roles.
        names_role: its policy asks for a role.
        is_public: its answers may hold anybody's.
    """

    method: str
    path: str
    intake: Intake
    admits: bool
    names_role: bool
    is_public: bool
    parameters: tuple[str, ...] = field(init=False)
    pattern: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        self.parameters = parameters_of(self.path)
        self.pattern = pattern_of(self.path)

    @property
    def is_safe(self) -> bool:
        return self.method in SAFE

    @property
    def is_for_admins(self) -> bool:
        """Whether its address says that it is not for everybody."""
        return not _ADMINS.isdisjoint(self.path.split("/"))

    def is_named(self, names: Collection[str]) -> bool:
        """Return whether a collection names it, as ``/path`` or ``GET /path``."""
        return self.path in names or f"{self.method} {self.path}" in names

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def routes_of(
    guard: Guard,
    *,
    roles: frozenset[str],
    public: Collection[str],
    skip: Collection[str],
    bodies: Mapping[str, Mapping[str, Any]],
) -> list[Route]:
    """Return what is tried, in the order in which it is: what only reads, and then what
    changes, ``DELETE`` last.

    Raises:
        ValueError: ``public``, ``skip`` or ``bodies`` name a route that there is not.
    """
    intakes = described(guard.app)
    hierarchy = expand(guard.settings.access.hierarchy)
    everything = Principal(_ANY, roles, FACTORS, time.time(), tenant=_ANY)
    routes: dict[tuple[str, str], Route] = {}
    for plan, method in _entries(guard):
        intake = marked(plan) or intakes.get(key_of(method, plan.path)) or Intake()
        route = Route(
            method,
            plan.path,
            replace(intake),
            admits=_admits(plan.policy, hierarchy, everything),
            names_role=bool(plan.policy.roles()),
            is_public=False,
        )
        route.is_public = route.is_named(public)
        routes.setdefault((method, plan.path), route)
    found = list(routes.values())
    for given in (public, skip, bodies):
        _must_be_known(given, found)
    for route in found:
        _fix(route, bodies)
    kept = [route for route in found if not route.is_named(skip)]
    return sorted(kept, key=lambda route: _TURN.get(route.method, -1))


def _admits(policy: Policy, hierarchy: Hierarchy, somebody: Principal) -> bool:
    """Return whether a policy lets somebody in, by a path of their own if it asks."""
    path = dict.fromkeys(policy.parameters(), somebody.id)
    return policy.compile_for_path(hierarchy)(path)(somebody) is None


def _entries(guard: Guard) -> Iterator[tuple[RoutePlan, str]]:
    for plan in guard.plan:
        if plan.kind == "http" and not plan.is_own:
            for method in plan.methods or _ALL:
                yield plan, method


def _must_be_known(names: Collection[str], routes: Collection[Route]) -> None:
    for name in names:
        if not any(route.is_named({name}) for route in routes):
            message = (
                f"{name!r} names no route of the plan; write it as `ringfence plan` "
                'does, as in "/orders/{order_id}" or "GET /orders/{order_id}"'
            )
            raise ValueError(message)


def _fix(route: Route, bodies: Mapping[str, Mapping[str, Any]]) -> None:
    given = bodies.get(str(route), None if route.is_safe else bodies.get(route.path))
    if given is None:
        return
    intake = route.intake
    intake.sends = next((one for one in _SENDS if one in given), "")
    if not intake.sends:
        message = f"bodies[{route.path!r}] needs one of {', '.join(_SENDS)}"
        raise ValueError(message)
    intake.fixed = given[intake.sends]
    headers = {k.lower(): v for k, v in given.get("headers", {}).items()}
    intake.media_type = headers.get("content-type", "")
