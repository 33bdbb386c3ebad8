"""The plans as a table, for people, and as data, for reviews and other programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import zip_longest
from textwrap import wrap

from ringfence.access.ownership.conditions import TableRule
from ringfence.access.policy import Hierarchy
from ringfence.guard.escapes import Escape
from ringfence.guard.fields import NO_FIELDS, FieldRules
from ringfence.guard.plan import RoutePlan

Cells = tuple[str, ...]

FORMAT_VERSION = 1
_GAP = "  "
_INDENT = "    "
_NARROWEST = 12  # characters of a column that is folded
_FEW = 3  # routes that are named one by one


def describe(
    plans: Sequence[RoutePlan],
    rules: Sequence[TableRule] = (),
    escapes: Sequence[Escape] = (),
    fields: FieldRules = NO_FIELDS,
    *,
    width: int = 0,
) -> str:
    """Return the plans as a table of plain text, one line a route, and below it which
    response headers differ, which other origins may use what, whose the rows of which
    table are, who may read and set which fields, and which code goes round that.

    Args:
        plans: in the order in which the framework tries them.
        rules: of the tables whose rows have owners.
        escapes: of the application.
        fields: what is said of fields.
        width: of a line, in characters; the routes stand on two lines each where they
            need more. 0: on one, however long.
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
        _routes(header, rows, width),
        _differences(plans),
        _shared(plans),
        _owned(rules, width),
        _fields(fields, width),
        _shapes(fields, width),
        _escapes(escapes),
    )
    return "\n\n".join(filter(None, parts))


def _aligned(rows: Sequence[Cells]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        _GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def _routes(header: Cells, rows: Sequence[Cells], width: int) -> str:
    """Return the routes on one line each; or, where that is too wide, their policies,
    and below each what else holds there."""
    table = _aligned((header, *rows))
    if not width or len(max(table.split("\n"), key=len)) <= width:
        return table
    places = [(methods, path, policy) for methods, path, _, policy, *_ in rows]
    heads = _folded(((header[0], header[1], header[3]), *places), width).split("\n")
    below = iter(["", *(_details(row) for row in rows)])
    lines: list[str] = []
    for line in heads:
        if lines and not line.startswith(" "):
            lines += _indented(next(below), width)
        lines.append(line)
    return "\n".join((*lines, *_indented(next(below), width)))


def _details(row: Cells) -> str:
    _, _, kind, _, limits, csrf, taken, handler = row
    said = (
        handler,
        "" if kind == "http" else kind,
        "" if taken == "-" else f"takes {taken}",
        "" if limits == "-" else limits,
        "" if csrf == "unsafe" else f"CSRF {csrf}",
    )
    return "; ".join(filter(None, said))


def _indented(text: str, width: int) -> list[str]:
    return wrap(text, width, initial_indent=_INDENT, subsequent_indent=_INDENT * 2)


def _folded(rows: Sequence[Cells], width: int) -> str:
    """Return rows whose longest cells go on below themselves, so that no line is wider
    than this; 0 for lines as wide as they come."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    gaps = len(_GAP) * (len(widths) - 1)
    while width and sum(widths) + gaps > width and max(widths) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1
    lines = (
        line
        for row in rows
        for line in zip_longest(*map(_cut, row, widths), fillvalue="")
    )
    return _aligned([*lines])


def _cut(cell: str, width: int) -> list[str]:
    return wrap(cell, width, break_on_hyphens=False) or [""]


def _owned(rules: Sequence[TableRule], width: int) -> str:
    """Return who reads and writes which rows."""
    if not rules:
        return ""
    rows = [(rule.table, rule.model, *_said(*rule.says)) for rule in rules]
    return _folded((("TABLE", "MODEL", "READ", "WRITE"), *sorted(rows)), width)


def _said(read: str, write: str) -> tuple[str, str]:
    return read, "as read" if write == read else write


def _fields(fields: FieldRules, width: int) -> str:
    """Return who reads and sets which fields."""
    if not fields.rules:
        return ""
    rows = [(rule.model, rule.name, *rule.says) for rule in fields.rules]
    return _folded((("MODEL", "FIELD", "READ BY", "SET BY"), *rows), width)


def _shapes(fields: FieldRules, width: int) -> str:
    """Return what requests and answers hold of these fields."""
    if not fields.shapes:
        return ""
    rows = [(shape.name, shape.of, ", ".join(shape.fields)) for shape in fields.shapes]
    return _folded((("SHAPE", "TIED AS", "HOLDS"), *rows), width)


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


def describe_roles(hierarchy: Hierarchy, width: int = 0) -> str:
    """Return which role includes which others, as a table of plain text."""
    rows = [(role, ", ".join(sorted(below))) for role, below in hierarchy.items()]
    rows = sorted(row for row in rows if row[1])
    return _folded((("ROLE", "INCLUDES"), *rows), width) if rows else ""


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
