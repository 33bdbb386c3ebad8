"""What a real Chromium makes of the headers of production, and what it reports."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from tests.browser.secure import in_production

from ringfence import access, current, headers
from ringfence.browser.features import parse_features

INLINE = "<script>window.ran = true</script>"
PATIENCE = 10_000  # milliseconds in which a report arrives
FRAME = "<title>frames</title><iframe src='/framed'></iframe>"


async def page(request):
    return HTMLResponse(f"<title>page</title>{INLINE}")


async def nonced(request):
    return HTMLResponse(f"<script nonce={current.nonce()}>window.ran = true</script>")


async def frames(request):
    return HTMLResponse(
        f"<title>frames</title><iframe src='{request.query_params['of']}'>"
    )


async def framed(request):
    return HTMLResponse("<p id=inside>inside</p>")


async def document(request):
    return Response("a document", media_type="text/plain")


async def no_picture(request):
    return Response(status_code=204)


async def cookies(request):
    answer = JSONResponse({})
    answer.headers.append("set-cookie", "__Host-kept=1; Domain=localhost; Path=/shop")
    answer.headers.append("set-cookie", "basket=1; SameSite=None")
    return answer


SAME = headers(frame_options="SAMEORIGIN")
FRAMES = headers(csp={"frame-src": "'self'"})
ROUTES = [
    *access.routes(
        [
            Route("/", page),
            Route("/nonced", nonced),
            Route("/alone", framed),
            Route("/cookies", cookies),
            Route("/favicon.ico", no_picture),
        ],
        access.public,
    ),
    *access.routes([Route("/frames", frames)], access.public, FRAMES),
    *access.routes(
        [Route("/framed", framed), Route("/document", document)], access.public, SAME
    ),
    *access.routes(
        [Route("/isolated", framed)],
        access.public,
        headers(embedder_policy="require-corp"),
    ),
    *access.routes(
        [Route("/editor", page)],
        access.public,
        headers(csp={"script-src": "'unsafe-inline'"}, because="an old editor"),
    ),
]


@pytest.fixture(scope="module")
def site():
    with in_production(Starlette(routes=ROUTES)) as running:
        yield running


@pytest.fixture
def visitor(site, visit):
    return visit(site.url, ignore_https_errors=True)


def reported(visitor, site, path):
    """Open a page and return what was written down once the browser has reported."""
    before = len(site.events("browser_report"))
    visitor.goto(path)
    for _ in range(PATIENCE // 100):
        found = site.events("browser_report")[before:]
        if found:
            return found
        visitor.page.wait_for_timeout(100)
    return []


def test_the_browser_understands_every_header(visitor):
    """Nothing unknown, nothing ignored: it would say so on its console."""
    visitor.goto("/nonced")
    assert visitor.page.evaluate("window.ran") is True
    assert visitor.heard == []


def test_a_refused_script_is_reported(visitor, site):
    """By the Reporting API, to the address of the guard."""
    (event,) = reported(visitor, site, "/?token=s3cret")
    assert visitor.page.evaluate("window.ran") is None
    assert (event["kind"], event["rule"], event["blocked"]) == (
        "csp-violation",
        "script-src-elem",
        "inline",
    )
    assert event["page"] == f"{site.url}/"
    assert "s3cret" not in (site.data / "audit.jsonl").read_text()


def test_a_loosened_route_is_looser_alone(visitor):
    visitor.goto("/editor")
    assert visitor.page.evaluate("window.ran") is True
    visitor.goto("/")
    assert visitor.page.evaluate("window.ran") is None


@pytest.mark.parametrize(
    ("path", "shown"), [("/framed", True), ("/document", True), ("/alone", False)]
)
def test_frames_follow_the_route(visitor, path, shown):
    """Of pages and of plain documents alike."""
    visitor.goto(f"/frames?of={path}")
    (frame,) = visitor.page.frames[1:]
    text = frame.content()
    assert ("inside" in text or "a document" in text) is shown


def test_isolation_is_granted_where_it_was_asked_for(visitor):
    visitor.goto("/isolated")
    assert visitor.page.evaluate("window.crossOriginIsolated") is True
    visitor.goto("/alone")
    assert visitor.page.evaluate("window.crossOriginIsolated") is False


def test_every_feature_of_the_browser_has_a_name_here(visitor):
    """Else a setting that it understands would be refused."""
    visitor.goto("/alone")
    known = visitor.page.evaluate("document.featurePolicy.features()")
    obsolete = {"interest-cohort", "document-domain"}
    names = [f"{name}=()" for name in known if name not in obsolete]
    assert len(parse_features(names)) == len(names) > 50


def test_features_are_denied(visitor):
    visitor.goto("/alone")
    allowed = set(visitor.page.evaluate("document.featurePolicy.allowedFeatures()"))
    denied = {"camera", "microphone", "geolocation", "usb", "payment", "midi"}
    assert allowed
    assert not allowed & denied


def test_cookies_arrive_as_their_names_promise(visitor):
    """The browser drops a __Host- cookie with a domain, and a SameSite=None one
    without Secure, in silence."""
    visitor.goto("/cookies")
    kept = {cookie["name"]: cookie for cookie in visitor.context.cookies()}
    assert set(kept) == {"__Host-kept", "basket"}
    for cookie in kept.values():
        assert cookie["secure"]
        assert cookie["httpOnly"]
        assert cookie["sameSite"] == "Lax"
