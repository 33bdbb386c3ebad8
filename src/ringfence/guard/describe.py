"""The plans as a table, for people, and as data, for reviews and other programs."""

from __future__ import annotations

from collections.abc import Sequence

from ringfence.guard.plan import RoutePlan

FORMAT_VERSION = 1
_FEW = 3  # routes that are named one by one


def describe(plans: Sequence[RoutePlan]) -> str:
    """Return the plans as a table of plain text, one line a route, and below it which
    response headers differ and which other origins may use what.

    Args:
        plans: in the order in which the framework tries them.
    """
    header = ("METHODS", "PATH", "KIND", "POLICY", "LIMITS", "CSRF", "INPUT", "HANDLER")
    rows = [
        (
            ", ".join(plan.methods) or "any",
            plan.host + plan.path,
            plan.kind,
            str(plan.policy),
            "; ".join(plan.limits) or "-",
            plan.csrf,
            plan.input,
            plan.place.name or "-",
        )
        for plan in plans
    ]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in (header, *rows)
    )
    table = "\n".join(line.rstrip() for line in lines)
    return "\n\n".join(filter(None, (table, _differences(plans), _shared(plans))))


def _differences(plans: Sequence[RoutePlan]) -> str:
    """Return which routes have other response headers than the settings say."""
    lines = [
        f"  {', '.join(plan.methods) or 'any'} {plan.host}{plan.path}: {name}: {value}"
        for plan in plans
        for name, value in plan.overrides.items()
    ]
    return "\n".join(("Headers that differ:", *lines)) if lines else ""


def _shared(plans: Sequence[RoutePlan]) -> str:
    """Return which other origins may use which routes."""
    routes: dict[str, list[str]] = {}
    for plan in plans:
        if plan.sharing is not None:
            route = f"{', '.join(plan.methods) or 'any'} {plan.host}{plan.path}"
            routes.setdefault(str(plan.sharing), []).append(route)
    lines = [
        f"  {origins}: {', '.join(found) if len(found) <= _FEW else _counted(found)}"
        for origins, found in routes.items()
    ]
    return "\n".join(("Open to other origins:", *lines)) if lines else ""


def _counted(routes: Sequence[str]) -> str:
    return f"{len(routes)} routes"


def describe_json(plans: Sequence[RoutePlan]) -> dict[str, object]:
    """Return the plans as JSON-ready data: ``{"version": 1, "routes": [...]}``."""
    return {
        "version": FORMAT_VERSION,
        "routes": [
            {
                "methods": list(plan.methods),
                "path": plan.path,
                "host": plan.host,
                "kind": plan.kind,
                "policy": str(plan.policy),
                "limits": list(plan.limits),
                "csrf": plan.csrf,
                "input": plan.input,
                "headers": dict(plan.overrides),
                "cors": "" if plan.sharing is None else str(plan.sharing),
                "endpoint": plan.place.name,
            }
            for plan in plans
        ],
    }
