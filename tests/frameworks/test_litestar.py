"""What the Litestar adapter reads, and what stops it."""

import copy
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import pytest
from litestar import (
    Controller,
    Litestar,
    Router,
    WebSocket,
    asgi,
    get,
    post,
    route,
    websocket,
)
from litestar.connection import ASGIConnection
from litestar.handlers import (
    BaseRouteHandler,
    WebsocketListener,
    websocket_listener,
    websocket_stream,
)
from litestar.middleware import DefineMiddleware
from litestar.openapi import OpenAPIConfig
from litestar.static_files import create_static_files_router
from litestar.types import Receive, Scope, Send
from tests.guard.planned import plan

from ringfence import access
from ringfence.errors import PlanError
from ringfence.frameworks import litestar as adapter
from ringfence.frameworks.open import open_adapter
from ringfence.frameworks.rule import Rule
from ringfence.frameworks.table import ANSWERED
from ringfence.guard.bind import entry_for
from ringfence.guard.plan import resolve_terms
from ringfence.marks import Mark

SIGNED_IN = access.guard(access.signed_in)


@dataclass(frozen=True)
class Named(Mark):
    name: str


def app_of(*handlers, **options):
    options = {"openapi_config": None, "logging_config": None, **options}
    return Litestar(list(handlers), **options)


def read(*handlers, **options):
    return open_adapter(app_of(*handlers, **options))


def told(application):
    return {
        (*sorted(leaf.methods or (leaf.kind,)), leaf.path): str(leaf.policy)
        for leaf in application.leaves()
    }


def mount(path, guards=()):
    @asgi(path, is_mount=True, copy_scope=True, guards=list(guards))
    async def mounted(scope: Scope, receive: Receive, send: Send) -> None: ...

    return mounted


def reader(path, **options):
    @get(path, **options)
    async def handler() -> None: ...

    return handler


def test_policies_and_marks_of_every_layer_apply():
    def guard(name):
        return access.guard(access.role(name), Named(name))

    @get("/x", guards=[guard("handler")])
    @Named("function")
    @access.require(access.signed_in)
    async def handler() -> None: ...

    class Things(Controller):
        path = "/things"
        guards = (guard("controller"),)

        @post("/y", sync_to_thread=True)
        @access.require(access.signed_in)
        def change(self) -> None: ...

    router = Router("/r", route_handlers=[handler, Things], guards=[guard("router")])
    application = read(router, guards=[guard("app")])
    assert told(application) == {
        ("GET", "OPTIONS", "/r/x"): (
            "role(app) & role(router) & role(handler) & signed_in"
        ),
        ("OPTIONS", "POST", "/r/things/y"): (
            "role(app) & role(router) & role(controller) & signed_in"
        ),
    }
    marks = {leaf.path: [m.name for m in leaf.marks] for leaf in application.leaves()}
    assert marks["/r/x"] == ["app", "router", "handler", "function"]
    assert marks["/r/things/y"] == ["app", "router", "controller"]


def test_a_mark_stays_one_though_litestar_copies_routers():
    guard = access.guard(access.public, Named("router"))
    router = Router("/r", route_handlers=[reader("/a"), reader("/b")], guards=[guard])
    first, second = read(router).leaves()
    assert first.marks[0] is second.marks[0] is guard.marks[0]
    assert copy.deepcopy(guard) is guard


def test_sockets_listeners_and_streams_are_read():
    @websocket("/socket")
    @access.require(access.role("socket"))
    async def socket_handler(socket: WebSocket) -> None: ...

    @websocket_listener("/listener")
    @access.require(access.role("listener"))
    def listener(data: str) -> str:
        return data

    class Listener(WebsocketListener):
        path = "/class"
        guards = (access.guard(access.role("class")),)

        def on_receive(self, data: str) -> None: ...

    @websocket_stream("/stream")
    @access.require(access.role("stream"))
    async def stream() -> AsyncGenerator[str, None]:
        yield ""

    class Holder(Controller):
        @websocket_listener("/held")
        @access.require(access.role("held"))
        async def held(self, data: str) -> None: ...

    assert told(read(socket_handler, listener, Listener, stream, Holder)) == {
        ("websocket", "/socket"): "role(socket)",
        ("websocket", "/listener"): "role(listener)",
        ("websocket", "/class"): "role(class)",
        ("websocket", "/held"): "role(held)",
        ("websocket", "/stream"): "role(stream)",
    }


def test_a_mark_above_the_route_is_found_and_a_policy_there_refused():
    @Named("above")
    @get("/x", guards=[access.guard(access.public, Named("guard"))])
    @Named("below")
    async def handler() -> None: ...

    (leaf,) = read(handler).leaves()
    assert [mark.name for mark in leaf.marks] == ["guard", "above", "below"]
    with pytest.raises(TypeError, match="below @get"):
        access.require(access.public)(reader("/y"))
    with pytest.raises(TypeError, match="cannot carry a mark"):
        Named("above")(mount("/z"))


def test_what_stands_on_a_controller_or_a_listener_is_found():
    @access.require(access.role("controller"))
    @Named("controller")
    class Things(Controller):
        @get("/x")
        async def read(self) -> None: ...

        @post("/x", sync_to_thread=True)
        def change(self) -> None: ...

    @Named("listener")
    class Listener(WebsocketListener):
        path = "/listen"

        @access.require(access.role("listener"))
        def on_receive(self, data: str) -> None: ...

    leaves = list(read(Things, Listener).leaves())
    assert {str(leaf.policy) for leaf in leaves if leaf.kind == "http"} == {
        "role(controller)"
    }
    for leaf in leaves:
        expected = "controller" if leaf.kind == "http" else "listener"
        assert [mark.name for mark in leaf.marks] == [expected]


def test_one_handler_at_two_paths_is_two_entries():
    application = read(reader(["/a", "/b"]))
    assert [leaf.path for leaf in application.leaves()] == ["/a", "/b"]
    first, second = application.leaves()
    assert application.choose("GET", "/a", "") is first
    assert application.choose("GET", "/b/", "") is second


@pytest.mark.parametrize(
    ("method", "path", "root_path", "expected"),
    [
        ("GET", "/item/7", "", "/item/{number:int}"),
        ("GET", "/item/7/", "", "/item/{number:int}"),
        ("GET", "//item//7", "", "/item/{number:int}"),
        ("GET", "/api/item/7", "/api", "/item/{number:int}"),
        ("OPTIONS", "/item/7", "", "/item/{number:int}"),
        ("DELETE", "/item/7", "", ANSWERED),
        ("HEAD", "/item/7", "", ANSWERED),
        ("WEBSOCKET", "/item/7", "", None),
        ("GET", "/item/seven", "", None),
        ("GET", "/item/" + "9" * 5000, "", None),
        ("GET", "/price/abc", "", None),
        ("GET", "/day/abc", "", None),
        ("GET", "/span/9e999", "", None),
        ("GET", "/m.t/x", "", "/m.t"),
        ("GET", "/m.t", "", "/m.t"),
        ("GET", "/mxt/x", "", None),
        ("GET", "/m.tevil", "", None),
        ("GET", "/exact", "", "/exact"),
        ("WEBSOCKET", "/exact", "", "/exact"),
        ("WEBSOCKET", "/socket", "", "/socket"),
        ("GET", "/socket", "", ANSWERED),
        ("websocket", "/socket", "", None),
        ("asgi", "/m.t", "", "/m.t"),
        ("GET", "/nowhere", "", None),
        ("GET", "", "", None),
    ],
)
def test_the_routers_own_decision_is_taken_but_for_what_it_takes_too_wide(
    method, path, root_path, expected
):
    @get("/item/{number:int}")
    async def item() -> None: ...

    @get("/price/{amount:decimal}")
    async def price() -> None: ...

    @get("/day/{day:date}")
    async def day() -> None: ...

    @get("/span/{span:timedelta}")
    async def span() -> None: ...

    @asgi("/exact", copy_scope=True)
    async def exact(scope: Scope, receive: Receive, send: Send) -> None: ...

    @websocket("/socket")
    async def socket_handler(socket: WebSocket) -> None: ...

    application = read(item, price, day, span, exact, socket_handler, mount("/m.t"))
    found = application.choose(method, path, root_path)
    assert getattr(found, "path", found) == expected


def test_a_route_whose_place_another_takes_stops_the_start():
    """Litestar keeps the last of two, in silence, whatever their types."""

    @get("/item/{number:int}", guards=[access.guard(access.role("admin"))])
    async def by_number() -> None: ...

    @get("/item/{name:str}", guards=[access.guard(access.public)])
    async def by_name() -> None: ...

    with pytest.raises(PlanError, match=r"(?s)number:int.*by_name.*same place"):
        read(by_number, by_name)


def test_other_methods_at_the_same_place_are_let_be():
    @get("/item/{number:int}")
    async def by_number() -> None: ...

    @post("/item/{name:str}")
    async def by_name() -> None: ...

    application = read(by_number, by_name)
    assert set(told(application)) == {
        ("GET", "/item/{number:int}"),
        ("OPTIONS", "POST", "/item/{name:str}"),
    }


@pytest.mark.parametrize(
    "handlers",
    [
        (mount("/a"), mount("/a/b")),
        (mount("/a"), reader("/ab/{number:int}")),
        (mount("/"), reader("/item/{number:int}")),
        (reader("/a"), mount("/a")),
    ],
)
def test_a_route_that_a_mount_swallows_stops_the_start(handlers):
    with pytest.raises(PlanError, match="can never be reached"):
        read(*handlers)


def test_the_plain_route_before_a_mount_is_let_be():
    application = read(mount("/a"), reader("/a/b"))
    assert application.choose("GET", "/a/b", "").path == "/a/b"
    assert application.choose("GET", "/a/c", "").path == "/a"


def test_a_developers_own_answer_to_options_is_a_route_like_others():
    @route("/x", http_method=["OPTIONS"])
    async def options() -> None: ...

    assert set(told(read(options, reader("/x")))) == {
        ("GET", "/x"),
        ("OPTIONS", "/x"),
    }


def test_static_files_are_read_with_the_policy_of_their_router(tmp_path):
    static = create_static_files_router(
        "/static", directories=[tmp_path], guards=[access.guard(access.public)]
    )
    assert {str(leaf.place) for leaf in read(static).leaves()} == {
        "litestar get_handler (unknown place)",
        "litestar head_handler (unknown place)",
    }
    assert told(read(static)) == {
        ("GET", "OPTIONS", "/static/{file_path:path}"): "public",
        ("HEAD", "/static/{file_path:path}"): "public",
    }


def docs_of(development, rules=(), **options):
    application = open_adapter(Litestar([], logging_config=None, **options))
    terms = resolve_terms(application, rules, development=development)
    return {str(one.policy) for one in terms.values()}


def test_documentation_is_closed_in_production_unless_somebody_speaks_of_it():
    assert docs_of(development=True) == {"public"}
    assert docs_of(development=False) == {"closed"}
    assert docs_of(development=True, guards=[SIGNED_IN]) == {"signed_in"}
    assert docs_of(development=False, guards=[SIGNED_IN]) == {"closed"}
    router = Router("/schema", route_handlers=[], guards=[SIGNED_IN])
    config = OpenAPIConfig("API", "1", openapi_router=router)
    assert docs_of(development=False, openapi_config=config) == {"signed_in"}
    rules = [Rule("GET", "/schema/openapi.json", access.public)]
    assert docs_of(development=False, rules=rules) == {"closed", "public"}


def test_pages_with_foreign_scripts_are_replaced():
    application = open_adapter(Litestar([], logging_config=None))
    replaced = set()
    for leaf in application.leaves():
        taken = []
        leaf.bind(lambda inner, taken=taken: taken.append(inner) or inner)
        if type(taken[0]).__name__ == "_ReferencePage":
            replaced.add(leaf.path)
    assert replaced >= {"/schema", "/schema/swagger", "/schema/redoc"}
    assert "/schema/openapi.json" not in replaced
    assert "/schema/{path:str}" not in replaced


def test_a_router_of_another_kind_stops_the_start():
    app = app_of(reader("/x"))
    app.asgi_router = app.asgi_handler
    with pytest.raises(PlanError, match="asgi_router"):
        open_adapter(app)


def test_a_route_of_an_unknown_kind_stops_the_start():
    app = app_of(reader("/x"))
    app.routes.append(object())
    with pytest.raises(PlanError, match="unknown kind"):
        open_adapter(app)


def test_a_way_in_that_no_route_tells_of_stops_the_start():
    app = app_of(reader("/x"), reader("/y"))
    app.routes.pop()
    with pytest.raises(PlanError, match=r"no route of app\.routes tells"):
        open_adapter(app)


def test_a_socket_that_litestar_forgets_stops_the_start():
    """It is answered all the same: a door without a lock."""

    @websocket("/x")
    async def opened(socket: WebSocket) -> None: ...

    @post("/x")
    async def change() -> None: ...

    with pytest.raises(PlanError, match="register the WebSocket after"):
        read(opened, reader("/x"), change)
    kinds = [leaf.kind for leaf in read(reader("/x"), change, opened).leaves()]
    assert sorted(kinds) == ["http", "http", "websocket"]


def test_a_version_that_works_otherwise_stops_the_start(monkeypatch):
    monkeypatch.setattr(adapter, "_step", lambda node, component: "elsewhere")
    with pytest.raises(PlanError, match="does not understand"):
        read(reader("/x"))


def test_a_debugger_on_errors_counts_as_debugging():
    with pytest.warns(UserWarning, match="Debugger"):
        app = app_of(reader("/x"), pdb_on_exception=True, debug=False)
    assert open_adapter(app).debug


def test_answers_kept_for_everybody_are_told_of():
    kept = reader("/mine", cache=True, guards=[SIGNED_IN])
    public = reader("/all", cache=True, guards=[access.guard(access.public)])
    (note,) = read(kept, public).notes
    assert note.startswith("/mine is not public")


def test_middleware_is_named():
    class Through:
        def __init__(self, app, size=0):
            self.app = app

    application = read(
        reader("/x"), middleware=[Through, DefineMiddleware(Through, size=1)]
    )
    assert [name.rpartition(".")[2] for name in application.middleware] == [
        "Through",
        "Through",
    ]


async def ask(app, path):
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "headers": []}
    await app({**scope, "query_string": b""}, receive, send)
    return sent[0]["status"]


@pytest.mark.anyio
async def test_the_bare_application_answers_nobody_bound_or_not():
    @get("/function")
    @access.require(access.public)
    async def by_function() -> None: ...

    app = app_of(reader("/x", guards=[access.guard(access.public)]), by_function)
    assert [await ask(app, path) for path in ("/x", "/function")] == [500, 500]
    application = open_adapter(app)
    for leaf in application.leaves():
        leaf.bind(entry_for(plan("http", leaf.path)))
    assert [await ask(app, path) for path in ("/x", "/function")] == [500, 500]


def test_guards_that_the_plan_has_asked_are_not_called_again():
    """Litestar copies the whole handler for each of them on every request."""

    async def own(connection: ASGIConnection, handler: BaseRouteHandler) -> None: ...

    app = app_of(reader("/x", guards=[access.guard(access.public), own]))
    for leaf in open_adapter(app).leaves():
        leaf.bind(lambda inner: inner)
    handlers = [one for found in app.routes for one in found.route_handlers]
    (guards,) = {tuple(one.resolve_guards()) for one in handlers if one.guards}
    assert guards == (own,)
    (leaf,) = open_adapter(app).leaves()
    assert str(leaf.policy) == "public"
