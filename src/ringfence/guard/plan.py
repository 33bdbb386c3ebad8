"""What the guard does with one route, decided at start-up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import NamedTuple

from ringfence.access.policy import Closed, Policy, Public
from ringfence.browser.cors import Sharing
from ringfence.errors import PlanError
from ringfence.exchange import ASGIApp, Headers, Stage, Step, step_of
from ringfence.frameworks.declared import Declared
from ringfence.frameworks.rule import Rule
from ringfence.frameworks.table import Application, Enter, Leaf, Place
from ringfence.marks import Mark

Ending = tuple[int, bytes | None, bool]
"""On what it depends which headers an everyday answer gains: its status, its
Content-Type, and whether nobody is signed in."""


def no_headers(_: str) -> Headers:
    """Return no headers, for a plan that answers nothing itself."""
    return ()


@dataclass(frozen=True, slots=True, eq=False)
class RoutePlan:
    """Everything that is decided about one route before the first request.

    Compared by identity: two includes of one handler are two plans.

    Args:
        kind: ``http``, ``websocket``, ``mount``, or ``answer`` for what the framework
            itself answers (405, slash redirects); behind an ``answer`` no endpoint may
            be entered.
        methods: in alphabetical order; empty means every method.
        path: the full template.
        host: the pattern of the Host header as text, empty for every host.
        policy: who may come in.
        csrf: ``unsafe`` (checked on methods that change things), ``handshake`` or
            ``off``.
        limits: the rate limits that stand beside the route, as they are printed.
        place: where the handler is defined.
        application: what is called when every stage has agreed.
        stages: what is asked after the plan is known, in order.
        body_limit: largest request body in bytes.
        document_headers: response headers for documents, pre-encoded.
        data_headers: response headers for everything else, pre-encoded.
        nonced_headers: gives the response headers for a document with this nonce.
        caching: the route's own ``Cache-Control``, for everybody and for one reader;
            ``None`` where nothing was said about it.
        overrides: what was declared to differ in its response headers, by name.
        input_errors: what the framework raises about input that it does not accept.
        is_own: a route of the guard itself, whose answers need no rewriting.
        marks: what was declared beside the route, the outermost first.
        input: what is checked of what it takes: ``Order (strict)``, ``json``,
            ``unvalidated``, ``-`` where it takes nothing.
        enter: goes straight to the endpoint, where the framework can be led.
        sharing: what pages of other origins may do here, ``None`` for nothing.
    """

    kind: str
    methods: tuple[str, ...]
    path: str
    host: str
    policy: Policy
    csrf: str
    limits: tuple[str, ...]
    place: Place
    application: ASGIApp
    stages: tuple[Stage, ...]
    body_limit: int
    document_headers: Headers
    data_headers: Headers
    nonced_headers: Callable[[str], Headers] = no_headers
    caching: Headers | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)
    input_errors: tuple[type[Exception], ...] = ()
    is_own: bool = False
    marks: tuple[Mark, ...] = ()
    input: str = "-"
    enter: Enter | None = None
    sharing: Sharing | None = None
    steps: tuple[Step, ...] = field(init=False, repr=False)
    """The stages as they are called."""
    endings: dict[Ending, tuple[Headers, bool]] = field(
        init=False, repr=False, default_factory=dict
    )
    """What ``guard.rewrite`` has added to everyday answers, and whether they are pages;
    cleared when the headers change."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(map(step_of, self.stages)))


class Terms(NamedTuple):
    """What holds for one route, once declarations and rules are put together.

    Args:
        policy: who may come in.
        marks: what else holds, the outermost first.
    """

    policy: Policy
    marks: tuple[Mark, ...]


def resolve_terms(
    application: Application, rules: Sequence[Rule], *, development: bool
) -> dict[int, Terms]:
    """Return what holds for each leaf, by ``id(leaf)``.

    What routes declare and what rules say adds up: each policy must allow, and the
    marks of rules stand before those of the route. Documentation pages that a
    framework makes by itself are public in development and closed in production,
    unless a rule says otherwise (ASVS 5.0 V13.4.5).

    Raises:
        PlanError: a route has no policy, or a rule names no route.
    """
    resolved: dict[int, Terms] = {}
    undeclared: list[Leaf] = []
    unused = list(rules)
    for leaf in application.leaves():
        declared = Declared(leaf.policy, leaf.marks)
        covering = [rule for rule in rules if _covers(rule, leaf)]
        for rule in reversed(covering):
            declared = Declared(rule.policy, rule.marks).around(declared)
            if rule in unused:
                unused.remove(rule)
        if leaf.is_docs and not covering:
            # What a mount or a whole application asks was not said of this page.
            by_default = declared.policy if development else Closed()
            declared = Declared(
                Public() if by_default is None else by_default, declared.marks
            )
        if declared.policy is None:
            undeclared.append(leaf)
        else:
            resolved[id(leaf)] = Terms(declared.policy, declared.marks)
    faults = []
    if undeclared:
        faults.append(_undeclared_message(undeclared))
    if unused:
        faults.append(_unused_message(unused, application))
    if faults:
        raise PlanError("\n".join(faults))
    return resolved


def _covers(rule: Rule, leaf: Leaf) -> bool:
    if rule.path != leaf.path:
        return False
    if rule.method == "*":
        return True
    if leaf.kind == "websocket":
        return rule.method == "WEBSOCKET"
    return leaf.methods is not None and leaf.methods <= {rule.method, "HEAD", "OPTIONS"}


def _undeclared_message(undeclared: Sequence[Leaf]) -> str:
    lines = [
        f"  {_methods_text(leaf)} {leaf.host}{leaf.path}  {leaf.place}"
        for leaf in undeclared
    ]
    cures = []
    mounts = [leaf for leaf in undeclared if leaf.kind == "mount"]
    if len(mounts) < len(undeclared):
        cures.append(
            "Give each a policy: @access.require(access.signed_in) next to its def "
            "(below the framework's decorator), access.depends(...) on its router "
            "(FastAPI), access.guard(...) among its guards (Litestar), or "
            "access.routes([...], ...) around the route (Starlette)."
        )
    if mounts:
        path = mounts[0].path
        cures.append(
            "A mount gets its policy by a rule: "
            f'Guard(app, rules=[Rule("*", "{path}", access.public)])'
        )
    count = len(undeclared)
    what = "1 route has" if count == 1 else f"{count} routes have"
    return "\n".join((f"{what} no policy, so nothing is served:", *lines, *cures))


def _unused_message(unused: Sequence[Rule], application: Application) -> str:
    known = sorted({leaf.path for leaf in application.leaves()})
    lines = []
    for rule in unused:
        near = get_close_matches(rule.path, known, n=1)
        if rule.path in known:
            guess = 'the route answers other methods as well; write "*" for all of them'
        else:
            guess = f"did you mean {near[0]}?" if near else "no route is like it"
        lines.append(f"  {rule.method} {rule.path}: {guess}")
    return "\n".join(("these rules name no route of the application:", *lines))


def _methods_text(leaf: Leaf) -> str:
    if leaf.kind != "http":
        return leaf.kind.upper()
    return ",".join(sorted(leaf.methods)) if leaf.methods else "ANY"
