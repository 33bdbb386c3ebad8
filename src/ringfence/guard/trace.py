"""Which stages a refused request has passed, for who asks why it was refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

from ringfence.exchange import Exchange, Step
from ringfence.guard.plan import RoutePlan

_PACKAGE = "ringfence."


class Trace(NamedTuple):
    """The way of a refused request.

    Args:
        route: template of the route, empty where none was found.
        stage: who refused, as the file of the stage is named: ``traffic.host``. Empty
            where no stage did.
        passed: stages that had nothing against the request, in order.
        unasked: stages that would have come next.
    """

    route: str
    stage: str
    passed: tuple[str, ...]
    unasked: tuple[str, ...]


def trace(street: Sequence[Step], exchange: Exchange) -> Trace:
    """Return the way of a request that was refused.

    Args:
        street: what every request passes before its route is known.
        exchange: the request.
    """
    plan = cast("RoutePlan | None", exchange.plan)
    steps = (*street, *(plan.steps if plan is not None else ()))
    names = tuple(map(name_of, steps))
    route = plan.path if plan is not None else ""
    stopped_by = exchange.stopped_by
    if stopped_by is None:
        return Trace(route, "", names, ())
    at = next(at for at, step in enumerate(steps) if step is stopped_by)
    return Trace(route, names[at], names[:at], names[at + 1 :])


def name_of(step: Step) -> str:
    """Return the name of a stage: that of the file in which it is found."""
    return step.__module__.removeprefix(_PACKAGE)
