"""The role matrix: every route and every table, and what each role may do there.

As text that is kept beside the code: whoever changes who may do what changes a line of
it, and a review sees that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, product

from ringfence.access.fields.verdict import judge
from ringfence.access.ownership.conditions import Holds, TableRule, parts_of
from ringfence.access.ownership.views import View, Views
from ringfence.access.policy import (
    FACTORS,
    Decision,
    Hierarchy,
    Policy,
    within_scopes,
)
from ringfence.guard.escapes import Escape
from ringfence.guard.fields import NO_FIELDS, FieldRule, FieldRules
from ringfence.guard.plan import RoutePlan
from ringfence.guard.rows import said_of, ways_of
from ringfence.guard.tables import Row, written
from ringfence.principal import Principal

People = dict[str, Principal | None]

_ANYBODY = "signed in"
_NOBODY = "anonymous"
_NOW = 1e9
_ID, _TENANT = "somebody", "their tenant"
_SAID = {True: "yes", False: "no"}
_HEAD = """# Who may do what

Written by `ringfence plan --matrix`; CI compares it with the application.

- An account may what its best role may.
- `yes`: let in. A number: refused with this status. `own`: let in where the path says
  their own id or tenant, and 404 elsewhere.
- A fresh proof and every factor are taken as given; where a route asks for them, its
  policy says so.
- `key: orders:read`: an API key with this scope and no other, of an account with every
  role.
- Rows are written by those who see them as well. `through orders`: those that go with a
  row of `orders` that they see, or write, themselves.
- Fields are read by those who see the row. `by row`: where the row is as the rule says.
"""


def matrix(
    plans: Sequence[RoutePlan],
    rules: Sequence[TableRule],
    hierarchy: Hierarchy,
    fields: FieldRules = NO_FIELDS,
    escapes: Iterable[Escape] = (),
) -> str:
    """Return the matrix as Markdown.

    Args:
        plans: of all routes.
        rules: of all tables whose rows have owners.
        hierarchy: roles with what they include, expanded.
        fields: what is said of fields.
        escapes: the code that goes round ownership.
    """
    named = _named(plans, rules, fields)
    people = _people(_roles(named, hierarchy), _scopes(named))
    sections: dict[str, tuple[Row, Sequence[Row]]] = {
        "Roles": (("Role", "Includes"), _included(hierarchy)),
        "Routes": (
            ("Route", "Policy", *people),
            [_row(plan, people, hierarchy) for plan in plans if not plan.is_own],
        ),
        "Rows": (("Rows", "Rule", *people), _rows(rules, people, hierarchy)),
        "From rows to others": (("Rows", "By"), _ways(rules)),
        "Fields": (
            ("Field", "Rule", *people),
            [row for rule in fields.rules for row in _field(rule, people, hierarchy)],
        ),
        "Requests and answers": (
            ("Model", "Tied as", "Holds"),
            [(each.name, each.of, ", ".join(each.fields)) for each in fields.shapes],
        ),
        "Beyond ownership": (("Code", "Reason", "Times"), _escapes(escapes)),
        "Routes of the guard's own": (
            ("Route", "Policy", *people),
            [_row(plan, people, hierarchy) for plan in plans if plan.is_own],
        ),
    }
    return _HEAD + "".join(
        f"\n## {name}\n\n{written(columns, lines)}"
        for name, (columns, lines) in sections.items()
        if lines
    )


def _escapes(escapes: Iterable[Escape]) -> list[Row]:
    """Return what goes round ownership, without its lines, which change easily."""
    found = Counter(
        (f"{one.module}.{one.function}".rstrip("."), one.reason) for one in escapes
    )
    return [(*what, str(times)) for what, times in found.items()]


def _included(hierarchy: Hierarchy) -> list[Row]:
    return [
        (role, ", ".join(sorted(below))) for role, below in hierarchy.items() if below
    ]


def _named(
    plans: Sequence[RoutePlan], rules: Sequence[TableRule], fields: FieldRules
) -> list[Policy]:
    """Return all policies that are said anywhere."""
    conditions = chain.from_iterable((rule.read, rule.write) for rule in rules)
    parts = chain.from_iterable(map(parts_of, conditions))
    return [
        *(plan.policy for plan in plans),
        *(part.policy for part in parts if isinstance(part, Holds)),
        *chain.from_iterable((rule.read, rule.write) for rule in fields.rules),
    ]


def _roles(named: Iterable[Policy], hierarchy: Hierarchy) -> list[str]:
    said = chain.from_iterable(policy.roles() for policy in named)
    return sorted({*said, *hierarchy, *chain.from_iterable(hierarchy.values())})


def _scopes(named: Iterable[Policy]) -> list[str]:
    return sorted(set(chain.from_iterable(policy.scopes() for policy in named)))


def _people(roles: Sequence[str], scopes: Iterable[str]) -> People:
    def somebody(*held: str) -> Principal:
        return Principal(_ID, frozenset(held), FACTORS, _NOW, tenant=_TENANT)

    def key(scope: str) -> Principal:
        limits = frozenset({scope})
        return replace(somebody(*roles), scopes=limits, credential="api-key")

    return {
        _NOBODY: None,
        _ANYBODY: somebody(),
        **{role: somebody(role) for role in roles},
        **{f"key: {scope}": key(scope) for scope in scopes},
    }


def _row(plan: RoutePlan, people: People, hierarchy: Hierarchy) -> Row:
    methods = ", ".join(plan.methods) or ("any" if plan.kind == "http" else plan.kind)
    decide, own = (
        within_scopes(plan.policy, compiled)
        for compiled in _compiled(plan.policy, hierarchy)
    )
    cells = []
    for principal in people.values():
        denial = decide(principal)
        is_own = denial is not None and own(principal) is None
        said = "yes" if denial is None else str(denial.status)
        cells.append("own" if is_own else said)
    return (f"{plan.host}{plan.path} {methods}", str(plan.policy), *cells)


def _compiled(policy: Policy, hierarchy: Hierarchy) -> Iterator[Decision]:
    """Yield what a policy says where the path is another's, and where it is one's own:
    each name in it either the account's or the tenant's."""
    compiled = policy.compile_for_path(hierarchy, lambda: _NOW)
    yield compiled({})
    names = sorted(policy.parameters())
    paths = product((_ID, _TENANT), repeat=len(names))
    yours = [compiled(dict(zip(names, path, strict=True))) for path in paths]
    yield lambda somebody: next(
        (None for decide in yours if decide(somebody) is None), yours[0](somebody)
    )


def _rows(
    rules: Sequence[TableRule], people: People, hierarchy: Hierarchy
) -> list[Row]:
    lines: list[Row] = []
    views = _views(rules, people, hierarchy)
    of_several = len({rule.table for rule in rules}) < len(rules)
    for rule in rules:
        if of_several:  # databases have tables of one name: this one's rule counts
            views = _views((*rules, rule), people, hierarchy)
        read, write = rule.says
        seen = (said_of(view.read[rule.table], view.read) for view in views)
        lines.append((f"{rule.table} (read)", read, *seen))
        left = (said_of(view.leave[rule.table], view.leave) for view in views)
        lines.append((f"{rule.table} (write)", write, *left))
    return lines


def _ways(rules: Iterable[TableRule]) -> list[Row]:
    return [
        way
        for rule in rules
        for condition in (rule.read, rule.write)
        for way in ways_of(rule.table, condition)
    ]


def _views(
    rules: Sequence[TableRule], people: People, hierarchy: Hierarchy
) -> list[View]:
    views = Views(rules, hierarchy)
    return [views.of(principal) for principal in people.values()]


def _field(rule: FieldRule, people: People, hierarchy: Hierarchy) -> Iterator[Row]:
    for what, policy, said in zip(
        ("read", "set"), (rule.read, rule.write), rule.says, strict=True
    ):
        cells = (
            _SAID[verdict] if isinstance(verdict, bool) else "by row"
            for verdict in (judge(policy, who, hierarchy) for who in people.values())
        )
        yield f"{rule.model}.{rule.name} ({what})", said, *cells
