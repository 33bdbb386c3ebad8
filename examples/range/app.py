"""The range as an application: every target, with nothing in front of it."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from examples.range.given import OpenSession, Who
from examples.range.target import Target
from examples.range.targets import TARGETS
from examples.range.targets.forgery import live
from examples.range.world import World
from ringfence import access


def build(world: World, who: Who, open_session: OpenSession) -> Starlette:
    """Return the vulnerable application.

    Policies and limits are attributes that only a guard reads; without one they do
    nothing.
    """

    async def openapi(request: Request) -> Response:
        return JSONResponse(describe(TARGETS))

    routes: list[BaseRoute] = []
    for target in TARGETS:
        route = Route(target.path, target.handler, methods=[target.method])
        routes += access.routes([route], target.policy, *target.marks)
    routes += access.routes([Route("/openapi.json", openapi)], access.public)
    routes += access.routes([WebSocketRoute("/live", live)], access.signed_in)
    app = Starlette(debug=True, routes=routes)
    app.state.world = world
    app.state.who = who
    app.state.open_session = open_session
    return app


def describe(targets: tuple[Target, ...]) -> dict[str, object]:
    """Return the OpenAPI document that lists ``targets``."""
    paths: dict[str, dict[str, object]] = {}
    for target in targets:
        paths.setdefault(target.path, {})[target.method.lower()] = _operation(target)
    return {
        "openapi": "3.1.0",
        "info": {"title": "The shooting range", "version": "1"},
        "paths": paths,
    }


def _operation(target: Target) -> dict[str, object]:
    places = [("path", part[1:-1]) for part in target.path.split("/") if "{" in part]
    places += [("query", name) for name in target.query]
    operation: dict[str, object] = {
        "summary": target.hole,
        "parameters": [
            {"in": where, "name": name, "required": True, "schema": {"type": "string"}}
            for where, name in places
        ],
        "responses": {"default": {"description": "whatever comes out"}},
    }
    if target.body:
        schema = {
            "type": "object",
            "properties": {name: {"type": "string"} for name in target.body},
        }
        kinds = ("application/json", "application/x-www-form-urlencoded")
        operation["requestBody"] = {
            "content": {kind: {"schema": schema} for kind in kinds}
        }
    return operation
