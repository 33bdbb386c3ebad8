"""The index is not trusted but tried, and nothing of a handler runs meanwhile."""

import pytest
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles
from tests.guard.planned import Planned

from ringfence.errors import PlanError
from ringfence.guard.index import compile_index
from ringfence.guard.rehearse import rehearse

pytestmark = pytest.mark.anyio


async def handler(request):
    raise AssertionError


async def run(app):
    planned = Planned(app)
    return await rehearse(planned.application, planned.index, planned.plan_of)


async def test_every_kind_of_route_arrives_and_nothing_runs(tmp_path):
    def dependency():
        raise AssertionError

    app = FastAPI(dependencies=[Depends(dependency)])
    inner = APIRouter(prefix="/r")
    inner.add_api_route("/x/{n:int}", handler, methods=["GET", "DELETE"])
    inner.add_route("/plain", handler)
    inner.frontend("/ui", directory=tmp_path)

    @inner.websocket("/ws")
    async def ws(websocket: WebSocket):
        raise AssertionError

    app.include_router(inner, prefix="/a")
    app.include_router(inner, prefix="/b")
    app.mount("/files", StaticFiles(directory=tmp_path))
    sub = FastAPI()
    sub.add_api_route("/{u:uuid}/{f:float}/{p:path}", handler)
    app.mount("/sub/{tenant}", sub)
    app.host(
        "{name}.a.org",
        Router(
            [Route("/h", handler), Mount("/m", routes=[WebSocketRoute("/w", handler)])]
        ),
    )
    assert await run(app) == ()


async def test_a_wrong_index_stops_the_start():
    planned = Planned(Starlette(routes=[Route("/a", handler), Route("/b", handler)]))
    first, second = planned.leaves
    swapped = {id(first): second, id(second): first}

    def wrongly(leaf):
        return planned.plan_of(swapped[id(leaf)])

    index = compile_index(planned.application, wrongly, planned.answer)
    with pytest.raises(PlanError, match=r"/a .*leads it to /b|/b .*leads it to /a"):
        await rehearse(planned.application, index, wrongly)


async def test_a_framework_that_does_not_enter_stops_the_start():
    planned = Planned(Starlette(routes=[Route("/a", handler)]))
    list.clear(planned.app.router.routes)
    with pytest.raises(PlanError, match="no endpoint"):
        await rehearse(planned.application, planned.index, planned.plan_of)


class Gate(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        return PlainTextResponse("not you", 403)


class Open(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        return await call_next(request)


class Broken:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        message = "no header"
        raise LookupError(message)


class Rewriting:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app({**scope, "path": scope["path"][:-1] + "b"}, receive, send)


def behind(middleware):
    routes = [Route("/a", handler), Route("/b", handler)]
    return Starlette(
        routes=[Mount("/m", routes=routes, middleware=[Middleware(middleware)])]
    )


@pytest.mark.parametrize("middleware", [Gate, Broken])
async def test_middleware_of_a_mount_that_answers_itself_is_noted(middleware):
    """It may refuse a bare probe for good reasons."""
    (first, *_) = await run(behind(middleware))
    assert "middleware of the mount" in first


async def test_middleware_of_a_mount_that_lets_through_is_no_matter():
    assert await run(behind(Open)) == ()


async def test_middleware_that_rewrites_paths_stops_the_start():
    with pytest.raises(PlanError, match="outside Guard"):
        await run(behind(Rewriting))


async def test_what_cannot_be_rehearsed_is_said():
    first, second = "/x/{a}", "/x/sample"
    app = Starlette(routes=[Route(first, handler), Route(second, handler)])
    (note, *_) = await run(app)
    assert second in note
    assert "was not rehearsed" in note


async def test_a_root_path_of_the_application_is_respected(recwarn):
    app = FastAPI(root_path="/api")
    app.add_api_route("/x", handler)
    app.mount("/m", Starlette(routes=[Route("/y", handler)]))
    assert await run(app) == ()


class Waits:
    """Middleware that reads all that the client has to say before it answers."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        while (await receive())["type"] not in {
            "http.disconnect",
            "websocket.disconnect",
        }:
            pass
        await self.app(scope, receive, send)


async def test_middleware_that_waits_for_the_client_is_not_waited_for():
    """A rehearsal that hangs is a start-up that hangs."""
    app = behind(Waits)
    assert await run(app) == ()


async def test_what_no_sample_fits_is_left_to_the_check_at_each_request():
    """A prefix that no candidate matches cannot be walked below, and stops nothing."""

    class Odd(Convertor):
        regex = "odd-[a-f]{7}"

        def convert(self, value):
            return value

        def to_string(self, value):
            return value

    register_url_convertor("odd_for_rehearsal", Odd())
    below = [Route("/x", handler)]
    app = Starlette(routes=[Mount("/{key:odd_for_rehearsal}", routes=below)])
    await run(app)
