"""The stage that asks the route's policy."""

from __future__ import annotations

from ringfence.access.permit import Permit, parts_of
from ringfence.access.policy import NOT_SIGNED_IN, Hierarchy, Policy, within_scopes
from ringfence.clock import Clock, system_clock
from ringfence.denial import Denial
from ringfence.exchange import Exchange, Stage, at_once


def enforce(policy: Policy, hierarchy: Hierarchy, clock: Clock = system_clock) -> Stage:
    """Return the stage that lets only those through whom ``policy`` allows.

    Stops broken function-level authorization (BFLA): ``GET /admin/users`` by somebody
    who is not an admin.

    Args:
        policy: of the route.
        hierarchy: roles with what they include, expanded.
        clock: tells how old a proof is; the one by which it was written down.

    Source: ASVS 5.0 V8.3.1; CWE-285.
    """
    decide = within_scopes(policy, policy.compile(hierarchy, clock))
    permit = Permit(parts_of(policy), hierarchy, clock)

    def access_policy(exchange: Exchange) -> Denial | None:
        denial = decide(exchange.principal)
        if denial is None:
            exchange.permitted = permit
        elif denial is NOT_SIGNED_IN and exchange.lapsed is not None:
            return exchange.lapsed  # so that a script knows that it has to refresh
        return denial

    return at_once(access_policy)
