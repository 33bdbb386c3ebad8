"""The stage that asks the route's policy."""

from __future__ import annotations

from collections.abc import Callable

from ringfence.access.permit import Permit, parts_of
from ringfence.access.policy import (
    NOT_SIGNED_IN,
    Hierarchy,
    Policy,
    Values,
    within_scopes,
)
from ringfence.clock import Clock, system_clock
from ringfence.denial import Denial
from ringfence.exchange import Exchange, Stage, at_once

ReadPath = Callable[[Exchange], Values]
"""Returns what stands in the path of a request where its route has names."""


def enforce(
    policy: Policy,
    hierarchy: Hierarchy,
    clock: Clock = system_clock,
    read_path: ReadPath | None = None,
) -> Stage:
    """Return the stage that lets only those through whom ``policy`` allows.

    Stops broken function-level authorization (BFLA): ``GET /admin/users`` by somebody
    who is not an admin.

    Args:
        policy: of the route.
        hierarchy: roles with what they include, expanded.
        clock: tells how old a proof is; the one by which it was written down.
        read_path: needed where the policy looks at the path.

    Source: ASVS 5.0 V8.3.1; CWE-285.
    """
    if policy.parameters() and read_path is not None:
        return _enforce_by_path(policy, hierarchy, clock, read_path)
    decide = within_scopes(policy, policy.compile(hierarchy, clock))
    permit = Permit(parts_of(policy), hierarchy, clock)

    def access_policy(exchange: Exchange) -> Denial | None:
        return _said(exchange, decide(exchange.principal), permit)

    return at_once(access_policy)


def _enforce_by_path(
    policy: Policy, hierarchy: Hierarchy, clock: Clock, read_path: ReadPath
) -> Stage:
    """Stops horizontal escalation: ``GET /users/2/profile`` by somebody else."""
    compiled = policy.compile_for_path(hierarchy, clock)
    permit = Permit(parts_of(policy), hierarchy, clock)

    def access_policy(exchange: Exchange) -> Denial | None:
        decide = within_scopes(policy, compiled(read_path(exchange)))
        return _said(exchange, decide(exchange.principal), permit)

    return at_once(access_policy)


def _said(exchange: Exchange, denial: Denial | None, permit: Permit) -> Denial | None:
    if denial is None:
        exchange.permitted = permit
    elif denial is NOT_SIGNED_IN and exchange.lapsed is not None:
        return exchange.lapsed  # so that a script knows that it has to refresh
    return denial
