"""The index picks as the framework does; test_agreement tries it at random."""

import tracemalloc

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.convertors import CONVERTOR_TYPES, Convertor
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles
from tests.guard.planned import Planned

from ringfence.guard.index import route_path


async def handler(request):
    raise AssertionError


def planned(*routes, **options):
    return Planned(Starlette(routes=list(routes), **options))


def test_the_first_of_two_matches_wins_whatever_is_static():
    late = planned(Route("/x/{id}", handler), Route("/x/me", handler))
    assert late.find("GET", "/x/me") == "/x/{id}"
    early = planned(Route("/x/me", handler), Route("/x/{id}", handler))
    assert early.find("GET", "/x/me") == "/x/me"
    assert early.find("GET", "/x/you") == "/x/{id}"


def test_another_method_of_a_known_path_is_the_frameworks_to_answer():
    """Else an honest 405 would become a 404."""
    app = planned(Route("/x", handler), Route("/y/{id}", handler))
    assert app.find("POST", "/x") == "answer"
    assert app.find("POST", "/y/1") == "answer"
    assert app.find("OPTIONS", "/x") == "answer"
    assert app.find("get", "/x") == "answer"  # methods are case-sensitive: RFC 9110 9.1
    assert app.find("WEBSOCKET", "/x") is None


def test_starlette_adds_head_to_get_and_fastapi_does_not():
    assert planned(Route("/x", handler)).find("HEAD", "/x") == "/x"
    api = FastAPI()
    api.add_api_route("/x", lambda: None)
    assert Planned(api).find("HEAD", "/x") == "answer"


def test_a_later_route_with_the_method_beats_an_earlier_without():
    app = planned(Route("/{x}", handler, methods=["POST"]), Route("/a", handler))
    assert app.find("GET", "/a") == "/a"
    assert app.find("POST", "/a") == "/{x}"


def test_slash_redirects_are_the_frameworks_to_answer():
    app = planned(Route("/a", handler), Route("/b/", handler), Mount("/s", handler))
    assert app.find("GET", "/a/") == "answer"
    assert app.find("GET", "/b") == "answer"
    assert app.find("GET", "/s") == "answer"
    assert app.find("WEBSOCKET", "/b") is None
    without = Planned(Router([Route("/a", handler)], redirect_slashes=False))
    assert without.find("GET", "/a/") is None


@pytest.mark.parametrize(
    "path",
    [
        "//admin/users",
        "/admin//users",
        "/admin/users;x=1",
        "/admin%2fusers",
        "/ADMIN/users",
        "/admin/users\\",
        "/admin/../admin/users",
        "/admin/users/.",
        "/adminusers",
        "admin/users",
        "",
        "*",
    ],
)
def test_a_path_that_only_looks_alike_has_no_plan(path):
    """CVE-2026-22753 and CVE-2026-22754: a matcher that thought otherwise than the
    router let requests past the rules of a prefix."""
    app = planned(Mount("/admin", routes=[Route("/users", handler)]))
    assert app.find("GET", "/admin/users") == "/admin/users"
    assert app.find("GET", path) is None


def test_a_mount_matches_by_whole_segments_and_never_falls_through(tmp_path):
    app = planned(
        Mount("/s", StaticFiles(directory=tmp_path)),
        Mount("/m", routes=[Route("/a", handler)]),
        Route("/m/b", handler),
        Route("/sx", handler),
    )
    assert app.find("GET", "/s/any/thing") == "/s"
    assert app.find("WEBSOCKET", "/s/any") == "/s"
    assert app.find("GET", "/sx") == "/sx"
    assert app.find("GET", "/sy") is None
    assert app.find("GET", "/m/b") is None


def test_hosts_are_taken_in_order_and_without_their_port():
    app = planned(
        Host("api.test", Router([Route("/x", handler, name="api")])),
        Route("/x", handler),
    )
    leaf = app.index.find("GET", "/x", "api.test:8000")
    assert leaf.host == "api.test"
    assert app.index.find("GET", "/x", "apiXtest").host == ""
    assert app.index.find("GET", "/x", "api.test.evil").host == ""
    assert app.index.find("GET", "/x", "").host == ""
    assert app.find("GET", "/y", host="api.test") is None


def test_websockets_have_plans_of_their_own():
    app = planned(Route("/x", handler), WebSocketRoute("/x", handler))
    assert app.index.find("WEBSOCKET", "/x", "").kind == "websocket"
    assert app.index.find("GET", "/x", "").kind == "http"


def test_an_integer_of_thousands_of_digits_has_no_plan():
    """The framework would answer 500: int() refuses such texts (CVE-2020-10735)."""
    app = planned(Route("/x/{n:int}", handler), Route("/x/{text}", handler))
    assert app.find("GET", "/x/" + "9" * 4000) == "/x/{n:int}"
    assert app.find("GET", "/x/" + "9" * 5000) is None
    assert app.find("GET", "/x/a" + "9" * 5000) == "/x/{text}"


def test_a_convertor_that_was_registered_anew_is_never_left_out(monkeypatch):
    class Everything(Convertor[str]):
        regex = ".+"

        def convert(self, value):
            return value

        def to_string(self, value):
            return value

    monkeypatch.setitem(CONVERTOR_TYPES, "int", Everything())
    app = planned(Route("/x/{n:int}/end", handler))
    assert app.find("GET", "/x/a/b/c/end") == "/x/{n:int}/end"


def test_frontends_come_after_everything_else(tmp_path):
    api = FastAPI()
    api.frontend("/", directory=tmp_path)
    inner = APIRouter(prefix="/r")
    inner.frontend("/ui", directory=tmp_path)
    inner.add_api_route("/ui/data", lambda: None)
    api.include_router(inner, prefix="/v1")
    app = Planned(api)
    assert app.find("GET", "/v1/r/ui/data") == "/v1/r/ui/data"
    assert app.find("POST", "/v1/r/ui/data") == "answer"
    assert app.find("GET", "/v1/r/ui/data/") == "answer"
    assert app.find("GET", "/v1/r/ui/x.js") == "/v1/r/ui"
    assert app.find("GET", "/v1/r/uix") == "/"
    assert app.find("WEBSOCKET", "/v1/r/ui/x.js") is None


def test_the_default_of_a_router_is_an_entry_point():
    """It answers whatever nothing else does, so it needs a plan as well."""
    router = Router([Route("/a", handler)], default=handler)
    app = Planned(router)
    assert app.find("GET", "/a") == "/a"
    assert app.find("POST", "/a") == "answer"
    assert app.find("GET", "/else/where") == "/"


@pytest.mark.parametrize(
    ("path", "root_path", "expected"),
    [
        ("/api/x", "/api", "/x"),
        ("/api", "/api", ""),
        ("/apix", "/api", "/apix"),
        ("/x", "/api", "/x"),
        ("/x", "", "/x"),
        ("/api/x", "/api/", "/api/x"),
    ],
)
def test_a_root_path_is_taken_away_as_in_the_framework(path, root_path, expected):
    assert route_path(path, root_path) == expected


def test_a_root_path_of_the_server_reaches_mounts():
    app = planned(Mount("/m", routes=[Route("/a", handler)]), Route("/a", handler))
    assert app.find("GET", "/api/m/a", root_path="/api") == "/m/a"
    assert app.find("GET", "/api/a", root_path="/api") == "/a"
    # the mount puts its prefix behind a root path that the path does not begin with
    assert app.find("GET", "/m/a", root_path="/api") is None


def test_finding_a_static_path_leaves_nothing_behind():
    app = planned(*(Route(f"/r{n}", handler) for n in range(50)))
    find = app.index.find
    find("GET", "/r7", "test")
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(100):
        find("GET", "/r7", "test")
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 500


def test_a_thousand_routes_are_narrowed_to_a_few_patterns():
    """Cost must not grow with the number of routes (a list of patterns would)."""
    app = planned(*(Route(f"/r{n}/{{id}}/x", handler) for n in range(1000)))
    candidates = app.index._tree.candidates("/r500/7/x")
    assert len(candidates) == 1
    assert app.index._tree.candidates("/nothing/7/x") == ()
