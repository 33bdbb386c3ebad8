"""From a framework's route table to plans and the index that finds them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ringfence.access.policy import Closed, Public
from ringfence.browser.cors import notes_on_middleware
from ringfence.browser.headers import RouteHeaders
from ringfence.browser.overrides import HeaderMaker
from ringfence.errors import PlanError
from ringfence.exchange import ASGIApp, Receive, Scope, Send
from ringfence.frameworks.open import open_adapter
from ringfence.frameworks.rule import Rule
from ringfence.frameworks.table import Application, Leaf, Place
from ringfence.guard.bind import bind, seal
from ringfence.guard.index import Index, compile_index
from ringfence.guard.parameters import reads_path
from ringfence.guard.plan import (
    RoutePlan,
    resolve_terms,
)
from ringfence.guard.precedence import check_precedence
from ringfence.guard.rehearse import rehearse
from ringfence.guard.stages import StageMaker
from ringfence.interpreters.validation.intake import UNVALIDATED, intake_of
from ringfence.traffic.budgets import described

logger = logging.getLogger("ringfence")


@dataclass(frozen=True, slots=True)
class Guarded:
    """One application, read and planned.

    Args:
        application: as its adapter read it.
        plans: one a leaf, in the framework's order.
        plan_of: the plan of a leaf.
        index: finds the plan of a request.
        later: the headers of each plan once a dry run of the policies is over.
    """

    application: Application
    plans: tuple[RoutePlan, ...]
    plan_of: Callable[[Leaf], RoutePlan]
    index: Index
    later: tuple[tuple[RoutePlan, RouteHeaders], ...] = ()

    def enforce_policies(self) -> None:
        """End the dry run of the Content-Security-Policies."""
        for plan, headers in self.later:
            for name in ("document", "data", "nonced"):
                object.__setattr__(plan, f"{name}_headers", getattr(headers, name))
            plan.endings.clear()

    async def close(self) -> None:
        """Bind each plan to the endpoint that the framework calls, seal the tables,
        and rehearse every route.

        Raises:
            PlanError: a rehearsal reached another endpoint than its plan's.
        """
        bind(self.application, self.plan_of)
        seal(self.application)
        notes = await rehearse(self.application, self.index, self.plan_of)
        notes = (*notes, *notes_on_middleware(self.application.middleware))
        for note in (*self.application.notes, *notes):
            logger.warning("%s", note)


def compile_guarded(
    asgi: ASGIApp,
    rules: Sequence[Rule],
    *,
    maker: StageMaker,
    headers: HeaderMaker,
    is_own: bool = False,
) -> Guarded:
    """Read an application's routes and decide everything about each of them.

    Args:
        asgi: the application, of a known framework.
        rules: policies for what cannot carry a mark.
        maker: makes the stages of a route.
        headers: makes the response headers of a route.
        is_own: the application is a part of the guard.

    Raises:
        PlanError: a route has no policy, is of an unknown kind, or is shadowed.
    """
    settings = maker.settings
    application = open_adapter(asgi, rules)
    terms = resolve_terms(application, rules, development=settings.development)
    check_precedence(application, lambda leaf: terms[id(leaf)].policy, maker.hierarchy)
    found = tuple(application.leaves())

    def made_by(maker: HeaderMaker, leaf: Leaf) -> RouteHeaders:
        return maker.of(
            terms[id(leaf)].marks,
            is_public=isinstance(terms[id(leaf)].policy, Public),
            where=f"{leaf.host}{leaf.path} {leaf.place}",
        )

    intakes = {
        id(leaf): intake_of(
            terms[id(leaf)].marks,
            leaf.takes,
            methods=leaf.methods,
            kind=leaf.kind,
            template=leaf.path,
        )
        for leaf in found
    }
    headers_of = {id(leaf): made_by(headers, leaf) for leaf in found}
    by_leaf = {
        id(leaf): RoutePlan(
            kind=leaf.kind,
            methods=tuple(sorted(leaf.methods or ())),
            path=leaf.path,
            host=leaf.host,
            policy=terms[id(leaf)].policy,
            csrf="handshake" if leaf.kind == "websocket" else "unsafe",
            limits=described(terms[id(leaf)].marks),
            place=leaf.place,
            application=asgi,
            stages=maker.stages(
                leaf.kind,
                leaf.methods,
                *terms[id(leaf)],
                route=_name(leaf),
                intake=intakes[id(leaf)],
                read_path=reads_path(
                    terms[id(leaf)].policy, leaf, application.table.root_path
                ),
            ),
            body_limit=settings.traffic.max_body,
            document_headers=headers_of[id(leaf)].document,
            data_headers=headers_of[id(leaf)].data,
            nonced_headers=headers_of[id(leaf)].nonced,
            caching=headers_of[id(leaf)].caching,
            overrides=headers_of[id(leaf)].overrides,
            input_errors=application.input_errors,
            is_own=is_own,
            marks=terms[id(leaf)].marks,
            input=_input(intakes[id(leaf)].text, is_own=is_own),
            enter=leaf.enter,
            sharing=maker.sharing(leaf.methods, *terms[id(leaf)]),
        )
        for leaf in found
    }

    def plan_of(leaf: Leaf) -> RoutePlan:
        return by_leaf[id(leaf)]

    return Guarded(
        application=application,
        plans=tuple(plan_of(leaf) for leaf in found),
        plan_of=plan_of,
        index=compile_index(
            application,
            plan_of,
            _answer_plan(asgi, headers.usual, maker)
            if application.answers_itself
            else nowhere_plan(maker),
        ),
        later=tuple(
            (plan_of(leaf), made_by(headers.later, leaf))
            for leaf in found
            if headers.later is not None
        ),
    )


def _input(text: str, *, is_own: bool) -> str:
    """The guard's own pages read their forms by themselves."""
    return "own" if is_own and text == UNVALIDATED else text


def _name(leaf: Leaf) -> str:
    """Return what tells a route from all others, whatever order they stand in."""
    methods = ",".join(sorted(leaf.methods or ()))
    return f"{leaf.kind} {methods} {leaf.host} {leaf.path}"


def refuse_overlap(guarded: Guarded, own: Guarded, prefix: str) -> None:
    """Stop when the application has routes where the guard's own would hide them.

    Raises:
        PlanError: a route of the application begins with the guard's prefix.
    """
    paths = {plan.path for plan in own.plans}
    for plan in guarded.plans:
        if plan.path in paths or plan.path.startswith(f"{prefix}/"):
            message = (
                f"{plan.path} {plan.place} lies under {prefix}, where the guard serves "
                "sign-in; move it, or set RINGFENCE_IDENTITY_ENABLED=false if the "
                "application brings its own sign-in"
            )
            raise PlanError(message)


def _answer_plan(asgi: ASGIApp, headers: RouteHeaders, maker: StageMaker) -> RoutePlan:
    """The plan for what a framework answers by itself (405, slash redirects): let it
    through to the framework and the middleware before it, but into no endpoint."""
    return RoutePlan(
        kind="answer",
        methods=(),
        path="",
        host="",
        policy=Public(),
        csrf="off",
        limits=(),
        place=Place(),
        application=asgi,
        stages=maker.unrouted(),
        body_limit=maker.settings.traffic.max_body,
        document_headers=headers.document,
        data_headers=headers.data,
        nonced_headers=headers.nonced,
    )


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """Stand where no application is."""


def nowhere_plan(maker: StageMaker) -> RoutePlan:
    """Return the plan of every request that has none.

    Args:
        maker: makes its stages.
    """
    return RoutePlan(
        kind="nowhere",
        methods=(),
        path="",
        host="",
        policy=Closed(),
        csrf="off",
        limits=(),
        place=Place(),
        application=_nothing,
        stages=maker.nowhere(),
        body_limit=0,
        document_headers=(),
        data_headers=(),
    )
