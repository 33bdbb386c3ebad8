"""Marks reach the plan of every route that they were declared for."""

import functools
from dataclasses import dataclass

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute

from ringfence import Guard, Settings, access
from ringfence.errors import PlanError
from ringfence.frameworks.open import open_adapter
from ringfence.frameworks.rule import Rule
from ringfence.guard.stages import StageMaker
from ringfence.marks import Mark


@dataclass(frozen=True)
class Named(Mark):
    name: str


@Named("handler")
@access.require(access.signed_in)
async def handler(request): ...


@Named("class")
class Resource(HTTPEndpoint): ...


async def asgi(scope, receive, send): ...


def names(marks):
    return " ".join(mark.name for mark in marks)


def found(app):
    return {
        leaf.host + leaf.path: names(leaf.marks) for leaf in open_adapter(app).leaves()
    }


def routes(entries, name):
    return access.routes(entries, access.public, Named(name))


def test_marks_of_mounts_and_hosts_stand_before_those_of_routes_and_handlers():
    inner = routes([Route("/a", handler), Route("/r", Resource)], "route")
    app = Starlette(
        routes=[
            *routes([Mount("/m", routes=inner)], "mount"),
            *routes([Mount("/x", asgi)], "foreign"),
            *routes([WebSocketRoute("/ws", handler)], "socket"),
            *routes([Host("a.org", Router([Route("/h", handler)]))], "host"),
        ]
    )
    assert found(app) == {
        "/m/a": "mount route handler",
        "/m/r": "mount route class",
        "/x": "foreign",
        "/ws": "socket handler",
        "a.org/h": "host handler",
    }


def test_marks_above_and_below_require_and_on_partials_are_found():
    @access.require(access.public)
    @Named("below")
    async def below(request): ...

    app = Starlette(
        routes=[
            Route("/below", below),
            Route("/partial", functools.partial(handler, more=1)),
        ]
    )
    assert found(app) == {"/below": "below", "/partial": "handler"}


def test_a_mark_on_a_method_that_nothing_would_read_stops_the_start():
    @access.require(access.public)
    class Limited(HTTPEndpoint):
        @Named("method")
        async def get(self, request): ...

    with pytest.raises(PlanError, match=r"Limited\.get.*above the class"):
        open_adapter(Starlette(routes=[Route("/x", Limited)]))


def test_marks_of_dependencies_count_once_and_only_where_they_are_in_force():
    def rule(name):
        return access.depends(access.public, Named(name))

    router = APIRouter(dependencies=[rule("router")])
    shared = rule("shared")
    router.add_api_route("/x", handler, dependencies=[rule("route"), shared])
    router.add_api_websocket_route("/ws", handler)
    router.frontend("/ui", directory=".", check_dir=False)
    app = FastAPI(openapi_url=None, dependencies=[rule("app")])
    app.include_router(router, prefix="/1", dependencies=[rule("include"), shared])
    app.include_router(router, prefix="/2")
    marks = found(app)
    assert sorted(marks["/1/x"].split()) == sorted(
        ["app", "router", "include", "shared", "route", "handler"]
    )
    assert "include" not in marks["/2/x"]
    assert marks["/2/ws"] == "app router handler"
    assert marks["/2/ui"] == "app router"


def test_equal_marks_at_two_places_are_two():
    """Two limits of the same numbers are two budgets."""
    app = Starlette(
        routes=[*routes([Mount("/m", routes=routes([Route("/", handler)], "a"))], "a")]
    )
    assert found(app) == {"/m/": "a a handler"}


@pytest.fixture
def stages_given(monkeypatch, tmp_path):
    """Return a function: the marks that the maker of stages is given, by methods."""
    given = []
    real = StageMaker.stages

    def stages(self, kind, methods, policy, marks=(), **further):
        given.append((str(policy), marks))
        return real(self, kind, methods, policy, marks, **further)

    monkeypatch.setattr(StageMaker, "stages", stages)
    settings = Settings.load(
        toml=None,
        environ={},
        env="development",
        data=tmp_path,
        identity={"enabled": False},
    )

    def compile_(app, rules):
        given.clear()
        Guard(app, settings, rules=rules)
        return [(policy, names(marks)) for policy, marks in given]

    return compile_


def test_marks_of_rules_stand_before_those_of_the_route(stages_given):
    app = Starlette(routes=[Route("/a", handler, methods=["GET"])])
    rules = [
        Rule("*", "/a", access.role("x"), Named("first")),
        Rule("GET", "/a", access.role("y"), Named("second")),
    ]
    assert stages_given(app, rules) == [
        ("role(x) & role(y) & signed_in", "first second handler")
    ]


def test_a_plain_application_gets_its_marks_by_rules(stages_given):
    rules = [Rule("GET", "/a", access.public, Named("rule"))]
    assert stages_given(asgi, rules) == [("public", "rule")]
