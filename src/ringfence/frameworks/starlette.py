"""Reading Starlette's route table.

Only Starlette's own route classes are understood, and subclasses that keep its way of
matching. Anything else stops the start-up: a route that is not understood is a door
without a lock.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeGuard

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import (
    BaseRoute,
    Host,
    Match,
    Mount,
    Route,
    Router,
    WebSocketRoute,
    request_response,
    websocket_session,
)

from ringfence.errors import PlanError
from ringfence.exchange import ASGIApp, Receive, Scope, Send
from ringfence.frameworks.declared import NOTHING, Declared, declared_on
from ringfence.frameworks.late_json import read_strictly
from ringfence.frameworks.place import place_of
from ringfence.frameworks.sealed import RouteList
from ringfence.frameworks.segments import Reach, Tail
from ringfence.frameworks.table import (
    Application,
    Branch,
    Enter,
    Leaf,
    Table,
    Wrap,
)
from ringfence.frameworks.template import read_template
from ringfence.marks import own_marks

_ANYTHING = re.compile(r"(?s:.*)\Z")


def read(app: Starlette | Router) -> Application:
    """Read a Starlette application or router.

    Raises:
        PlanError: a route of a kind that is not understood, or one application mounted
            at two places.
    """
    return StarletteReader("starlette").application(app)


@dataclass(frozen=True, slots=True)
class Above:
    """What stands above a router: prefixes and host of its mounts, and what was
    declared on them."""

    prefix: str = ""
    host: str = ""
    declared: Declared = NOTHING

    def below(self, prefix: str, declared: Declared) -> Above:
        """Return what stands above a router mounted here."""
        return replace(
            self,
            prefix=self.prefix + prefix,
            declared=self.declared.around(declared),
        )


class StarletteReader:
    """Reads one application, once.

    Args:
        framework: the name that the result carries.
    """

    input_errors: tuple[type[Exception], ...] = ()

    def __init__(self, framework: str) -> None:
        self.framework = framework
        self.lists: list[RouteList] = []
        self.notes: list[str] = []
        self._places: dict[int, str] = {}

    def application(self, app: Starlette | Router) -> Application:
        """Read the application at the top."""
        read_strictly(Request)
        table = self.table(app, Above())
        middleware = getattr(app, "user_middleware", ())
        return Application(
            framework=self.framework,
            table=table,
            router=router_of(app).app,
            lists=tuple(self.lists),
            debug=bool(getattr(app, "debug", False)),
            middleware=tuple(_name_of(one.cls) for one in middleware),
            notes=tuple(self.notes),
            input_errors=self.input_errors,
            lead=self.lead(router_of(app)),
        )

    def lead(self, router: Router) -> Callable[[Enter], None] | None:
        """Return what makes the router ask first, if that can be done."""
        return partial(lead, router)

    def table(self, app: Starlette | Router, above: Above) -> Table:
        """Read a router and everything below it."""
        router = router_of(app)
        self._only_once(router, above)
        self.understand(router, above)
        self.lists.extend(self.lists_of(router))
        return Table(
            entries=tuple(self.entries(app, above)),
            redirect_slashes=router.redirect_slashes,
            fallbacks=tuple(self.fallbacks(router, above)),
        )

    def understand(self, router: Router, above: Above) -> None:
        """Refuse a router that does not route as Starlette's does."""
        refuse_overrides(router, Router, ("__call__", "app"), above)

    def lists_of(self, router: Router) -> Iterator[RouteList]:
        """Yield the lists that the router searches."""
        yield RouteList(router, "routes")

    def entries(self, app: Starlette | Router, above: Above) -> Iterator[Leaf | Branch]:
        """Yield what the router tries, in its order."""
        for route in router_of(app).routes:
            yield self.entry(route, declared_on(route), above)

    def fallbacks(self, router: Router, above: Above) -> Iterator[Leaf]:
        """Yield what is tried when nothing else matches."""
        # bound methods are made anew on each access: compared, not identified
        if router.default != router.not_found:
            yield self._leaf_for_anything(router, "default", above, NOTHING)

    def entry(
        self, route: BaseRoute, declared: Declared, above: Above
    ) -> Leaf | Branch:
        """Read one route of Starlette's own kinds.

        Args:
            route: one that the router tries.
            declared: what stands on the route itself.
            above: what stands above.

        Raises:
            PlanError: the kind is not understood.
        """
        if isinstance(route, Route):
            refuse_overrides(route, Route, MATCHING, above)
            declared = declared.around(declared_on(route.endpoint))
            return self.route(route, route, declared, above)
        if isinstance(route, WebSocketRoute):
            refuse_overrides(route, WebSocketRoute, MATCHING, above)
            declared = declared.around(declared_on(route.endpoint))
            return self.route(route, route, declared, above)
        if isinstance(route, Mount):
            refuse_overrides(route, Mount, MATCHING, above)
            return self._mount(route, declared, above)
        if isinstance(route, Host):
            refuse_overrides(route, Host, MATCHING, above)
            return self._host(route, declared, above)
        raise unknown_route(route, above)

    def route(
        self,
        route: Any,
        owner: object,
        declared: Declared,
        above: Above,
    ) -> Leaf:
        """Read a route that calls one endpoint.

        Args:
            route: what has ``path``, ``path_regex``, ``param_convertors``, ``endpoint``
                and, for HTTP, ``methods``.
            owner: whose attribute ``app`` the framework calls.
            declared: what stands on the route and its endpoint.
            above: what stands above.
        """
        refuse_marked_methods(route.endpoint)
        kind = "websocket" if isinstance(route, WebSocketRoute) else "http"
        return self._leaf(kind, route, owner, declared, above)

    def _leaf(
        self,
        kind: str,
        route: Any,
        owner: object,
        declared: Declared,
        above: Above,
    ) -> Leaf:
        mount = kind == "mount"
        methods = getattr(route, "methods", None) if kind == "http" else None
        template = route.path + "/{path:path}" if mount else route.path
        read = read_template(template, route.path_regex, route.param_convertors)
        declared = above.declared.around(declared)
        return Leaf(
            kind=kind,
            path=above.prefix + route.path or "/",
            pattern=route.path_regex,
            template=template,
            methods=frozenset(methods) if methods else None,
            place=place_of(route._base_app if mount else route.endpoint),  # noqa: SLF001 - as in ``_mount``
            policy=declared.policy,
            bind=bind_attribute(owner, "app"),
            reach=read.reach,
            integers=read.integers,
            sample=read.sample or "",
            host=above.host,
            enter=self.enter(route, above) if kind == "http" else None,
            marks=declared.marks,
        )

    def enter(self, route: Any, above: Above) -> Enter | None:
        """Return how the router enters this route, if it is one of its own."""
        return None if above.prefix or above.host else entrance(route)

    def _mount(self, mount: Mount, declared: Declared, above: Above) -> Leaf | Branch:
        base = mount._base_app  # noqa: SLF001 - middleware may hide it in .app; checked at start-up
        if not is_router(base):
            declared = declared.around(declared_on(base))
            return self._leaf("mount", mount, mount, declared, above)
        template = mount.path + "/{path:path}"
        read = read_template(template, mount.path_regex, mount.param_convertors)
        sample = None if read.sample is None else read.sample.removesuffix("/sample")
        return Branch(
            pattern=mount.path_regex,
            template=template,
            table=self.table(base, above.below(mount.path, declared)),
            reach=read.reach,
            integers=read.integers,
            sample=sample,
            transparent=mount.app is base and not has_middleware(base),
        )

    def _host(self, host: Host, declared: Declared, above: Above) -> Branch:
        read = read_template(host.host, host.host_regex, host.param_convertors)
        named = replace(above.below("", declared), host=host.host)
        if is_router(host.app):
            table = self.table(host.app, named)
        else:
            leaf = self._leaf_for_anything(host, "app", named, declared_on(host.app))
            table = Table(entries=(leaf,))
        return Branch(
            pattern=host.host_regex,
            template=host.host,
            table=table,
            integers=read.integers,
            by_host=True,
            sample=read.sample,
            transparent=not has_middleware(host.app),
        )

    def _leaf_for_anything(
        self, owner: object, name: str, above: Above, declared: Declared
    ) -> Leaf:
        declared = above.declared.around(declared)
        return Leaf(
            kind="mount",
            path=above.prefix or "/",
            pattern=_ANYTHING,
            template="/{path:path}",
            methods=None,
            place=place_of(unbound(getattr(owner, name))),
            policy=declared.policy,
            bind=bind_attribute(owner, name),
            reach=Reach((), Tail.ALL),
            sample="/ringfence-sample",
            host=above.host,
            marks=declared.marks,
        )

    def _only_once(self, router: Router, above: Above) -> None:
        """A plan is bound to the object that the router calls: an object that is
        reached by two ways cannot hold the plans of both."""
        here = f"{above.host}{above.prefix or '/'}"
        earlier = self._places.setdefault(id(router), here)
        if earlier is not here:
            message = (
                f"one application is mounted twice, at {earlier} and at {here}, so its "
                "routes cannot have two plans; build it in a function and mount what "
                "the function returns, once for each place"
            )
            raise PlanError(message)


MATCHING = ("matches", "handle", "__call__")
"""The methods by which a route decides and enters; a subclass must keep them."""


def router_of(app: Starlette | Router) -> Router:
    """Return the router of an application, or the router itself."""
    return app.router if isinstance(app, Starlette) else app


def is_router(app: object) -> TypeGuard[Starlette | Router]:
    """Return whether the table behind ``app`` can be read."""
    return isinstance(app, (Starlette, Router))


def has_middleware(app: object) -> bool:
    """Return whether something of the user's stands before the app's routes."""
    if isinstance(app, Starlette):
        return bool(app.user_middleware) or has_middleware(app.router)
    # a router without middleware calls its own ``app``
    if not isinstance(app, Router):
        return False
    stack = app.middleware_stack
    return stack != app.app and not isinstance(stack, Led)


def entrance(route: Route) -> Enter:
    """Return what Starlette's router does once it has found a route."""
    if not route.param_convertors:
        path = route.path

        def enter(scope: Scope) -> ASGIApp | None:
            if scope["path"] != path:
                return None
            scope["route"] = route
            scope["endpoint"] = route.endpoint
            above = scope.get("path_params")
            scope["path_params"] = dict(above) if above else {}
            return route.app

        return enter

    def match_and_enter(scope: Scope) -> ASGIApp | None:
        match, found = route.matches(scope)
        if match is not Match.FULL:
            return None
        scope["route"] = route
        scope.update(found)
        return route.app

    return match_and_enter


class Led:
    """Stands before a router's search, which asks every route in turn.

    Args:
        router: whose search it is.
        choose: says where to go; ``None`` to search.
    """

    __slots__ = ("_choose", "_router", "search")

    def __init__(self, router: Router, choose: Enter) -> None:
        self._router = router
        self._choose = choose
        self.search = router.app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Go where the guard leads, or search."""
        app = self._choose(scope)
        if app is None:
            return self.search(scope, receive, send)
        if "router" not in scope:
            scope["router"] = self._router
        return app(scope, receive, send)


def lead(router: Router, choose: Enter) -> None:
    """Make a router ask before it searches; not one with middleware of its own."""
    if not has_middleware(router):
        router.middleware_stack = Led(router, choose)  # type: ignore[assignment]  # awaited, like a coroutine


def bind_attribute(owner: object, name: str) -> Callable[[Wrap], None]:
    """Return what binds a plan to the application that ``owner`` calls."""

    def bind(wrap: Wrap) -> None:
        setattr(owner, name, wrap(getattr(owner, name)))

    return bind


def unbound(app: object) -> object:
    """Return the application below the entry that an earlier guard has put there."""
    return getattr(app, "inner", app)


def refuse_overrides(
    found: object, known: type, names: Iterable[str], above: Above
) -> None:
    """Refuse an object whose class decides otherwise than the known class.

    Raises:
        PlanError: with what to do instead.
    """
    for name in names:
        # Asked of the object, not of its __dict__: to look into that makes CPython
        # unfold it, and every attribute of the route slower on every request.
        own = getattr(found, name)
        if getattr(own, "__func__", own) is not getattr(known, name):
            message = (
                f"{describe(found, above)} changes {known.__name__}.{name}, so what it "
                "matches cannot be known before a request; keep that method and move "
                "the behaviour into middleware or into the endpoint"
            )
            raise PlanError(message)


def refuse_marked_methods(endpoint: object) -> None:
    """A limit above one method of a class would be read by nobody.

    Raises:
        PlanError: with where it belongs.
    """
    if not inspect.isclass(endpoint):
        return
    for name, member in vars(endpoint).items():
        for mark in own_marks(member):
            message = (
                f"{mark!r} stands on {endpoint.__qualname__}.{name} "
                f"[{place_of(endpoint)}], where nothing reads it: a class-based "
                "handler is one route; put the mark above the class"
            )
            raise PlanError(message)


def unknown_route(route: object, above: Above) -> PlanError:
    """Return the error for a route of an unknown kind."""
    message = (
        f"{describe(route, above)} is of an unknown kind; use Route, WebSocketRoute, "
        "Mount or Host, or mount the object as an application of its own"
    )
    return PlanError(message)


def describe(route: object, above: Above) -> str:
    """Return how an error names a route."""
    kind = type(route)
    path = getattr(route, "path", None)
    where = f" at {above.prefix}{path}" if isinstance(path, str) else ""
    place = place_of(getattr(route, "endpoint", kind))
    return f"{kind.__module__}.{kind.__qualname__}{where} [{place}]"


def lost_middleware(route: BaseRoute) -> bool:
    """Return whether a route wraps its endpoint into more than Starlette does, which
    is lost when FastAPI builds the route anew for ``include_router``."""
    if not isinstance(route, (Route, WebSocketRoute)):
        return False
    app = unbound(route.app)
    if app is route.endpoint:
        return False
    plain = request_response if isinstance(route, Route) else websocket_session
    made = f"{plain.__qualname__}.<locals>.app"
    return getattr(app, "__qualname__", "") != made


def _name_of(factory: object) -> str:
    return getattr(factory, "__qualname__", None) or repr(factory)
