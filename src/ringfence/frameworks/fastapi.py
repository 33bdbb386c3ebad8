"""Reading FastAPI's route table.

``app.routes`` misses included routers in silence, and ``fastapi.routing.
iter_route_contexts`` misses ``app.frontend``. To bind a plan, the context behind a
``RouteContext`` is needed as well, which is private. Everything private is used in this
file only, and ``_self_test`` shows at start-up that it still works as understood.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import fastapi
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import (
    APIRoute,
    APIRouter,
    APIWebSocketRoute,
    RouteContext,
    iter_route_contexts,
)
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route, Router

from ringfence.access.marks import PolicyDependency
from ringfence.errors import PlanError
from ringfence.exchange import ASGIApp, Receive, Scope, Send
from ringfence.frameworks.declared import NOTHING, Declared, declared_on
from ringfence.frameworks.fastapi_input import takes_of
from ringfence.frameworks.place import place_of
from ringfence.frameworks.reference import reference_page
from ringfence.frameworks.sealed import RouteList
from ringfence.frameworks.segments import Reach, Tail
from ringfence.frameworks.starlette import (
    MATCHING,
    Above,
    StarletteReader,
    describe,
    lost_middleware,
    refuse_overrides,
    router_of,
    unbound,
    unknown_route,
)
from ringfence.frameworks.table import Application, Branch, Enter, Leaf, Table, Wrap

_DOCS_MODULE = "fastapi.applications"


def read(app: Starlette | Router, framework: str = "fastapi") -> Application:
    """Read a FastAPI application, or a Starlette one that may hold FastAPI ones.

    Args:
        app: the application or router at the top.
        framework: the name that the result carries.

    Raises:
        PlanError: a route of a kind that is not understood, one application mounted at
            two places, a route whose middleware ``include_router`` drops, or a version
            of FastAPI that works differently.
    """
    _self_test()
    return FastAPIReader(framework).application(app)


class FastAPIReader(StarletteReader):
    """Reads FastAPI's own objects, and Starlette's among them."""

    input_errors = (RequestValidationError,)

    def table(self, app: Starlette | Router, above: Above) -> Table:
        """Read a router; a FastAPI application has a root path of its own."""
        table = super().table(app, above)
        if not isinstance(app, FastAPI) or not app.root_path:
            return table
        return replace(table, root_path=app.root_path)

    def lead(self, router: Router) -> Callable[[Enter], None] | None:
        """Lead Starlette's routers only: FastAPI's do more than to search."""
        return None if isinstance(router, APIRouter) else super().lead(router)

    def enter(self, route: Any, above: Above) -> Enter | None:
        """Return how the router enters a route, if both are Starlette's."""
        if not isinstance(route, Route) or isinstance(route, APIRoute):
            return None
        return super().enter(route, above)

    def understand(self, router: Router, above: Above) -> None:
        """Refuse routers that route in ways of their own, included ones too."""
        if not isinstance(router, APIRouter):
            super().understand(router, above)
            return
        for one in _with_included(router):
            names = ("__call__", "app", "matches", "handle")
            refuse_overrides(one, APIRouter, names, above)
            if one is not router:
                _refuse_what_include_drops(one, above)

    def lists_of(self, router: Router) -> Iterator[RouteList]:
        """Yield the lists of the router and of those that it includes."""
        if not isinstance(router, APIRouter):
            yield from super().lists_of(router)
            return
        for one in _with_included(router):
            yield RouteList(one, "routes")
            yield RouteList(one, "_low_priority_routes")
            if one._frontend_routes is not None:  # noqa: SLF001 - see _self_test
                yield RouteList(one._frontend_routes, "routes")  # noqa: SLF001 - see _self_test

    def entries(self, app: Starlette | Router, above: Above) -> Iterator[Leaf | Branch]:
        """Yield what the router tries, included routers laid out flat."""
        router = router_of(app)
        if not isinstance(router, APIRouter):
            yield from super().entries(app, above)
            return
        for context in iter_route_contexts(router.routes):
            yield self._context(context, app, above)

    def fallbacks(self, router: Router, above: Above) -> Iterator[Leaf]:
        """Yield the frontends, most specific first, then the router's default."""
        if isinstance(router, APIRouter):
            frontends = [
                leaf
                for found in router._iter_low_priority_routes()  # noqa: SLF001 - see _self_test
                for leaf in self._frontends(found, above)
            ]
            # of equal ones the first wins: sorting is stable
            yield from sorted(frontends, key=_specificity, reverse=True)
        yield from super().fallbacks(router, above)

    def _context(
        self, context: RouteContext, app: Starlette | Router, above: Above
    ) -> Leaf | Branch:
        original = context.original_route
        effective = context._route_context  # noqa: SLF001 - see _self_test
        if isinstance(original, APIRoute):
            refuse_overrides(original, APIRoute, MATCHING, above)
            owner = original if effective is None else effective
            leaf = self.route(owner, owner, _declared(original, owner), above)
            return replace(leaf, takes=takes_of(owner))
        chosen: Any = original
        if effective is not None and effective.starlette_route is not None:
            chosen = effective.starlette_route
        if isinstance(chosen, APIWebSocketRoute):
            refuse_overrides(original, APIWebSocketRoute, MATCHING, above)
            return self.route(chosen, chosen, _declared(original, chosen), above)
        entry = self.entry(chosen, declared_on(original), above)
        if isinstance(app, FastAPI) and isinstance(entry, Leaf):
            return _documentation(app, chosen, entry)
        return entry

    def _frontends(self, found: Any, above: Above) -> Iterator[Leaf]:
        """Yield one leaf for each ``frontend(...)`` of a router.

        They share one object that runs the router's dependencies, so that is what gets
        bound; it asks the framework's own matcher which plan is concerned.
        """
        group, prefix, dependant, owner, name = _frontend_group(found, above)
        entries: dict[int, ASGIApp] = {}
        inner = unbound(getattr(owner, name))

        async def enter(scope: Scope, receive: Receive, send: Send) -> None:
            _, _, route = group._match(scope, prefix=prefix)  # noqa: SLF001 - see _self_test
            await entries[id(route)](scope, receive, send)

        enter.inner = inner  # type: ignore[attr-defined]  # found again by ``unbound``

        def bind(route: Any) -> Callable[[Wrap], None]:
            def bind_route(wrap: Wrap) -> None:
                entries[id(route)] = wrap(inner)  # type: ignore[arg-type]  # an ASGI callable
                setattr(owner, name, enter)

            return bind_route

        declared = above.declared.around(_declared_by(dependant))
        for route in group.routes:
            path = _joined(prefix, route.path)
            yield Leaf(
                kind="http",
                path=above.prefix + path,
                pattern=_below(path),
                template=path,
                methods=None,  # it answers 405 by itself, behind its dependencies
                place=place_of(unbound(route.app)),
                policy=declared.policy,
                bind=bind(route),
                reach=Reach(
                    tuple(path.split("/")[1:]) if path != "/" else (), Tail.ALL
                ),
                sample=path.rstrip("/") + "/ringfence-sample",
                host=above.host,
                marks=declared.marks,
            )


def _with_included(router: APIRouter) -> Iterator[APIRouter]:
    """Yield a router and every router below it, each once."""
    seen = {id(router)}
    waiting = [router]
    while waiting:
        one = waiting.pop()
        yield one
        for route in one.routes:
            below = getattr(route, "original_router", None)
            if isinstance(below, APIRouter) and id(below) not in seen:
                seen.add(id(below))
                waiting.append(below)


def _refuse_what_include_drops(router: APIRouter, above: Above) -> None:
    """``include_router`` builds Starlette's routes anew, without their middleware, and
    leaves out what it does not know; both in silence. Where that middleware was the
    authentication, it would be gone.

    Raises:
        PlanError: with what to do instead.
    """
    for route in router.routes:
        if isinstance(route, (APIRoute, APIWebSocketRoute)):
            continue
        if lost_middleware(route):
            message = (
                f"{describe(route, above)} has middleware or a body limit, which "
                "FastAPI's include_router drops in silence; put the route on the "
                "application itself, or the middleware on a Mount around it"
            )
            raise PlanError(message)


def _declared(original: BaseRoute, route: Any) -> Declared:
    """Return what stands on the endpoint, on the route object, and on all dependencies
    in force: the application's, the routers', the includes', the route's own."""
    own = declared_on(original).around(declared_on(route.endpoint))
    return _declared_by(route.dependant).around(own)


def _declared_by(dependant: Any) -> Declared:
    found = NOTHING
    met: set[int] = set()
    waiting = [dependant] if dependant is not None else []
    while waiting:
        one = waiting.pop()
        if isinstance(one.call, PolicyDependency) and id(one.call) not in met:
            met.add(id(one.call))
            found = found.around(Declared(one.call.policy, one.call.marks))
        waiting.extend(reversed(one.dependencies))
    return found


def _documentation(app: FastAPI, route: BaseRoute, leaf: Leaf) -> Leaf:
    """Mark the pages that FastAPI makes itself, and put ours in place of those that
    need inline scripts and a foreign host."""
    if type(route) is not Route or route.endpoint.__module__ != _DOCS_MODULE:
        return leaf
    own_pages = {app.docs_url, app.redoc_url}
    bind = leaf.bind
    if route.path in own_pages:

        def bind(wrap: Wrap) -> None:
            page = reference_page(_schema_of(app), str(app.openapi_url))
            route.app = wrap(page)

    return replace(leaf, is_docs=True, bind=bind)


def _schema_of(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """Look at each call what ``app.openapi`` is: developers replace it."""

    def schema() -> dict[str, Any]:
        return app.openapi()

    return schema


def _frontend_group(found: Any, above: Above) -> tuple[Any, str, Any, object, str]:
    """Return group, prefix, dependencies, and whose attribute the framework calls."""
    group = getattr(found, "original_route", found)
    if type(group) is not _FRONTEND_GROUP:
        raise unknown_route(group, above)
    if group is found:
        return group, "", group.dependant, group, "handle"
    return group, found.frontend_prefix, found.dependant, found, "app"


def _joined(prefix: str, path: str) -> str:
    if not prefix:
        return path
    return prefix if path == "/" else prefix + path


def _below(path: str) -> re.Pattern[str]:
    if path == "/":
        return re.compile(r"(?s:.*)\Z")
    return re.compile(re.escape(path) + r"(?s:/.*)?\Z")


def _specificity(leaf: Leaf) -> int:
    return 0 if leaf.template == "/" else len(leaf.template)


class _Reached(BaseException):
    """Raised by the self-test's entries, so that nothing behind them runs."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


_FRONTEND_GROUP = getattr(fastapi.routing, "_FrontendRouteGroup", None)

_TRIED = ("/a/r/x", "/b/r/x", "/a/r/s", "/a/r/ui/y", "/direct", "/site/y")


def _self_test() -> None:
    """Show that FastAPI still calls what this file binds, on an app made for it.

    Raises:
        PlanError: it does not, so no route of this version could be guarded.
    """
    try:
        reached = _try_out()
    except (
        AttributeError,
        TypeError,
        ValueError,
        LookupError,
        AssertionError,
    ) as error:
        raise _not_understood(repr(error)) from error
    if reached != list(range(len(_TRIED))):
        raise _not_understood(f"bound {_TRIED}, reached {reached}")


def _not_understood(detail: str) -> PlanError:
    return PlanError(
        f"FastAPI {fastapi.__version__} routes in a way that this version of ringfence "
        f"does not understand ({detail}); install the newest ringfence, or a FastAPI "
        "that it was tested with (0.165)"
    )


def _try_out() -> list[int]:
    """Bind each of the paths of ``_TRIED`` to its number, send a request down each, and
    return the numbers that were reached."""

    def endpoint() -> None:
        raise _Reached(-1)

    def taking(body: dict[str, int]) -> None:
        raise _Reached(-1 - len(body))

    inner = APIRouter(prefix="/r")
    inner.add_api_route("/x", endpoint)
    inner.routes.append(Route("/r/s", endpoint))
    inner.frontend("/ui", directory=".", check_dir=False)
    outer = APIRouter()
    outer.include_router(inner, prefix="/a")
    outer.include_router(inner, prefix="/b")
    app = APIRouter()
    app.include_router(outer)
    app.add_api_route("/direct", taking)
    app.frontend("/site", directory=".", check_dir=False)

    reader = FastAPIReader("fastapi")
    table = reader.table(app, Above())
    for entry in (*table.entries, *table.fallbacks):
        if isinstance(entry, Leaf):
            entry.bind(_numbered(_number_of(entry)))
    for routes in reader.lists:
        routes.seal()
    return [_reached(app, path) for path in _TRIED]


def _number_of(leaf: Leaf) -> int:
    return next(
        (n for n, path in enumerate(_TRIED) if leaf.pattern.match(path)), len(_TRIED)
    )


def _numbered(number: int) -> Wrap:
    async def entry(*_: object) -> None:
        raise _Reached(number)

    return lambda app: entry


def _reached(router: APIRouter, path: str) -> int:
    """Drive one request by hand: entries raise before anything could wait."""
    scope = {"type": "http", "method": "GET", "path": path, "headers": []}
    walk = router.app(scope, _nothing, _nothing)  # type: ignore[arg-type]  # never called
    try:
        walk.send(None)
    except _Reached as reached:
        return reached.number
    finally:
        walk.close()
    return -1


async def _nothing(*_: object) -> None:
    """Stand where ``receive`` and ``send`` are not used."""
