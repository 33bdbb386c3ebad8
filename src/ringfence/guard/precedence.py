"""Refusing route tables whose order hides a route or loosens a policy."""

from __future__ import annotations

from collections.abc import Callable

from ringfence.access import Policy
from ringfence.access.policy import Hierarchy
from ringfence.frameworks.table import Application, Leaf


def check_precedence(
    application: Application,
    policy_of: Callable[[Leaf], Policy],
    hierarchy: Hierarchy,
) -> None:
    """Refuse a table in which the framework's order goes against the policies.

    Raises:
        PlanError: a route can never be reached, or an earlier route with a looser
            policy answers paths of a later one.
    """
