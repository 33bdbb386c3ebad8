"""What routes say about their response headers, through the guard and in the plan."""

import json

import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Mount, Route

from ringfence import Guard, Rule, Settings, access, current, headers
from ringfence.errors import PlanError
from ringfence.guard.describe import describe, describe_json

PAGE = "<p>hello</p>"


async def plain(request):
    return HTMLResponse(PAGE)


@headers(csp={"img-src": "'self' https://images.example"})
@access.require(access.public)
async def gallery(request):
    return HTMLResponse(f"<style nonce={current.nonce()}></style>")


@headers(
    csp={"script-src": "'self' 'unsafe-inline'"}, because="onclick in the old editor"
)
@access.require(access.public)
async def editor(request):
    return HTMLResponse(PAGE)


@headers(cache="public, max-age=60")
@access.require(access.public)
async def picture(request):
    given = {"cache-control": "max-age=1", "expires": "0"}
    nonce = current.nonce() if "nonce" in request.query_params else ""
    answer = JSONResponse({"nonce": nonce}, headers=given)
    if "cookie" in request.query_params:
        answer.set_cookie("seen", "1")
    answer.status_code = int(request.query_params.get("status", "200"))
    return answer


def shop():
    return Starlette(
        routes=[
            Route("/gallery", gallery),
            Route("/editor", editor),
            Route("/picture", picture),
            *access.routes(
                [Route("/widget", plain)],
                access.public,
                headers(
                    csp={"frame-ancestors": "https://partner.example"},
                    resource_policy="cross-origin",
                    because="the partner shows it",
                ),
            ),
            *access.routes(
                [Mount("/", Starlette(routes=[Route("/plain", plain)]))],
                access.public,
            ),
        ]
    )


@pytest.fixture
def page_of(guarded):
    """Return a function that fetches from a started guard."""

    async def fetch(path, **params):
        async with guarded(shop()) as started, started.client() as client:
            return (await client.get(path, params=params)).headers

    return fetch


@pytest.mark.anyio
async def test_each_route_has_its_own(page_of):
    assert "images.example" in (await page_of("/gallery"))["content-security-policy"]
    plain_page = await page_of("/plain")
    assert "images.example" not in plain_page["content-security-policy"]
    assert plain_page["x-frame-options"] == "DENY"


@pytest.mark.anyio
async def test_the_nonce_goes_into_the_routes_own_policy(page_of):
    policy = (await page_of("/gallery"))["content-security-policy"]
    assert "'nonce-" in policy
    assert "images.example" in policy


@pytest.mark.anyio
async def test_marks_beside_a_route_object_count(page_of):
    found = await page_of("/widget")
    assert "frame-ancestors https://partner.example" in found["content-security-policy"]
    assert "x-frame-options" not in found
    assert found["cross-origin-resource-policy"] == "cross-origin"


@pytest.mark.anyio
async def test_marks_of_a_rule_count(settings, restarting):
    async def api(request):
        return HTMLResponse(PAGE)

    rule = Rule("GET", "/x", access.public, headers(frame_options="SAMEORIGIN"))
    guard = Guard(Starlette(routes=[Route("/x", api)]), settings, rules=[rule])
    async with restarting(guard) as started, started.client() as client:
        found = (await client.get("/x")).headers
    assert found["x-frame-options"] == "SAMEORIGIN"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, "public, max-age=60"),
        ({"cookie": "1"}, "private, no-cache"),
        ({"nonce": "1"}, "private, no-cache"),
        ({"status": "404"}, "max-age=1"),
    ],
)
async def test_the_mark_decides_about_caching(page_of, params, expected):
    """Whatever the handler says; but an answer for one reader is never public, no
    nonce is handed out twice, and no error is kept."""
    found = await page_of("/picture", **params)
    assert found["cache-control"] == expected
    assert ("expires" in found) is (expected == "max-age=1")


@pytest.mark.anyio
async def test_refusals_keep_the_usual_headers(guarded):
    """An override is for the application's answers."""

    @headers(frame_options="SAMEORIGIN")
    @access.require(access.public)
    async def broken(request):
        raise RuntimeError

    app = Starlette(routes=[Route("/broken", broken)])
    async with guarded(app) as started, started.client() as client:
        answer = await client.get("/broken", headers={"accept": "text/html"})
    assert answer.status_code == 500
    assert answer.headers["x-frame-options"] == "DENY"


def test_the_plan_shows_what_differs_and_nothing_else(settings):
    text = describe(Guard(shop(), settings).plan)
    _, differences = text.split("\n\n")
    assert differences.splitlines() == [
        "Headers that differ:",
        "  GET, HEAD /gallery: csp img-src: 'self' https://images.example",
        "  GET, HEAD /editor: csp script-src: 'self' 'unsafe-inline'",
        "  GET, HEAD /editor: looser: script-src 'unsafe-inline'",
        "  GET, HEAD /editor: because: onclick in the old editor",
        "  GET, HEAD /picture: cache: public, max-age=60",
        "  GET, HEAD /widget: csp frame-ancestors: https://partner.example",
        "  GET, HEAD /widget: resource_policy: cross-origin",
        "  GET, HEAD /widget: looser: frame-ancestors https://partner.example",
        "  GET, HEAD /widget: because: the partner shows it",
    ]
    assert "/plain" not in differences


def test_the_plan_as_data_has_them_too(settings):
    routes = json.loads(json.dumps(describe_json(Guard(shop(), settings).plan)))
    by_path = {route["path"]: route["headers"] for route in routes["routes"]}
    assert by_path["/picture"] == {"cache": "public, max-age=60"}
    assert by_path["/auth/me"] == {}


def test_a_plan_without_differences_is_the_table_alone(settings):
    app = Starlette(routes=access.routes([Route("/", plain)], access.public))
    assert "differ" not in describe(Guard(app, settings).plan)


def test_a_mark_that_does_not_fit_names_its_route(settings):
    @headers(cache="public, max-age=60")
    @access.require(access.signed_in)
    async def mine(request):
        return HTMLResponse(PAGE)

    app = Starlette(routes=[Route("/mine", mine)])
    with pytest.raises(PlanError, match=r"/mine .*not everybody"):
        Guard(app, settings)


def test_settings_reach_the_usual_headers(tmp_path):
    """From the environment, as an operator sets them."""
    settings = Settings.load(
        toml=None,
        environ={
            "RINGFENCE_ENV": "development",
            "RINGFENCE_DATA": str(tmp_path),
            "RINGFENCE_BROWSER_PERMISSIONS_POLICY": "camera=(self), usb=(self)",
            "RINGFENCE_BROWSER_EMBEDDER_POLICY": "require-corp",
            "RINGFENCE_BROWSER_REPORTS": "off",
            "RINGFENCE_BROWSER_CSP": "frame-ancestors 'self'; img-src *",
        },
    )
    app = Starlette(routes=access.routes([Route("/", plain)], access.public))
    guard = Guard(app, settings)
    found = dict(guard.plan[-1].document_headers)
    assert b"camera=(self)" in found[b"permissions-policy"]
    assert found[b"cross-origin-embedder-policy"] == b"require-corp"
    assert found[b"x-frame-options"] == b"SAMEORIGIN"
    assert b"report" not in found[b"content-security-policy"]


@pytest.mark.anyio
async def test_in_development_a_cookie_that_was_left_bare_is_told(guarded, caplog):
    """Once, so that the developer mends it where it is set."""

    async def theme(request):
        answer = HTMLResponse(PAGE)
        answer.headers["set-cookie"] = "theme=dark"
        return answer

    app = Starlette(routes=access.routes([Route("/", theme)], access.public))
    async with guarded(app) as started, started.client() as client:
        for _ in range(2):
            await client.get("/")
    told = [line for line in caplog.messages if "cookie 'theme'" in line]
    assert len(told) == 1
    assert "HttpOnly, SameSite=Lax" in told[0]
