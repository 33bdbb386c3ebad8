"""What the adapters read, and what stops them."""

import functools
import sys
from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Host, Mount, Route, Router

from ringfence import access
from ringfence.errors import PlanError
from ringfence.frameworks import fastapi as adapter
from ringfence.frameworks.open import open_adapter
from ringfence.frameworks.place import place_of
from ringfence.frameworks.rule import Rule


@access.require(access.signed_in)
async def marked(request): ...


async def handler(request): ...


class Through:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)


def policies(app):
    return {leaf.path: str(leaf.policy) for leaf in open_adapter(app).leaves()}


def test_marks_of_mounts_apply_to_all_below_them():
    sub = Starlette(
        routes=[Route("/a", marked), Mount("/b", routes=[Route("/c", handler)])]
    )
    found = policies(
        Starlette(routes=access.routes([Mount("/m", sub)], access.role("x")))
    )
    assert found == {"/m/a": "role(x) & signed_in", "/m/b/c": "role(x)"}


def test_dependencies_of_app_router_include_and_route_all_apply():
    def rule(name):
        return access.depends(access.role(name))

    inner = APIRouter(dependencies=[rule("router")])
    inner.add_api_route("/x", marked, dependencies=[rule("route")])
    app = FastAPI(openapi_url=None, dependencies=[rule("app")])
    app.include_router(inner, prefix="/1", dependencies=[rule("include")])
    app.include_router(inner, prefix="/2")
    found = policies(app)
    for name in ("app", "router", "include", "route"):
        assert f"role({name})" in found["/1/x"]
    assert "role(include)" not in found["/2/x"]
    assert "signed_in" in found["/2/x"]


def test_a_policy_among_a_handlers_own_dependencies_is_found():
    def current(_: None = access.depends(access.signed_in)): ...

    app = FastAPI(openapi_url=None)

    @app.get("/x")
    def x(_: Annotated[None, Depends(current)]): ...

    assert policies(app) == {"/x": "signed_in"}


def test_a_starlette_route_on_a_fastapi_router_must_declare_for_itself():
    """FastAPI does not run a router's dependencies for it."""
    router = APIRouter(dependencies=[access.depends(access.public)])
    router.add_route("/plain", handler)
    app = FastAPI(openapi_url=None)
    app.include_router(router)
    assert policies(app) == {"/plain": "None"}


def test_a_place_is_found_through_partials_and_marks():
    app = Starlette(routes=[Route("/x", functools.partial(marked))])
    (leaf,) = open_adapter(app).leaves()
    assert leaf.place.name == "marked"
    assert leaf.place.file == __file__


def test_what_the_application_says_of_itself():
    app = Starlette(debug=True, middleware=[Middleware(Through)])
    application = open_adapter(app)
    assert application.debug
    assert application.middleware == ("Through",)
    assert application.framework == "starlette"
    assert open_adapter(FastAPI()).framework == "fastapi"


def test_a_route_of_an_unknown_kind_is_named():
    class Strange(BaseRoute):
        path = "/strange"

    with pytest.raises(PlanError, match=r"Strange at /m/strange .*unknown kind"):
        open_adapter(Starlette(routes=[Mount("/m", routes=[Strange()])]))


def test_a_subclass_that_matches_in_its_own_way_is_refused():
    class Wide(Route):
        def matches(self, scope):
            return super().matches(scope)

    class Handling(APIRoute):
        async def handle(self, scope, receive, send): ...

    class Routing(Router):
        async def app(self, scope, receive, send): ...

    with pytest.raises(PlanError, match=r"changes Route\.matches"):
        open_adapter(Starlette(routes=[Wide("/x", handler)]))
    api = FastAPI()
    api.router.route_class = Handling
    api.get("/x")(lambda: None)
    with pytest.raises(PlanError, match=r"changes APIRoute\.handle"):
        open_adapter(api)
    with pytest.raises(PlanError, match=r"changes Router\.app"):
        open_adapter(Starlette(routes=[Mount("/m", Routing())]))


def test_a_route_class_that_only_wraps_the_handler_is_welcome():
    class Timed(APIRoute):
        def get_route_handler(self):
            return super().get_route_handler()

    app = FastAPI(openapi_url=None)
    app.router.route_class = Timed
    app.get("/x")(marked)
    assert policies(app) == {"/x": "signed_in"}


@pytest.mark.parametrize(
    "options", [{"middleware": [Middleware(Through)]}, {"max_body_size": 9}]
)
def test_middleware_that_include_router_drops_stops_the_start(options):
    """If it was the authentication, it would be gone in silence."""
    inner = APIRouter()
    inner.routes.append(Route("/x", handler, **options))
    app = FastAPI()
    app.include_router(inner)
    with pytest.raises(PlanError, match="drops in silence"):
        open_adapter(app)


def test_a_fastapi_that_works_otherwise_stops_the_start(monkeypatch):
    """The private attributes that binding needs stand behind a self-test."""
    monkeypatch.setattr(adapter, "_numbered", lambda number: lambda app: app)
    with pytest.raises(PlanError, match="does not understand"):
        open_adapter(FastAPI())
    monkeypatch.undo()
    monkeypatch.delattr(APIRouter, "_iter_low_priority_routes")
    with pytest.raises(PlanError, match=r"FastAPI \d"):
        open_adapter(FastAPI())


async def plain(scope, receive, send): ...


def test_a_plain_application_needs_rules():
    with pytest.raises(PlanError, match=r"plain is a plain ASGI.*Rule"):
        open_adapter(plain)
    application = open_adapter(
        plain,
        [
            Rule("GET", "/x/{id}", access.public),
            Rule("*", "/files/{rest:path}", access.signed_in),
            Rule("WEBSOCKET", "/ws", access.public),
        ],
    )
    first, files, socket = application.leaves()
    assert first.pattern.match("/x/1")
    assert not first.pattern.match("/x/1/2")
    assert files.methods is None
    assert files.pattern.match("/files/a/b")
    assert socket.kind == "websocket"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("get", "/x", access.public), ValueError),
        (("GET ", "/x", access.public), ValueError),
        (("GET", "x", access.public), ValueError),
        (("GET", "/x", "public"), TypeError),
        ((1, "/x", access.public), TypeError),
    ],
)
def test_a_wrong_rule_says_so(arguments, error):
    with pytest.raises(error):
        Rule(*arguments)


def test_a_host_may_serve_something_that_is_no_router():
    """It is one route for whatever is below: it needs a policy like any other."""

    @access.require(access.signed_in)
    async def bare(scope, receive, send): ...

    app = Starlette(routes=[Host("api.example.org", bare)])
    assert set(policies(app).values()) == {"signed_in"}


def test_a_partial_is_found_where_its_function_stands():
    async def ordered(request, kind): ...

    partial = functools.partial(functools.partial(ordered, kind=1))
    assert place_of(partial).name.endswith("ordered")
    assert place_of(Through(None).__call__).name == "Through.__call__"


def test_starlette_needs_no_fastapi(monkeypatch):
    """Where it is not imported, no application below can be one of its own."""
    monkeypatch.delitem(sys.modules, "fastapi")
    app = Starlette(routes=[Route("/", marked)])
    assert policies(app) == {"/": "signed_in"}
