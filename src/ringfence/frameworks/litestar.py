"""Reading Litestar's routes.

Litestar decides by a tree of its own, not by patterns in an order, so its router is
asked for its decision instead of being copied: what it would do with a path is what is
planned. Each plan is bound in that tree, before the middleware, guards and dependencies
that Litestar runs once a route is chosen. Everything private is used in this file only,
and ``_self_test`` shows at start-up that it still works as understood.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import MethodType
from typing import Any

from litestar import Litestar, Request, WebSocket, asgi, get, post, websocket
from litestar._asgi import ASGIRouter
from litestar.connection import ASGIConnection
from litestar.enums import MediaType
from litestar.exceptions import (
    HTTPException,
    LitestarException,
    MethodNotAllowedException,
)
from litestar.handlers import BaseRouteHandler
from litestar.handlers.websocket_handlers._utils import ListenerHandler
from litestar.routes import ASGIRoute, BaseRoute, HTTPRoute, WebSocketRoute
from litestar.types import Receive, Scope, Send
from litestar.utils import normalize_path
from litestar.utils.sync import AsyncCallable
from msgspec import MsgspecError

from ringfence.access.marks import PolicyGuard
from ringfence.errors import PlanError
from ringfence.exchange import ASGIApp, active
from ringfence.frameworks.declared import NOTHING, Declared, declared_on
from ringfence.frameworks.late_json import read_strictly
from ringfence.frameworks.litestar_input import tell_by_guard
from ringfence.frameworks.litestar_models import takes_of
from ringfence.frameworks.place import place_of
from ringfence.frameworks.reference import reference_page
from ringfence.frameworks.sealed import RouteList
from ringfence.frameworks.segments import ANY_TEXT, Parameter, Reach, Tail
from ringfence.frameworks.table import (
    ANSWERED,
    Answered,
    Application,
    Leaf,
    Place,
    Table,
    Wrap,
)
from ringfence.marks import marks_of

_Connection = ASGIConnection[Any, Any, Any, Any]

_WEBSOCKET = "WEBSOCKET"
_DOCS_MODULES = ("litestar._openapi.", "litestar.openapi.")
_OWN_OPTIONS = "HTTPRoute.create_options_handler.<locals>.options_handler"

# What a path must look like for a parameter of each type, to rehearse with.
_SAMPLES: Mapping[str, str] = {
    "str": "ringfence-sample",
    "int": "1000000007",
    "float": "1.5",
    "Decimal": "1.5",
    "UUID": "00000000-0000-4000-8000-000000000000",
    "date": "2026-01-31",
    "datetime": "2026-01-31T12:00:00",
    "time": "12:00:00",
    "timedelta": "PT1S",
    "Path": "ringfence/sample",
}


def read(app: Litestar) -> Application:
    """Read a Litestar application.

    Raises:
        PlanError: a route of a kind that is not understood, one that can never be
            reached, or a version of Litestar that works differently.
    """
    _self_test()
    read_strictly(Request)
    return _Reader(app).application()


def _way(node: Any, route: BaseRoute, key: str, handler: BaseRouteHandler) -> _Way:
    """Return the way to a handler.

    Raises:
        PlanError: another route has taken its place.
    """
    found = node.asgi_handlers.get(key)
    if found is not None and found.handler is handler:
        return _Way(node.asgi_handlers, key)
    others = {str(_place_of(one.handler)) for one in node.asgi_handlers.values()}
    if found is not None:
        others = {str(_place_of(found.handler))}
    message = (
        f"{key} {route.path} [{_place_of(handler)}] can never be reached: Litestar "
        "keeps one route for each place in a path, whatever the type of the parameter, "
        f"and [{', '.join(sorted(others))}] was declared later for the same place; "
        "give one of them another path"
    )
    raise PlanError(message)


@dataclass(frozen=True, slots=True, eq=False)
class _Way:
    """One way into the application: what the router's tree holds for one method.

    Args:
        handlers: of the node, by method, ``websocket`` or ``asgi``.
        key: which of them.
    """

    handlers: dict[str, Any]
    key: str

    @property
    def app(self) -> ASGIApp:
        """What the router calls."""
        called: ASGIApp = self.handlers[self.key].asgi_app
        return called


class _Reader:
    """Reads one application, once."""

    def __init__(self, app: Litestar) -> None:
        self._app = app
        self._router = app.asgi_router
        self._chosen: dict[int, Leaf] = {}  # by what the router calls
        self._notes: list[str] = []

    def application(self) -> Application:
        """Read the application."""
        if type(self._router) is not ASGIRouter:
            message = (
                f"{type(self._router).__qualname__} is no router of Litestar's own, so "
                "what it matches cannot be known; wrap the application into middleware "
                "instead of replacing its asgi_router"
            )
            raise PlanError(message)
        leaves = sorted(self._leaves(), key=_precedence)
        self._refuse_unknown_ways()
        for leaf in leaves:
            self._refuse_hidden(leaf)
        app = self._app
        return Application(
            framework="litestar",
            table=Table(entries=tuple(leaves)),
            router=self._router,  # type: ignore[arg-type]  # its messages are typed dicts
            lists=(RouteList(app, "routes"),),
            # a debugger that opens on errors stops the server for everybody
            debug=app.debug or app.pdb_on_exception,
            middleware=(
                *(("CORSMiddleware",) if app.cors_config else ()),
                *(_name_of(one) for one in app.middleware),
            ),
            notes=tuple(self._notes),
            choose=self.choose,
        )

    def choose(self, method: str, path: str, root_path: str) -> Leaf | Answered | None:
        """Return which entry point Litestar's router chooses, by asking it."""
        # as ASGIRouter.__call__ does it
        if root_path:
            path = path.split(root_path, maxsplit=1)[-1]
        if path[-1:] == "/" or path[:1] != "/" or "//" in path:
            path = normalize_path(path)
        asked: Any = None if method == _WEBSOCKET else method
        try:
            called = self._router.handle_routing(path=path, method=asked)[0]
        except MethodNotAllowedException:
            return ANSWERED
        # what its parsers of parameters raise; and KeyError, where a mount's path means
        # something else as a regular expression
        except (HTTPException, ArithmeticError, LookupError, MsgspecError):
            return None
        leaf = self._chosen.get(id(called))
        return leaf if leaf is not None and _takes(leaf, method, path) else None

    def _leaves(self) -> Iterator[Leaf]:
        for route in self._app.routes:
            if isinstance(route, HTTPRoute):
                yield from self._http(route)
            elif isinstance(route, WebSocketRoute):
                yield self._one("websocket", route)
            elif isinstance(route, ASGIRoute):
                yield self._one("mount", route)
            else:
                raise _unknown(route)

    def _http(self, route: HTTPRoute) -> Iterator[Leaf]:
        """Yield one leaf a handler. The answer to OPTIONS that Litestar makes itself
        belongs to the first of them: whoever may not use a path learns nothing of it.
        """
        own = [one for one in route.route_handlers if not _answers_options(one)]
        own.sort(key=lambda one: sorted(map(str, one.http_methods)))
        node = self._node(route, is_mount=False)
        further = {
            key: one.handler
            for key, one in node.asgi_handlers.items()
            if one.handler in route.route_handlers and _answers_options(one.handler)
        }
        for handler in own:
            keys: dict[str, BaseRouteHandler] = {}
            keys.update((str(method), handler) for method in handler.http_methods)
            yield self._leaf("http", route, handler, {**keys, **further})
            further = {}

    def _one(self, kind: str, route: WebSocketRoute | ASGIRoute) -> Leaf:
        handler = route.route_handler
        key = "websocket" if kind == "websocket" else "asgi"
        return self._leaf(kind, route, handler, {key: handler})

    def _leaf(
        self,
        kind: str,
        route: BaseRoute,
        handler: BaseRouteHandler,
        keys: Mapping[str, BaseRouteHandler],
    ) -> Leaf:
        is_mount = bool(getattr(handler, "is_mount", False))
        node = self._node(route, is_mount=is_mount)
        ways = [_way(node, route, key, one) for key, one in keys.items()]
        declared = _declared(handler)
        spoken_of = any(map(_policies, handler.ownership_layers[1:]))
        self._note_cache(route, handler, declared)
        reach = _reach(route, is_mount=is_mount)
        leaf = Leaf(
            kind=kind,
            path=route.path,
            pattern=_pattern(reach),
            template=route.path,
            methods=frozenset(keys) if kind == "http" else None,
            place=_place_of(handler),
            policy=declared.policy,
            bind=lambda wrap: self._bind(leaf, ways, handler, wrap),
            reach=reach,
            sample=_sample(route, is_mount=is_mount),
            is_docs=_makes_docs(handler) and not spoken_of,
            marks=declared.marks,
            takes=takes_of(handler) if kind == "http" else None,
        )
        for way in ways:
            self._chosen[id(way.app)] = leaf
        return leaf

    def _node(self, route: BaseRoute, *, is_mount: bool) -> Any:
        """Find a route in the router's tree."""
        router: Any = self._router
        if is_mount:
            return router._mount_routes[route.path]  # noqa: SLF001 - see _self_test
        node = router.root_route_map_node
        if not route.path_parameters:
            return node.children[route.path]
        for component in route.path_components:
            node = node.children[_step(node, component)]
        return node

    def _bind(
        self, leaf: Leaf, ways: Sequence[_Way], handler: BaseRouteHandler, wrap: Wrap
    ) -> None:
        for way in ways:
            app = self._reference(handler) if _makes_docs(handler) else None
            entry = wrap(way.app if app is None else app)
            way.handlers[way.key] = way.handlers[way.key]._replace(asgi_app=entry)
            self._chosen[id(entry)] = leaf
        tell_by_guard(self._app)
        # the router remembers what it would have called until now
        self._router.handle_routing.cache_clear()
        self._settle_guards(handler)

    def _settle_guards(self, handler: BaseRouteHandler) -> None:
        """Take out the guards that the plan has asked already: Litestar copies the
        whole handler for each of them on every request. Add the one that middleware
        makes necessary."""
        guards = handler.resolve_guards()  # the list that Litestar goes through
        others = [one for one in guards if not isinstance(one, PolicyGuard)]
        if handler.resolve_middleware() and _same_method not in others:
            others.insert(0, _same_method)
        guards[:] = others

    def _reference(self, handler: BaseRouteHandler) -> ASGIApp | None:
        """Return our page for one that needs inline scripts and foreign hosts."""
        name = _function_of(handler).__name__
        is_page = getattr(handler, "media_type", None) == MediaType.HTML
        if not is_page or "not_found" in name or "redirect" in name:
            return None
        paths = (route.path for route in self._app.routes)
        source = next((one for one in paths if one.endswith("/openapi.json")), "")
        return reference_page(_Schema(self._app), source)

    def _refuse_unknown_ways(self) -> None:
        """Stop where the tree holds more than the routes tell: a door nobody guards.

        Litestar forgets the route of a WebSocket when, after it, two handlers for HTTP
        are registered at its path; the WebSocket answers all the same.
        """
        known = set(self._chosen)
        for handlers in _all_handlers(self._router.root_route_map_node):
            for key, one in handlers.items():
                if id(one.asgi_app) not in known:
                    message = (
                        f"Litestar answers [{_place_of(one.handler)}] ({key}), but no "
                        "route of app.routes tells of it; register the WebSocket after "
                        "the handlers for HTTP at its path"
                    )
                    raise PlanError(message)

    def _refuse_hidden(self, leaf: Leaf) -> None:
        """A route that is never reached is a mistake: its policy protects nothing.

        Litestar's mounts take every path that begins with their own, ``/ab`` for one at
        ``/a``, and a mount at ``/`` takes all that have parameters.
        """
        methods = leaf.methods or ("GET" if leaf.kind == "mount" else _WEBSOCKET,)
        for method in methods:
            found = self.choose(method, leaf.sample, "")
            if found is leaf:
                continue
            by = found.path if isinstance(found, Leaf) else "nothing that is planned"
            message = (
                f"{method} {leaf.path} [{leaf.place}] can never be reached: Litestar "
                f"leads {leaf.sample} to {by} (a mount takes every path that begins "
                "like its own); move one of them"
            )
            raise PlanError(message)

    def _note_cache(
        self, route: BaseRoute, handler: BaseRouteHandler, declared: Declared
    ) -> None:
        if getattr(handler, "cache", False) and str(declared.policy) != "public":
            self._notes.append(
                f"{route.path} is not public, but Litestar keeps its answers (cache=): "
                "whoever asks next gets what was made for somebody else, unless "
                "cache_key_builder tells visitors apart"
            )


class _Schema:
    """The OpenAPI schema as data, the same object until the application changes it."""

    __slots__ = ("_app", "_data", "_spec")

    def __init__(self, app: Litestar) -> None:
        self._app = app
        self._spec: object = None
        self._data: Mapping[str, Any] = {}

    def __call__(self) -> Mapping[str, Any]:
        spec = self._app.openapi_schema
        if spec is not self._spec:
            self._spec, self._data = spec, spec.to_schema()
        return self._data


async def _same_method(connection: _Connection, _: BaseRouteHandler) -> None:
    """Refuse a request whose method was changed after its plan was made.

    Litestar's middleware runs once a route is chosen, and the route then takes the
    handler of the method that it finds: a middleware that believes a field
    ``_method=DELETE`` would lead a POST past the policy of DELETE.

    Raises:
        LitestarException: it was; the guard refuses in its place.
    """
    exchange = active.get()
    method = connection.scope.get("method")
    if exchange is not None and exchange.kind == "http" and exchange.method != method:
        exchange.mismatch = str(method)
        raise LitestarException("the method was changed behind the guard")


def _declared(handler: BaseRouteHandler) -> Declared:
    """Return what stands on the application, the routers, the controller, the handler's
    own guards, and the function below it."""
    found = NOTHING
    for layer in handler.ownership_layers:
        for guard in _policies(layer):
            found = found.around(Declared(guard.policy, guard.marks))
    *wrappers, function = _layers_of(handler)
    for wrapper in wrappers:
        if isinstance(wrapper, MethodType):  # of a controller, or a class that listens
            found = found.around(declared_on(type(wrapper.__self__)))
    # a mark above ``@get`` stands on the handler; some of Litestar's can carry none
    found = found.around(Declared(marks=marks_of(handler)))
    return found.around(declared_on(function))


def _policies(layer: Any) -> list[PolicyGuard]:
    return [guard for guard in layer.guards or () if isinstance(guard, PolicyGuard)]


def _makes_docs(handler: BaseRouteHandler) -> bool:
    """Return whether Litestar itself made this handler, for its documentation."""
    module: str = getattr(_function_of(handler), "__module__", "")
    return module.startswith(_DOCS_MODULES)


def _layers_of(handler: BaseRouteHandler) -> Iterator[Any]:
    """Yield what Litestar puts around a function, methods of controllers, functions
    for threads, listeners of WebSockets; and at last what the developer wrote."""
    function: Any = handler.fn
    while True:
        yield function
        if isinstance(function, MethodType):
            function = function.__func__
        elif isinstance(function, AsyncCallable):
            function = function.func
        elif isinstance(function, ListenerHandler):
            function = function._fn  # noqa: SLF001 - see _self_test
        else:
            return


def _function_of(handler: BaseRouteHandler) -> Any:
    *_, function = _layers_of(handler)
    return function


def _place_of(handler: BaseRouteHandler) -> Place:
    """Litestar's own functions say nothing about where the developer has used them."""
    function = _function_of(handler)
    if getattr(function, "__module__", "").startswith("litestar."):
        name: str = getattr(function, "__qualname__", type(function).__qualname__)
        return Place(name=f"litestar {name.rpartition('.')[2]}")
    return place_of(function)


def _answers_options(handler: BaseRouteHandler) -> bool:
    """Return whether Litestar itself made this handler."""
    name: str = getattr(handler.fn, "__qualname__", "")
    return name == _OWN_OPTIONS and handler.fn.__module__ == "litestar.routes.http"


def _step(node: Any, component: object) -> object:
    """Return the key under which the tree goes on: all parameters share one."""
    if isinstance(component, str):
        return component
    return next(key for key in node.children if not isinstance(key, str))


def _all_handlers(node: Any) -> Iterator[dict[str, Any]]:
    seen = set()
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one.asgi_handlers
        waiting.extend(one.children.values())


def _takes(leaf: Leaf, method: str, path: str) -> bool:
    """Return whether a path that the router led here belongs here.

    Litestar's mounts match without a boundary: ``/adminevil`` would be led to what is
    mounted at ``/admin``. And its tree takes ``websocket`` for a method of HTTP.
    """
    if leaf.kind == "mount":
        prefix = leaf.path
        return (
            leaf.reach.tail is Tail.NONE
            or prefix == "/"
            or (path == prefix or path.startswith(prefix + "/"))
        )
    if leaf.methods is None:
        return method == _WEBSOCKET
    return method in leaf.methods


def _reach(route: BaseRoute, *, is_mount: bool) -> Reach:
    segments: list[Any] = []
    for component in route.path_components:
        if isinstance(component, str):
            segments.append(component)
        elif component.type is Path:
            return Reach(tuple(segments), Tail.ALL)
        else:
            segments.append(Parameter(ANY_TEXT))
    if is_mount:
        return Reach(tuple(segments), Tail.ALL)
    return Reach(tuple(segments) or ("",), Tail.NONE)


def _pattern(reach: Reach) -> re.Pattern[str]:
    text = "".join(
        "/" + (re.escape(one) if isinstance(one, str) else ANY_TEXT)
        for one in reach.segments
    )
    tail = "(?s:/.*)?" if reach.tail else "/?"
    return re.compile(text + tail + r"\Z")


def _sample(route: BaseRoute, *, is_mount: bool) -> str:
    parts = [
        one if isinstance(one, str) else _SAMPLES[one.type.__name__]
        for one in route.path_components
    ]
    if is_mount:
        parts.append("ringfence-sample")
    return "/" + "/".join(parts)


def _precedence(leaf: Leaf) -> tuple[object, ...]:
    """Sort as Litestar looks: whole paths, then mounts, then word before parameter."""
    steps = tuple(isinstance(one, Parameter) for one in leaf.reach.segments)
    group = 0 if not any(steps) and not leaf.reach.tail else 2
    if leaf.kind == "mount" and leaf.reach.tail:
        group = 1
    return group, (*steps, bool(leaf.reach.tail)), leaf.path, sorted(leaf.methods or ())


def _name_of(middleware: object) -> str:
    middleware = getattr(middleware, "middleware", middleware)  # DefineMiddleware
    return getattr(middleware, "__qualname__", None) or repr(middleware)


def _unknown(route: object) -> PlanError:
    kind = type(route)
    return PlanError(
        f"{kind.__module__}.{kind.__qualname__} {getattr(route, 'path', '')} is of an "
        "unknown kind; use the handlers that Litestar brings"
    )


def _not_understood(detail: str) -> PlanError:
    return PlanError(
        f"Litestar {version('litestar')} routes in a way that this version of "
        f"ringfence does not understand ({detail}); install the newest ringfence, or a "
        "Litestar that it was tested with (2.25)"
    )


class _Reached(BaseException):
    """Raised by the self-test's entries, so that nothing behind them runs."""

    def __init__(self, leaf: Leaf) -> None:
        super().__init__(leaf.path)
        self.leaf = leaf


_TRIED = (
    ("GET", "/plain"),
    ("OPTIONS", "/plain"),
    ("GET", "/item/7"),
    ("POST", "/item/7"),
    (_WEBSOCKET, "/socket"),
    ("GET", "/mount/below"),
)


def _self_test() -> None:
    """Show that Litestar still calls what this file binds, on an app made for it.

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
        LitestarException,
    ) as error:
        raise _not_understood(repr(error)) from error
    if reached != _TRIED:
        raise _not_understood(f"bound {_TRIED}, reached {reached}")


def _try_out() -> tuple[tuple[str, str], ...]:
    """Bind each way in, send a request down each, and return those that arrived."""

    @get("/plain")
    async def plain() -> None: ...

    @get("/item/{number:int}")
    async def item() -> None: ...

    @post("/item/{number:int}")
    async def change() -> None: ...

    @websocket("/socket")
    async def opened(socket: WebSocket[Any, Any, Any]) -> None: ...

    @asgi("/mount", is_mount=True, copy_scope=True)
    async def mounted(scope: Scope, receive: Receive, send: Send) -> None: ...

    app = Litestar(
        [plain, item, change, opened, mounted], openapi_config=None, logging_config=None
    )
    reader = _Reader(app)
    for leaf in reader.application().leaves():
        leaf.bind(_raising(leaf))
    return tuple(
        (method, path)
        for method, path in _TRIED
        if _reached(app, method, path) is reader.choose(method, path, "")
    )


def _raising(leaf: Leaf) -> Wrap:
    async def entry(*_: object) -> None:
        raise _Reached(leaf)

    return lambda app: entry


def _reached(app: Litestar, method: str, path: str) -> Leaf | None:
    """Drive one request by hand: entries raise before anything could wait."""
    scope: Any = {"type": "http", "method": method, "path": path, "headers": []}
    if method == _WEBSOCKET:
        scope = {"type": "websocket", "path": path, "headers": []}
    walk = app.asgi_router(scope, _nothing, _nothing)
    try:
        walk.send(None)
    except _Reached as reached:
        return reached.leaf
    finally:
        walk.close()
    return None


async def _nothing(*_: object) -> Any:
    """Stand where ``receive`` and ``send`` are not used."""
