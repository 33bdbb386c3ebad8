"""Binding plans to the very objects that the framework's router calls.

To compare routes after the answer is too late: handlers, WebSocket handlers and
FastAPI's dependencies act before. So the chosen endpoint checks on entry that the plan
that allowed the request is its own, before body, dependencies and handshake.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

from ringfence.access.permit import Permit, values_in
from ringfence.browser.fetch_metadata import SAFE_METHODS
from ringfence.exchange import ASGIApp, Exchange, Receive, Scope, Send
from ringfence.frameworks.table import Application, Leaf, Wrap
from ringfence.guard.plan import RoutePlan

SCOPE_KEY = "ringfence"
"""Where the exchange stands in the scope; it survives a middleware's copy of it."""


class PlanMismatch(Exception):  # noqa: N818 - no error of the program: a refused request
    """An endpoint was reached for which this request was not allowed.

    The application's own handlers may turn it into some answer; ``Exchange.mismatch``
    tells the guard to send a refusal instead.
    """


class Rehearsed(BaseException):
    """A rehearsal has arrived. No ``Exception``, so that nobody's handler keeps it."""


class Entry:
    """Stands before one endpoint and lets in what its own plan has allowed.

    Args:
        plan: the plan of this endpoint.
        inner: the application that the framework would have called.
    """

    __slots__ = ("inner", "plan")

    def __init__(self, plan: RoutePlan, inner: ASGIApp) -> None:
        self.plan = plan
        self.inner = inner

    # No coroutine of its own: it would wait for nothing but the one that it hands on.
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Enter, or refuse.

        Raises:
            PlanMismatch: the request came by another way than through the guard, or
                under another plan.
            Rehearsed: this was a rehearsal; nothing behind runs.
        """
        exchange: Exchange | None = scope.get(SCOPE_KEY)
        if exchange is not None and exchange.plan is self.plan:
            exchange.entered = True
            return self.inner(scope, receive, send)
        raise self._refusal(exchange)

    def _refusal(self, exchange: Exchange | None) -> BaseException:
        plan = self.plan
        if exchange is None:
            message = (
                f"{plan.path} was reached without the guard; serve Guard(app) "
                "instead of app"
            )
            return PlanMismatch(message)
        if exchange.probe is not None:
            exchange.probe = plan
            return Rehearsed()
        exchange.mismatch = plan
        return PlanMismatch(_told(exchange, plan))


class MixedEntry(Entry):
    """Stands before an endpoint that both reads and changes things.

    A middleware that makes a POST of a GET, as some parameter asks it to (method
    override), would lead there what no CSRF check has judged: every site may send a
    GET (CWE-352).
    """

    __slots__ = ()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Enter, or refuse.

        Raises:
            PlanMismatch: as above, or what was judged as a read has become a write.
            Rehearsed: as above.
        """
        exchange: Exchange | None = scope.get(SCOPE_KEY)
        if (
            exchange is not None
            and exchange.probe is None
            and exchange.method in SAFE_METHODS
            and scope["method"] not in SAFE_METHODS
        ):
            exchange.mismatch = self.plan
            message = (
                f"the request was allowed as {exchange.method} but the application "
                f"made {scope['method']} of it; a middleware that overrides methods "
                "belongs outside Guard(app)"
            )
            raise PlanMismatch(message)
        return super().__call__(scope, receive, send)


class NamedEntry(MixedEntry):
    """Stands before an endpoint whose policy looks at the path, and asks it again about
    what the framework has read there.

    A middleware that changes the path, or a parser that reads it otherwise, would lead
    to another's id what was allowed for one's own (CWE-639, CWE-436).
    """

    __slots__ = ()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Enter, or refuse.

        Raises:
            PlanMismatch: as above, or what stands in the path is another's.
            Rehearsed: as above.
        """
        exchange: Exchange | None = scope.get(SCOPE_KEY)
        if exchange is not None and exchange.plan is self.plan:
            permit = cast("Permit", exchange.permitted)  # else nobody gets this far
            values = values_in(scope) or {}
            denial = permit.refuses(self.plan.policy, exchange.principal, values)
            if denial is not None:
                exchange.denial = exchange.denial or denial
                raise PlanMismatch(
                    f"the framework has read {sorted(values)} in the path, for which "
                    f"{self.plan.policy} does not allow the request"
                )
        return super().__call__(scope, receive, send)


def _told(exchange: Exchange, reached: RoutePlan) -> str:
    planned = exchange.plan
    expected = planned.path if isinstance(planned, RoutePlan) else "no endpoint"
    return (
        f"the request was allowed for {expected} but the application led it to "
        f"{reached.path}; a middleware that rewrites paths belongs outside Guard(app)"
    )


def entry_for(plan: RoutePlan) -> Wrap:
    """Return what puts the plan's entry before an application, in place of an entry
    that an earlier guard has left there."""
    reads = not plan.methods or not SAFE_METHODS.isdisjoint(plan.methods)
    writes = not plan.methods or not SAFE_METHODS.issuperset(plan.methods)
    entry = MixedEntry if reads and writes else Entry
    if plan.policy.parameters():
        entry = NamedEntry

    def wrap(app: ASGIApp) -> ASGIApp:
        return entry(plan, app.inner if isinstance(app, Entry) else app)

    return wrap


def bind(application: Application, plan_of: Callable[[Leaf], RoutePlan]) -> None:
    """Bind every route of the application to its plan, and lead its router."""
    for leaf in application.leaves():
        leaf.bind(entry_for(plan_of(leaf)))
    if application.lead is not None:
        application.lead(way_of)


def way_of(scope: Scope) -> ASGIApp | None:
    """Return where a request goes, so that the framework need not search for the route
    that the guard has found; ``None`` to have it searched for.

    Rehearsals, which have no plan, are searched for: they show that the framework
    agrees. So is whatever a middleware has changed on its way; its entry refuses it.
    """
    exchange: Exchange | None = scope.get(SCOPE_KEY)
    if (
        exchange is None
        or exchange.plan is None
        or scope["path"] is not exchange.path
        or scope["type"] != "http"
        or scope["method"] != exchange.method
        or scope.get("root_path")
    ):
        return None
    plan: RoutePlan = exchange.plan
    app = None if plan.enter is None else plan.enter(scope)
    if type(app) is Entry and app.plan is plan:  # what it would have looked at itself
        exchange.entered = True
        return app.inner
    return app


def seal(application: Application) -> None:
    """Make the framework's route lists refuse changes from here on. Idempotent.

    Raises:
        PlanError: a list was replaced since it was read.
    """
    for routes in application.lists:
        routes.seal()
