"""The guard's own address for what browsers report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ringfence.access.policy import Public
from ringfence.audit.log import AuditLog
from ringfence.browser.reports import LARGEST, collect_reports, ignore_others
from ringfence.browser.settings import BrowserSettings
from ringfence.errors import PlanError
from ringfence.exchange import Receive, Scope, Send
from ringfence.frameworks.table import Place
from ringfence.guard.plan import RoutePlan
from ringfence.stores.contracts import CounterStore
from ringfence.traffic.body_limit import limit_body

Fixed = Mapping[str, Mapping[str, RoutePlan]]
"""Plans by path and method, as ``guard.index`` has them."""


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """Stand where no application is: the last stage always answers."""


def reports_plan(
    settings: BrowserSettings, counters: CounterStore, audit: AuditLog
) -> tuple[RoutePlan, ...]:
    """Return the plan of the address that takes reports; none where they are off.

    Args:
        settings: of the window.
        counters: keeps the budgets.
        audit: takes the events.
    """
    if not settings.reports:
        return ()
    plan = RoutePlan(
        kind="http",
        methods=("POST",),
        path=settings.report_path,
        host="",
        policy=Public(),
        csrf="off",
        limits=(),
        place=Place(name=f"{collect_reports.__module__}.{collect_reports.__name__}"),
        application=_nothing,
        stages=(
            ignore_others(),
            limit_body(LARGEST),
            collect_reports(counters, audit),
        ),
        body_limit=LARGEST,
        document_headers=(),
        data_headers=(),
        is_own=True,
        input="own",
    )
    return (plan,)


def with_reports(fixed: Fixed, reports: Sequence[RoutePlan]) -> Fixed:
    """Return the plans by path and method, with the guard's own address among them."""
    for plan in reports:
        fixed = {**fixed, plan.path: {**fixed.get(plan.path, {}), "POST": plan}}
    return fixed


def refuse_taken(plans: Sequence[RoutePlan], reports: Sequence[RoutePlan]) -> None:
    """Stop when the application has a route where browsers report to.

    Raises:
        PlanError: says which, and what to do.
    """
    taken = {
        plan.path: plan.place
        for plan in plans
        if not plan.methods or "POST" in plan.methods
    }
    for report in reports:
        if report.path in taken:
            raise PlanError(
                f"{report.path} is where browsers report to, and the application has "
                f"a route there, {taken[report.path]}; set "
                "RINGFENCE_BROWSER_REPORT_PATH to another path, or "
                "RINGFENCE_BROWSER_REPORTS=false"
            )
