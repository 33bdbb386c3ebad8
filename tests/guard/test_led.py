"""A router that is led to the route which the guard has found, instead of searching."""

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount, Route, Router

from ringfence import access


async def told(request):
    scope = request.scope
    return JSONResponse(
        {
            "endpoint": scope["endpoint"].__name__,
            "params": request.path_params,
            "route": scope["route"].name,
            "router": isinstance(scope["router"], Router),
            "url": str(request.url_for("item", number=7).path),
        }
    )


async def item(request):
    return await told(request)


def application(**kwargs):
    routes = [
        Route("/items", told, name="items"),
        Route("/items/{number:int}", item, name="item", methods=["GET", "PUT"]),
        Route("/items/{number:int}", told, name="delete", methods=["DELETE"]),
        Mount("/inner", routes=[Route("/{number}", item)]),
    ]
    return Starlette(routes=access.routes(routes, access.public), **kwargs)


ASKED = [
    ("GET", "/items"),
    ("HEAD", "/items"),
    ("GET", "/items/12"),
    ("PUT", "/items/12"),
    ("DELETE", "/items/12"),
    ("GET", "/inner/12"),
    ("GET", "/items/"),
    ("POST", "/items"),
    ("PATCH", "/items/12"),
    ("GET", "/items/x"),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("method", "path"), ASKED)
async def test_a_led_router_answers_as_one_that_searches(
    guarded, monkeypatch, method, path
):
    """Status, parameters, endpoint and the names of routes: all as without the lead."""

    async def ask():
        async with guarded(application()) as started, started.client() as client:
            answer = await client.request(method, path, headers={"origin": ORIGIN})
            return answer.status_code, answer.headers.get("location"), answer.text

    led = await ask()
    monkeypatch.setattr("ringfence.guard.bind.way_of", lambda scope: None)
    searched = await ask()
    if led[0] < 400:
        assert led == searched
    assert led[0] == searched[0]


ORIGIN = "http://127.0.0.1:8000"


@pytest.mark.anyio
async def test_the_other_routes_are_not_asked(guarded, monkeypatch):
    asked = []
    matches = Route.matches

    def note(self, scope):
        asked.append(self.name)
        return matches(self, scope)

    async with guarded(application()) as started, started.client() as client:
        monkeypatch.setattr(Route, "matches", note)
        assert (await client.get("/items/3")).json()["params"] == {"number": 3}
        assert asked == ["item"]
        assert (await client.get("/items")).status_code == 200
        assert asked == ["item"]


class Rewrites:
    """A middleware that sends a request elsewhere than the guard has allowed."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http" and scope["path"] == "/items":
            scope = {**scope, "path": "/hidden", "raw_path": b"/hidden"}
        await self.app(scope, receive, send)


async def hidden(request):
    return PlainTextResponse("secret")


@pytest.mark.anyio
async def test_a_rewritten_path_is_searched_for_and_refused(guarded):
    """The lead is for the path that was judged; another one meets its own entry."""
    routes = [
        *access.routes([Route("/items", told)], access.public),
        *access.routes([Route("/hidden", hidden)], access.signed_in),
    ]
    app = Starlette(routes=routes, middleware=[Middleware(Rewrites)])
    async with guarded(app) as started, started.client() as client:
        answer = await client.get("/items")
    assert answer.status_code == 500
    assert answer.json()["code"] == "guard.plan_mismatch"


@pytest.mark.anyio
async def test_a_router_with_middleware_of_its_own_is_left_alone(guarded):
    seen = []

    class Notes:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            seen.append(scope["type"])
            await self.app(scope, receive, send)

    routes = access.routes([Route("/", told), *application().routes], access.public)
    app = Router(routes=routes, middleware=[Middleware(Notes)])
    async with guarded(app) as started, started.client() as client:
        assert (await client.get("/")).status_code == 200
    assert "http" in seen


@pytest.mark.anyio
async def test_an_application_can_be_started_twice(guarded):
    app = application()
    for _ in range(2):
        async with guarded(app) as started, started.client() as client:
            assert (await client.get("/items/3")).status_code == 200
