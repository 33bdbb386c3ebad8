"""The plans as a table, for people, and as data, for reviews and other programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from ringfence.access.ownership.conditions import TableRule
from ringfence.guard.escapes import Escape
from ringfence.guard.fields import NO_FIELDS, FieldRules
from ringfence.guard.plan import RoutePlan

FORMAT_VERSION = 1
_FEW = 3  # routes that are named one by one


def describe(
    plans: Sequence[RoutePlan],
    rules: Sequence[TableRule] = (),
    escapes: Sequence[Escape] = (),
    fields: FieldRules = NO_FIELDS,
) -> str:
    """Return the plans as a table of plain text, one line a route, and below it which
    response headers differ, which other origins may use what, whose the rows of which
    table are, who may read and set which fields, and which code goes round that.

    Args:
        plans: in the order in which the framework tries them.
        rules: of the tables whose rows have owners.
        escapes: of the application.
        fields: what is said of fields.
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
    parts = (
        _aligned((header, *rows)),
        _differences(plans),
        _shared(plans),
        _owned(rules),
        _fields(fields),
        _shapes(fields),
        _escapes(escapes),
    )
    return "\n\n".join(filter(None, parts))


def _aligned(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def _owned(rules: Sequence[TableRule]) -> str:
    """Return who reads and writes which rows."""
    if not rules:
        return ""
    rows = [(rule.table, rule.model, *rule.says) for rule in rules]
    return _aligned((("TABLE", "MODEL", "READ", "WRITE"), *sorted(rows)))


def _fields(fields: FieldRules) -> str:
    """Return who reads and sets which fields."""
    if not fields.rules:
        return ""
    rows = [(rule.model, rule.name, *rule.says) for rule in fields.rules]
    return _aligned((("MODEL", "FIELD", "READ BY", "SET BY"), *rows))


def _shapes(fields: FieldRules) -> str:
    """Return what requests and answers hold of these fields."""
    if not fields.shapes:
        return ""
    rows = [(shape.name, shape.of, ", ".join(shape.fields)) for shape in fields.shapes]
    return _aligned((("SHAPE", "TIED AS", "HOLDS"), *rows))


def _escapes(escapes: Sequence[Escape]) -> str:
    lines = [f"  {escape}" for escape in escapes]
    return "\n".join(("Beyond ownership:", *lines)) if lines else ""


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


def describe_json(
    plans: Sequence[RoutePlan],
    rules: Sequence[TableRule] = (),
    escapes: Sequence[Escape] = (),
    fields: FieldRules = NO_FIELDS,
) -> dict[str, object]:
    """Return the same as JSON-ready data: ``{"version": 1, "routes": [...], "rows":
    [...], "fields": [...], "shapes": [...], "unscoped": [...]}``."""
    return {
        "version": FORMAT_VERSION,
        "rows": [
            {
                "table": rule.table,
                "model": rule.model,
                "read": rule.says[0],
                "write": rule.says[1],
            }
            for rule in rules
        ],
        "fields": [
            {
                "model": rule.model,
                "module": rule.module,
                "field": rule.name,
                "read": rule.says[0],
                "write": rule.says[1],
            }
            for rule in fields.rules
        ],
        "shapes": [
            {**asdict(shape), "fields": list(shape.fields)} for shape in fields.shapes
        ],
        "unscoped": [asdict(escape) for escape in escapes],
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
