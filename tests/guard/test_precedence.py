"""First match wins, so the order must say what the developer meant."""

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles

from ringfence import access
from ringfence.access.roles import expand
from ringfence.errors import PlanError
from ringfence.frameworks.open import open_adapter
from ringfence.guard.precedence import check_precedence

PUBLIC, SIGNED_IN, ADMIN = access.public, access.signed_in, access.role("admin")


async def handler(request): ...


def declared(path, policy=PUBLIC, **options):
    (route,) = access.routes([Route(path, handler, **options)], policy)
    return route


def check(app, hierarchy=None):
    check_precedence(
        open_adapter(app),
        lambda leaf: PUBLIC if leaf.policy is None else leaf.policy,
        expand(hierarchy or {}),
    )


def check_routes(*routes):
    check(Starlette(routes=list(routes)))


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("/users/me", "/users/{id}"),
        ("/items/{id:int}", "/items/{slug}"),
        ("/files/{name}.json", "/files/{name}"),
        ("/files/{name}", "/files/{rest:path}"),
        ("/a/b/{rest:path}", "/a/{rest:path}"),
        ("/health/{x}", "/{tenant}/settings"),
        ("/{a}/x", "/{a}/y"),
        ("/a", "/a/"),
        ("/a/{x}", "/a"),
        ("/v-{x}", "/w-{x}"),
        ("/x/{a:int}", "/x/{a:float}"),
    ],
)
def test_a_narrower_or_separate_route_may_stand_first(earlier, later):
    """Honest tables start, whatever their policies."""
    check_routes(declared(earlier, PUBLIC), declared(later, ADMIN))


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("/users/{id}", "/users/me"),
        ("/users/{id}", "/users/{name}"),
        ("/x/{a:float}", "/x/{a:int}"),
        ("/x/{a}", "/x/{a:uuid}"),
        ("/{rest:path}", "/users/me"),
        ("/a/{rest:path}", "/a/{x}/b"),
        ("/{name}", "/{name}.json"),
    ],
)
def test_a_route_that_is_never_reached_stops_the_start(earlier, later):
    with pytest.raises(PlanError, match="can never be reached") as stopped:
        check_routes(declared(earlier), declared(later))
    assert earlier in str(stopped.value)
    assert later in str(stopped.value)
    assert "test_precedence.py:" in str(stopped.value)


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("/{a}/me", "/users/{b}"),
        ("/{a}.{b}", "/report.{c}"),
        ("/{rest:path}", "/{x}"),
    ],
)
def test_an_earlier_looser_route_that_overlaps_stops_the_start(earlier, later):
    """``GET /users/me`` would be answered under the looser policy."""
    later_route = declared(later, ADMIN, methods=["GET", "POST"])
    with pytest.raises(PlanError, match="stricter one first"):
        check_routes(declared(earlier, PUBLIC), later_route)
    check_routes(declared(earlier, ADMIN), later_route)


def test_the_same_path_may_have_another_policy_by_method():
    check_routes(
        declared("/x", PUBLIC), declared("/x", ADMIN, methods=["POST", "DELETE"])
    )


def test_a_head_of_its_own_beside_get_is_no_alarm():
    check_routes(declared("/x"), declared("/x", methods=["HEAD"]))
    app = FastAPI(dependencies=[access.depends(PUBLIC)])
    app.add_api_route("/x", lambda: None, methods=["HEAD"])
    app.add_api_route("/x", lambda: None, methods=["GET"])
    check(app)


def test_several_routes_together_can_hide_one():
    with pytest.raises(PlanError, match=r"GET.* and .*POST"):
        check_routes(
            declared("/{x}", methods=["GET"]),
            declared("/{x}", methods=["POST"]),
            declared("/a", methods=["GET", "POST"]),
        )


def test_websockets_and_http_do_not_hide_each_other():
    check_routes(declared("/{x}"), WebSocketRoute("/a", handler), declared("/b/c"))


def test_a_mount_hides_what_comes_after_it():
    """A mount never falls through, so a route behind it is closed for good."""
    below = Mount("/s", routes=[declared("/a")])
    with pytest.raises(PlanError, match="mount or host at /s/"):
        check_routes(below, declared("/s/b"))
    check_routes(Mount("/s", routes=[declared("/a")]), declared("/s"), declared("/sb"))


def test_static_files_at_the_root_belong_last(tmp_path):
    files = StaticFiles(directory=tmp_path)
    check_routes(declared("/a", ADMIN), Mount("/", files))
    with pytest.raises(PlanError, match="can never be reached"):
        check_routes(Mount("/", files), declared("/a", ADMIN))


def test_a_looser_route_before_a_mount_stops_the_start():
    sub = Mount("/admin", routes=[declared("/{x}", ADMIN, methods=["GET", "POST"])])
    with pytest.raises(PlanError, match="stricter one first"):
        check_routes(declared("/{rest:path}", PUBLIC), sub)


def test_hosts_hide_only_their_own():
    def on_host(policy):
        return Host("a.org", Router([declared("/x", policy)]))

    check_routes(on_host(PUBLIC), declared("/x", ADMIN))
    with pytest.raises(PlanError, match="can never be reached"):
        check_routes(declared("/x"), on_host(ADMIN))


def test_the_hierarchy_tells_what_is_stricter():
    app = Starlette(
        routes=[
            declared("/{a}/me", ADMIN),
            declared("/users/{b}", access.role("staff")),
        ]
    )
    check(app, {"admin": ["staff"]})
    with pytest.raises(PlanError):
        check(app)


def test_an_included_router_counts_in_its_place():
    router = APIRouter(dependencies=[access.depends(ADMIN)])
    router.add_api_route("/users/me", lambda: None)
    app = FastAPI()
    app.add_api_route("/users/{user}", lambda user: None)
    app.include_router(router)
    with pytest.raises(PlanError, match="can never be reached"):
        check(app)


def test_a_thousand_honest_routes_start():
    routes = [
        declared(path, PUBLIC if number % 2 else ADMIN)
        for number in range(250)
        for path in (
            f"/r{number}",
            f"/r{number}/new",
            f"/r{number}/{{id}}",
            f"/r{number}/{{id}}/parts/{{part:int}}",
        )
    ]
    check_routes(*routes, declared("/{rest:path}", ADMIN))


def test_a_wide_route_before_what_is_not_understood_is_no_alarm():
    """What an odd pattern matches below a mount is not guessed at."""
    odd = Mount("/{n:path}/x", routes=[declared("/y", ADMIN)])
    check_routes(declared("/z"), odd)


def test_what_a_mount_answers_by_itself_loosens_nothing():
    """Where none of its routes fits it says 404, whatever stands behind it."""
    mount = Mount("/{tenant}/a", routes=[declared("/y", ADMIN)])
    check_routes(mount, declared("/x/{rest:path}", ADMIN))
