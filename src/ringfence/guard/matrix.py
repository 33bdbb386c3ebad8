"""The role matrix: every route and every table, and what each role may do there.

As text that is kept beside the code: whoever changes who may do what changes a line of
it, and a review sees that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, product

from ringfence.access.ownership.conditions import Condition, Holds, TableRule, parts_of
from ringfence.access.ownership.views import Views
from ringfence.access.policy import (
    FACTORS,
    Decision,
    Hierarchy,
    Policy,
    within_scopes,
)
from ringfence.guard.plan import RoutePlan
from ringfence.principal import Principal

_ANYBODY = "signed in"
_NOBODY = "anonymous"
_NOW = 1e9
_ID, _TENANT = "somebody", "their tenant"
_HEAD = (
    "# Who may do what\n\n"
    "Written by `ringfence plan --matrix`; CI compares it with the application. An "
    "account may what its best role may. A fresh proof and every factor are taken as "
    "given; where a route asks for them, its policy says so. `own`: where the path "
    "says their own id, and 404 elsewhere.\n"
)


def matrix(
    plans: Sequence[RoutePlan], rules: Sequence[TableRule], hierarchy: Hierarchy
) -> str:
    """Return the matrix as Markdown.

    Args:
        plans: of all routes.
        rules: of all tables whose rows have owners.
        hierarchy: roles with what they include, expanded.
    """
    roles = _roles(plans, rules, hierarchy)
    people = _people(roles)
    lines = [_HEAD, "## Routes\n", *_table(("Route", "Policy", *people))]
    lines += sorted({_row(plan, people, hierarchy) for plan in plans})
    if rules:
        lines += ["\n## Rows\n", *_table(("Table", "", "Rule", *people))]
        views = Views(rules, hierarchy)
        for rule in sorted(rules, key=lambda rule: rule.table):
            lines += _rows(rule, people, views)
    return "\n".join(lines) + "\n"


def _roles(
    plans: Sequence[RoutePlan], rules: Sequence[TableRule], hierarchy: Hierarchy
) -> list[str]:
    named = chain.from_iterable(plan.policy.roles() for plan in plans)
    of_rows = chain.from_iterable(
        part.policy.roles()
        for rule in rules
        for part in chain(parts_of(rule.read), parts_of(rule.write))
        if isinstance(part, Holds)
    )
    included = chain.from_iterable(hierarchy.values())
    return sorted({*named, *of_rows, *hierarchy, *included})


def _people(roles: Iterable[str]) -> dict[str, Principal | None]:
    def somebody(*held: str) -> Principal:
        return Principal(_ID, frozenset(held), FACTORS, _NOW, tenant=_TENANT)

    return {
        _NOBODY: None,
        _ANYBODY: somebody(),
        **{role: somebody(role) for role in roles},
    }


def _row(
    plan: RoutePlan, people: dict[str, Principal | None], hierarchy: Hierarchy
) -> str:
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
    return _line((f"{plan.host}{plan.path} {methods}", str(plan.policy), *cells))


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
    rule: TableRule, people: dict[str, Principal | None], views: Views
) -> Iterator[str]:
    for what, said in zip(("read", "write"), rule.says, strict=True):
        cells: list[str] = []
        for principal in people.values():
            view = views.of(principal)
            found: Condition = (view.read if what == "read" else view.write)[rule.table]
            cells.append(str(found))
        yield _line((rule.table, what, said, *cells))


def _table(names: Sequence[str]) -> tuple[str, str]:
    return _line(names), _line(["---"] * len(names))


def _line(cells: Iterable[str]) -> str:
    said = " | ".join(cell.replace("|", "\\|") for cell in cells)
    return f"| {said} |"
