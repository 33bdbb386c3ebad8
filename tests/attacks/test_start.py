"""Mistakes of the developer that must not reach a visitor (CWE-1188, CWE-862)."""

from pathlib import Path

import httpx2
import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Route
from tests.attacks.serving import NO_TLS, lifespan, served

from ringfence import Guard, Settings, access
from ringfence.errors import OutsideRequestError, PlanError
from ringfence.secrets.keyring import Keyring
from ringfence.traffic.settings import TrafficSettings


async def forgotten(request):
    return PlainTextResponse("everything")


@access.require(access.signed_in)
async def marked(request):
    return PlainTextResponse("everything")


def development(folder, **overrides):
    origins = ("http://127.0.0.1:8000",)
    return Settings.load(
        environ={},
        env="development",
        data=folder,
        **{"public_origins": origins, **overrides},
    )


def get(server, path):
    return httpx2.get(f"{server.url}{path}", verify=NO_TLS)


def test_a_route_without_a_policy_stops_the_start(tmp_path):
    """A route that nobody thought about is open without the guard; with it the
    application does not start, and is told which, where, and what to add."""
    routes = [Route("/forgotten", forgotten)]
    with served(lambda port: Starlette(routes=routes)) as off:
        assert get(off, "/forgotten").text == "everything"
    with pytest.raises(PlanError) as refusal:
        Guard(Starlette(routes=routes), development(tmp_path))
    for word in ("/forgotten", "forgotten", "test_start.py", "access."):
        assert word in str(refusal.value)


def test_a_route_in_a_router_in_a_router_is_seen(tmp_path):
    """However deep a router is included, its route needs a policy (walking
    ``app.routes`` of FastAPI misses it in silence)."""
    inner, outer, app = APIRouter(prefix="/b"), APIRouter(prefix="/a"), FastAPI()
    inner.get("/forgotten")(lambda: "everything")
    outer.include_router(inner)
    app.include_router(outer)
    with pytest.raises(PlanError, match="/a/b/forgotten"):
        Guard(app, development(tmp_path))


def test_an_unknown_kind_of_route_stops_the_start(tmp_path):
    class Own(BaseRoute):
        pass

    with pytest.raises(PlanError, match="Own"):
        Guard(Starlette(routes=[Own()]), development(tmp_path))


def test_a_late_route_is_refused(tmp_path):
    """A plug-in that adds an open debug page to a running application cannot."""
    first = Route("/", marked)
    unguarded = Starlette(routes=[first])
    with served(lambda port: unguarded) as off:
        unguarded.add_route("/late", forgotten)
        assert get(off, "/late").text == "everything"
    app = Starlette(routes=[Route("/", marked)])
    origin = {}

    def make(port):
        origin["public_origins"] = (f"http://127.0.0.1:{port}",)
        return Guard(app, development(tmp_path, **origin))

    with served(make) as on:
        with pytest.raises(PlanError, match="sealed"):
            app.add_route("/late", forgotten)
        with pytest.raises(PlanError):
            app.router.routes.append(Route("/late", forgotten))
        app.router.routes = [*app.router.routes, Route("/late", forgotten)]
        assert get(on, "/late").status_code in {404, 500}
        assert get(on, "/late").text != "everything"


@pytest.mark.anyio
async def test_the_bare_application_serves_nothing(tmp_path):
    """``uvicorn module:api`` instead of ``module:app`` opens no marked handler."""
    app = Starlette(routes=[Route("/", marked)])
    Guard(app, development(tmp_path))
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://x") as client:
        with pytest.raises(OutsideRequestError, match="Guard"):
            await client.get("/")


def test_an_overlap_does_not_loosen_a_policy(tmp_path):
    """A public catch-all in front of an admin route stops the start."""
    routes = [
        *access.routes([Route("/admin/{page}", forgotten)], access.public),
        *access.routes([Route("/admin/users", forgotten)], access.role("admin")),
    ]
    with pytest.raises(PlanError, match="/admin/users"):
        Guard(Starlette(routes=routes), development(tmp_path))


async def start_up(app):
    """Start and stop; return why it would not start."""
    async with lifespan(app) as reason:
        return reason


PRODUCTION = {"public_origins": ("https://shop.example.com",), "proxies": ("none",)}


@pytest.mark.anyio
async def test_production_is_the_default_and_asks_for_its_settings(tmp_path):
    """Unset means production, which does not start without its keys and origins."""
    app = Starlette(routes=[Route("/", marked)])
    reason = await start_up(Guard(app, Settings.load(environ={}, data=tmp_path)))
    for word in ("production", "keys_file", "public_origins", "proxies"):
        assert word in reason


@pytest.mark.anyio
async def test_debug_does_not_start_in_production(tmp_path):
    """``debug=True`` sends traces to visitors; production refuses it."""
    keys = tmp_path / "keys"
    Keyring(keys, create=True).open()
    settings = Settings.load(environ={}, data=tmp_path, keys_file=keys, **PRODUCTION)
    routes = [Route("/", marked)]
    assert "debug" in await start_up(
        Guard(Starlette(debug=True, routes=routes), settings)
    )
    assert await start_up(Guard(Starlette(routes=routes), settings)) == ""


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"public_origins": ("http://shop.example.com",)}, "https"),
        ({"public_origins": ("https://*.example.com",)}, "each origin in full"),
        ({"traffic": TrafficSettings(allowed_hosts=(".com",))}, "allowed_hosts"),
        ({"keys_file": Path("weak")}, "keys"),
    ],
)
async def test_an_unsafe_setting_does_not_start_in_production(tmp_path, wrong, word):
    """Plain http, patterns of hosts and missing keys are refused by name."""
    keys = tmp_path / "keys"
    Keyring(keys, create=True).open()
    overrides = {"data": tmp_path, "keys_file": keys, **PRODUCTION, **wrong}
    guard = Guard(
        Starlette(routes=[Route("/", marked)]), Settings.load(environ={}, **overrides)
    )
    assert word in await start_up(guard)


@pytest.mark.anyio
async def test_development_is_for_this_machine(tmp_path):
    """Development settings with a public name are a mistake, and refused."""
    settings = development(tmp_path, public_origins=("https://shop.example.com",))
    guard = Guard(Starlette(routes=[Route("/", marked)]), settings)
    assert "this machine" in await start_up(guard)
