"""An endpoint runs only under its own plan: before its body, its dependencies and its
handshake, and whatever stands between the guard and the router."""

import pytest
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles
from tests.guard.planned import Planned

from ringfence.errors import PlanError
from ringfence.frameworks.open import open_adapter
from ringfence.guard.bind import Entry, PlanMismatch, Rehearsed, bind, seal

pytestmark = pytest.mark.anyio


class Acted:
    """Endpoints that leave a trace when they run."""

    def __init__(self):
        self.traces = []

    def endpoint(self, name="ran"):
        async def handler(request: Request):
            self.traces.append(name)
            return PlainTextResponse(name)

        return handler


@pytest.fixture
def acted():
    return Acted()


def other_plan(planned, path):
    return planned.index.find("GET", path, "test")


async def test_the_chosen_endpoint_is_entered(acted):
    planned = Planned(Starlette(routes=[Route("/a", acted.endpoint())]))
    exchange, sent = await planned.request("GET", "/a")
    assert exchange.entered
    assert exchange.mismatch is None
    assert acted.traces == ["ran"]
    assert sent[0]["status"] == 200


async def test_another_endpoint_is_not(acted):
    """The answer alone would be too late: the handler would have acted."""
    planned = Planned(
        Starlette(routes=[Route("/a", acted.endpoint()), Route("/b", acted.endpoint())])
    )
    with pytest.raises(PlanMismatch, match="outside Guard"):
        await planned.request("GET", "/b", plan=other_plan(planned, "/a"))
    assert acted.traces == []


async def test_no_endpoint_is_entered_under_what_the_framework_answers(acted):
    planned = Planned(Starlette(routes=[Route("/a", acted.endpoint())]))
    with pytest.raises(PlanMismatch):
        await planned.request("GET", "/a", plan=planned.answer)
    exchange, sent = await planned.request("POST", "/a")
    assert sent[0]["status"] == 405
    assert not exchange.entered
    assert acted.traces == []


async def test_nobody_enters_without_the_guard(acted):
    planned = Planned(Starlette(routes=[Route("/a", acted.endpoint())]))
    with pytest.raises(PlanMismatch, match=r"serve Guard\(app\)"):
        await planned.request("GET", "/a", exchange=False)
    assert acted.traces == []


async def test_a_mismatch_is_told_although_the_app_answers_it(acted):
    app = Starlette(
        routes=[Route("/a", acted.endpoint()), Route("/b", acted.endpoint())],
        exception_handlers={Exception: lambda *_: PlainTextResponse("fine", 200)},
    )
    planned = Planned(app)
    wrong = other_plan(planned, "/a")
    app.debug = False
    with pytest.raises(PlanMismatch):
        await planned.request("GET", "/b", plan=wrong)
    assert acted.traces == []


async def test_dependencies_and_bodies_wait_for_the_plan(acted):
    """FastAPI's dependencies act before anything is read, let alone answered."""
    app = FastAPI()

    async def dependency():
        acted.traces.append("dependency")

    @app.post("/a", dependencies=[Depends(dependency)])
    async def a(body: dict):
        acted.traces.append("body")

    app.add_api_route("/b", acted.endpoint())
    planned = Planned(app)
    with pytest.raises(PlanMismatch):
        await planned.request("POST", "/a", plan=other_plan(planned, "/b"))
    assert acted.traces == []


async def test_a_websocket_is_refused_before_its_handshake(acted):
    app = FastAPI()

    @app.websocket("/ws")
    async def ws(websocket: WebSocket):
        acted.traces.append("handshake")
        await websocket.accept()

    app.add_api_route("/b", acted.endpoint())
    planned = Planned(app)
    wrong = other_plan(planned, "/b")
    with pytest.raises(PlanMismatch):
        await planned.request("WEBSOCKET", "/ws", plan=wrong)
    assert acted.traces == []
    exchange, sent = await planned.request("WEBSOCKET", "/ws")
    assert exchange.entered
    assert sent[0]["type"] == "websocket.accept"


async def test_one_handler_at_two_prefixes_has_two_plans(acted):
    """FastAPI shares the route between both: only the effective context differs."""
    router = APIRouter()
    router.add_api_route("/x", acted.endpoint())
    app = FastAPI()
    app.include_router(router, prefix="/open")
    app.include_router(router, prefix="/closed")
    planned = Planned(app)
    with pytest.raises(PlanMismatch):
        await planned.request("GET", "/closed/x", plan=other_plan(planned, "/open/x"))
    assert acted.traces == []
    await planned.request("GET", "/closed/x")
    assert acted.traces == ["ran"]


class Copying:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app(dict(scope), receive, send)


class BodyReading:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        message = await receive()

        async def again():
            return message

        await self.app({**scope}, again, send)


class Rewriting:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app({**scope, "path": "/b"}, receive, send)


class Base(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        return await call_next(request)


@pytest.mark.parametrize("middleware", [Copying, BodyReading, Base])
async def test_honest_middleware_does_not_disturb(middleware, acted):
    app = Starlette(
        routes=[Route("/a", acted.endpoint())], middleware=[Middleware(middleware)]
    )
    exchange, sent = await Planned(app).request("GET", "/a")
    assert exchange.entered
    assert sent[0]["status"] == 200


async def test_middleware_that_rewrites_the_path_reaches_nothing(acted):
    app = Starlette(
        routes=[Route("/a", acted.endpoint()), Route("/b", acted.endpoint("b"))],
        middleware=[Middleware(Rewriting)],
    )
    planned = Planned(app)
    with pytest.raises(PlanMismatch):
        await planned.request("GET", "/a")
    assert acted.traces == []


async def test_classes_mounts_files_and_frontends_are_bound(acted, tmp_path):
    (tmp_path / "x.txt").write_text("file")

    class Page(HTTPEndpoint):
        async def get(self, request):
            return PlainTextResponse("page")

    async def foreign(scope, receive, send):
        await PlainTextResponse("foreign")(scope, receive, send)

    app = FastAPI()
    app.router.routes.append(Route("/page", Page))
    app.mount("/files", StaticFiles(directory=tmp_path))
    app.mount("/foreign", foreign)
    app.frontend("/ui", directory=tmp_path)
    planned = Planned(app)
    paths = ("/page", "/files/x.txt", "/foreign/x", "/ui/x.txt")
    for path in paths:
        exchange, sent = await planned.request("GET", path)
        assert exchange.entered, path
        assert sent[0]["status"] == 200
    for path, wrong in zip(paths, paths[1:] + paths[:1], strict=True):
        with pytest.raises(PlanMismatch):
            await planned.request("GET", path, plan=other_plan(planned, wrong))


async def test_two_frontends_of_one_router_have_their_own_plans(tmp_path):
    (tmp_path / "x.txt").write_text("file")
    app = FastAPI()
    app.frontend("/open", directory=tmp_path)
    app.frontend("/closed", directory=tmp_path)
    planned = Planned(app)
    wrong = other_plan(planned, "/open/x.txt")
    with pytest.raises(PlanMismatch):
        await planned.request("GET", "/closed/x.txt", plan=wrong)
    exchange, _ = await planned.request("GET", "/closed/x.txt")
    assert exchange.entered


async def test_a_second_guard_takes_the_place_of_the_first(acted, tmp_path):
    (tmp_path / "x.txt").write_text("file")
    app = FastAPI()
    app.add_api_route("/a", acted.endpoint())
    app.mount("/files", StaticFiles(directory=tmp_path))
    app.frontend("/ui", directory=tmp_path)
    Planned(app)
    second = Planned(app)
    for path in ("/a", "/files/x.txt", "/ui/x.txt"):
        exchange, _ = await second.request("GET", path)
        assert exchange.entered
    entry = app.router.routes[-2].app
    assert isinstance(entry, Entry)
    assert not isinstance(entry.inner, Entry)


async def test_a_rehearsal_stops_at_the_entry(acted):
    planned = Planned(Starlette(routes=[Route("/a", acted.endpoint())]))
    (leaf,) = planned.leaves
    entry = planned.app.routes[0].app
    scope = {"type": "http", "path": "/a", "headers": []}

    class Probe:
        plan = None
        probe = object()

    scope["ringfence"] = Probe
    with pytest.raises(Rehearsed):
        await entry(scope, None, None)
    assert Probe.probe is planned.plan_of(leaf)
    assert acted.traces == []


async def test_late_additions_raise(acted):
    inner = APIRouter()
    inner.add_api_route("/x", acted.endpoint())
    app = FastAPI()
    app.include_router(inner, prefix="/r")
    sub = Starlette(routes=[Route("/s", acted.endpoint())])
    app.mount("/sub", sub)
    planned = Planned(app)
    handler = acted.endpoint()
    for add in (
        lambda: app.get("/late")(handler),
        lambda: app.add_api_route("/late", handler),
        lambda: app.mount("/late", handler),
        lambda: app.include_router(APIRouter()),
        lambda: app.frontend("/late", directory=".", check_dir=False),
        lambda: app.router.routes.insert(0, Route("/late", handler)),
        lambda: app.routes.remove(app.routes[0]),
        lambda: inner.get("/late")(handler),
        lambda: inner.add_route("/late", handler),
        lambda: sub.add_route("/late", handler),
        lambda: sub.routes.append(WebSocketRoute("/late", handler)),
        lambda: app.routes.__setitem__(0, Route("/late", handler)),
    ):
        with pytest.raises(PlanError, match="before the start-up"):
            add()
    exchange, _ = await planned.request("GET", "/r/x")  # the bindings are still there
    assert exchange.entered


async def test_sealing_twice_changes_nothing_and_a_new_list_is_noticed(acted):
    app = Starlette(routes=[Route("/a", acted.endpoint())])
    planned = Planned(app)
    sealed = app.router.routes
    seal(planned.application)
    assert app.router.routes is sealed
    assert all(routes.intact() for routes in planned.application.lists)
    app.router.routes = [*sealed, Route("/late", acted.endpoint())]
    assert not all(routes.intact() for routes in planned.application.lists)
    with pytest.raises(PlanError, match="replaced"):
        seal(planned.application)


async def test_a_list_replaced_before_it_is_sealed_is_noticed(acted):
    app = Starlette(routes=[Route("/a", acted.endpoint())])
    application = open_adapter(app)
    app.router.routes = []
    with pytest.raises(PlanError, match="replaced"):
        seal(application)


async def test_an_application_mounted_twice_cannot_have_two_plans(acted):
    sub = Router([Route("/x", acted.endpoint())])
    app = Starlette(routes=[Mount("/a", sub), Mount("/b", sub)])
    with pytest.raises(PlanError, match="build it in a function"):
        open_adapter(app)


async def test_a_foreign_application_mounted_twice_is_bound_for_each(acted):
    async def foreign(scope, receive, send):
        await PlainTextResponse("foreign")(scope, receive, send)

    planned = Planned(Starlette(routes=[Mount("/a", foreign), Mount("/b", foreign)]))
    with pytest.raises(PlanMismatch):
        await planned.request("GET", "/b/x", plan=other_plan(planned, "/a/x"))
    exchange, _ = await planned.request("GET", "/b/x")
    assert exchange.entered


async def test_binding_uses_the_plan_of_each_leaf(acted):
    planned = Planned(Starlette(routes=[Route("/a", acted.endpoint())]), bound=False)
    bind(planned.application, planned.plan_of)
    assert planned.app.routes[0].app.plan is planned.plan_of(planned.leaves[0])


class Overriding:
    """A middleware that lets a parameter say which method was meant."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        method = scope["query_string"].partition(b"_method=")[2]
        if method:
            scope = {**scope, "method": method.decode()}
        await self.app(scope, receive, send)


@pytest.mark.parametrize(
    ("method", "meant", "enters"),
    [
        ("GET", "POST", False),
        ("HEAD", "DELETE", False),
        ("OPTIONS", "POST", False),
        ("POST", "DELETE", True),
        ("HEAD", "GET", True),
        ("GET", "", True),
    ],
)
async def test_a_read_does_not_become_a_write(acted, method, meant, enters):
    """Every site may send a GET, so that no CSRF check judges it; a form of our own
    may still say DELETE instead of POST."""

    class Item(HTTPEndpoint):
        get = head = options = post = delete = staticmethod(acted.endpoint())

    middleware = [Middleware(Overriding)]
    planned = Planned(Starlette(routes=[Route("/item", Item)], middleware=middleware))
    query = f"_method={meant}".encode() if meant else b""
    if enters:
        await planned.request(method, "/item", query=query)
        assert acted.traces == ["ran"]
    else:
        with pytest.raises(PlanMismatch, match="overrides methods"):
            await planned.request(method, "/item", query=query)
        assert acted.traces == []
