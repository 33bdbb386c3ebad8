"""What other origins may do, in its place around real applications."""

import logging

import litestar
import pytest
from fastapi import FastAPI
from litestar.config.cors import CORSConfig
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from ringfence import Guard, Rule, Settings, access, cors
from ringfence.browser.cors import tell_unheard
from ringfence.errors import SettingsError
from ringfence.guard.describe import describe, describe_json

pytestmark = pytest.mark.anyio

APP = "https://app.example"
EVIL = "https://evil.example"
ALLOW = "access-control-allow-origin"


@pytest.fixture
def settings(tmp_path):
    """``guarded`` of conftest makes its guards with these."""
    return Settings.load(
        environ={},
        env="development",
        data=tmp_path,
        browser={"cors_origins": [APP], "cors_credentials": True},
    )


class Seen:
    """An application that writes down what reaches it."""

    def __init__(self):
        self.methods = []

    async def __call__(self, request):
        self.methods.append(request.method)
        return PlainTextResponse("seen", headers={ALLOW: EVIL, "vary": "accept"})


@pytest.fixture
def seen():
    return Seen()


@pytest.fixture
def shop(seen):
    async def handler(request):
        return await seen(request)

    routes = access.routes(
        [
            Route("/items", handler, methods=["GET", "POST"]),
            Route("/items/{number:int}", handler, methods=["PUT"]),
            Route("/any", handler, methods=["GET", "OPTIONS"]),
            Mount("/below", routes=[Route("/x", handler, methods=["DELETE"])]),
        ],
        access.public,
    )
    routes += access.routes(
        [Route("/own", handler, methods=["OPTIONS"])], access.public, cors()
    )
    return Starlette(routes=routes)


def asking(method, origin=APP):
    return {"origin": origin, "access-control-request-method": method}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/items"),
        ("POST", "/items"),
        ("PUT", "/items/7"),
        ("DELETE", "/below/x"),
        ("GET", "/any"),
        ("POST", "/auth/login"),
        ("GET", "/auth/me"),
        ("DELETE", "/auth/sessions/x"),
    ],
)
async def test_a_preflight_ends_at_the_plan_of_what_it_asks_for(
    guarded, shop, seen, method, path
):
    """No session is read and no application called; 204 without a body."""
    headers = asking(method) | {"cookie": "session-8000=stale"}
    async with guarded(shop) as started, started.client() as client:
        answer = await client.options(path, headers=headers)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers[ALLOW] == APP
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert method in answer.headers["access-control-allow-methods"]
    assert "set-cookie" not in answer.headers
    assert "content-length" not in answer.headers
    assert seen.methods == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/items"),
        ("PATCH", "/items/7"),
        ("GET", "/items/seven"),
        ("GET", "/nowhere"),
        ("GET", "/items/"),
        ("GET", "/own"),
        ("OPTIONS", "/own"),
        ("GET", "/auth/nowhere"),
    ],
)
async def test_what_has_no_plan_gives_no_leave(guarded, shop, method, path):
    """Neither a method nor a path that nothing answers, nor a route that is closed."""
    async with guarded(shop) as started, started.client() as client:
        answer = await client.options(path, headers=asking(method))
    assert ALLOW not in answer.headers
    assert "access-control-allow-methods" not in answer.headers


async def test_an_options_of_the_application_stays_its_own(guarded, shop, seen):
    async with guarded(shop) as started, started.client() as client:
        await client.options("/any")
        await client.options("/any", headers={"origin": APP})
        await client.options("/own", headers=asking("GET"))
    assert seen.methods == ["OPTIONS"] * 3


async def test_the_guards_word_alone_counts(guarded, shop):
    """What the application says of other origins is dropped, its ``Vary`` stays."""
    async with guarded(shop) as started, started.client() as client:
        answer = await client.get("/items", headers={"origin": APP})
        assert answer.headers.get_list(ALLOW) == [APP]
        assert answer.headers.get_list("vary") == ["accept", "origin"]
        answer = await client.get("/items", headers={"origin": EVIL})
        assert ALLOW not in answer.headers
        assert answer.headers.get_list("vary") == ["accept", "origin"]


async def test_an_application_alone_shares_nothing(shop, tmp_path, restarting):
    """Without any origin in the settings there is no such line at all."""
    settings = Settings.load(environ={}, env="development", data=tmp_path)
    running = restarting(Guard(shop, settings))
    async with running as started, started.client() as client:
        for origin in (APP, EVIL):
            answer = await client.get("/items", headers={"origin": origin})
            assert ALLOW not in answer.headers
            assert answer.headers.get_list("vary") == ["accept"]
            answer = await client.options("/items", headers=asking("GET"))
            assert ALLOW not in answer.headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/a%2fb", 400),
        ("DELETE", "/items", 405),
        ("GET", "/items/", 307),
        ("GET", "/auth/me", 401),
    ],
)
async def test_every_refusal_can_be_read(guarded, shop, method, path, status):
    """By scripts of allowed origins, with the headers that tell when to come again."""
    async with guarded(shop) as started, started.client() as client:
        answer = await client.request(method, path, headers={"origin": APP})
        assert answer.status_code == status
        assert answer.headers.get_list(ALLOW) == [APP]
        assert "retry-after" in answer.headers["access-control-expose-headers"]
        answer = await client.request(method, path, headers={"origin": EVIL})
        assert ALLOW not in answer.headers


async def test_fastapi_has_a_plan_for_each_method(guarded):
    api = FastAPI()

    @api.get("/price")
    @cors("*")
    @access.require(access.public)
    def read():
        return 1

    @api.put("/price")
    @access.require(access.public)
    def change(price: int):
        return price

    async with guarded(api) as started, started.client() as client:
        anyone = await client.options("/price", headers=asking("GET", EVIL))
        assert anyone.headers[ALLOW] == "*"
        assert anyone.headers["access-control-allow-methods"] == "GET"
        stranger = await client.options("/price", headers=asking("PUT", EVIL))
        assert stranger.status_code == 403
        assert stranger.json()["code"] == "browser.cors_origin"
        named = await client.options("/price", headers=asking("PUT"))
        assert named.headers[ALLOW] == APP
        answer = await client.get("/price", headers={"origin": EVIL})
        assert answer.headers[ALLOW] == "*"


async def test_json_dressed_up_as_text_needs_its_token(guarded, settings):
    """FastAPI before 0.65.2 took it from any form (CVE-2021-32677); with nothing said
    about where it comes from, the token decides."""
    api = FastAPI(strict_content_type=False)

    @api.post("/transfer")
    @access.require(access.signed_in)
    def transfer(fields: dict[str, int]):
        return fields

    account = {"email": "ann@example.com", "password": "correct horse battery"}
    body = {"content": b'{"amount": 1}', "headers": {"content-type": "text/plain"}}
    async with guarded(api) as started, started.client() as client:
        await client.post("/auth/register", json=account)
        token = (await client.post("/auth/login", json=account)).json()["csrf_token"]
        assert (await client.post("/transfer", **body)).status_code == 403
        body["headers"]["x-csrf-token"] = token
        assert (await client.post("/transfer", **body)).status_code in {200, 422}


async def test_a_rule_shares_what_is_mounted(guarded):
    async def static(scope, receive, send):
        await PlainTextResponse("file")(scope, receive, send)

    app = Starlette(routes=[Mount("/files", app=static)])
    rule = Rule("*", "/files", access.public, cors("*"))
    async with guarded(app, rules=[rule]) as started, started.client() as client:
        answer = await client.get("/files/a.woff2", headers={"origin": EVIL})
        assert (answer.text, answer.headers[ALLOW]) == ("file", "*")


async def test_a_middleware_without_a_say_is_told(guarded, caplog):
    app = Starlette(
        routes=access.routes([Route("/", Seen())], access.public),
        middleware=[Middleware(CORSMiddleware, allow_origins=["*"])],
    )
    with caplog.at_level(logging.WARNING):
        async with guarded(app) as started, started.client() as client:
            answer = await client.options("/", headers=asking("GET", EVIL))
            assert ALLOW not in answer.headers
    assert caplog.text.count("CORSMiddleware has no say") == 1


async def test_litestars_own_word_is_not_heard_either(guarded, caplog):
    @litestar.get("/a", guards=[access.guard(access.public)], sync_to_thread=False)
    def handler() -> str:
        return "a"

    config = CORSConfig(allow_origins=["*"])
    app = litestar.Litestar([handler], cors_config=config, logging_config=None)
    with caplog.at_level(logging.WARNING):
        async with guarded(app) as started, started.client() as client:
            answer = await client.options("/a", headers=asking("GET", EVIL))
            assert (answer.status_code, ALLOW in answer.headers) == (403, False)
            answer = await client.options("/a", headers=asking("GET"))
            assert (answer.status_code, answer.headers[ALLOW]) == (204, APP)
            answer = await client.get("/a", headers={"origin": EVIL})
            assert (answer.text, ALLOW in answer.headers) == ("a", False)
    assert caplog.text.count("CORSMiddleware has no say") == 1


async def test_a_header_that_is_dropped_is_told_once(guarded, shop, caplog):
    """Else nobody would find out where it has gone."""
    tell_unheard.cache_clear()
    with caplog.at_level(logging.WARNING):
        async with guarded(shop) as started, started.client() as client:
            for _ in range(3):
                await client.get("/items")
    assert caplog.text.count("header of the application was dropped") == 1


async def test_a_limit_can_be_read(tmp_path, restarting, shop):
    """With how long to wait, before any route is known."""
    settings = Settings.load(
        environ={},
        env="development",
        data=tmp_path,
        browser={"cors_origins": [APP]},
        traffic={"limits_address": "2/minute"},
    )
    running = restarting(Guard(shop, settings))
    async with running as started, started.client() as client:
        for _ in range(3):
            answer = await client.get("/items", headers={"origin": APP})
        assert (answer.status_code, answer.headers[ALLOW]) == (429, APP)
        exposed = answer.headers["access-control-expose-headers"]
        assert {"retry-after"} <= answer.headers.keys()
        assert "retry-after" in exposed


@pytest.mark.parametrize("origin", ["http://app.example", "https://shop.example"])
def test_an_origin_that_must_not_be_trusted_stops_the_start_up(tmp_path, origin):
    @cors(origin)
    @access.require(access.public)
    async def handler(request):
        return PlainTextResponse("")

    settings = {"public_origins": ["https://shop.example"], "data": tmp_path}
    with pytest.raises(SettingsError, match="cors: origins"):
        Guard(
            Starlette(routes=[Route("/", handler)]),
            Settings.load(environ={}, **settings),
        )
    with pytest.raises(SettingsError, match=r"browser\.cors_origins"):
        Guard(
            Starlette(),
            Settings.load(
                environ={"RINGFENCE_BROWSER_CORS_ORIGINS": origin}, **settings
            ),
        )


def test_the_plan_shows_what_is_open(shop, settings):
    plans = Guard(shop, settings).plan
    table = describe(plans)
    assert "Open to other origins:\n  https://app.example with cookies: " in table
    assert "GET, OPTIONS /own" not in table
    by_path = {one["path"]: one["cors"] for one in describe_json(plans)["routes"]}
    assert by_path["/items"] == "https://app.example with cookies"
    assert by_path["/own"] == ""


def test_the_plan_shows_what_is_open_to_everybody(settings):
    @cors("*")
    @access.require(access.public)
    async def handler(request):
        return PlainTextResponse("")

    table = describe(
        Guard(Starlette(routes=[Route("/prices", handler)]), settings).plan
    )
    assert "\n  *: GET, HEAD /prices" in table


def test_a_plan_that_shares_nothing_says_nothing(shop, tmp_path):
    settings = Settings.load(environ={}, env="development", data=tmp_path)
    table = describe(Guard(shop, settings).plan)
    assert "other origins" not in table
