"""The browser client with tokens in cookies: one refresh, however many tabs."""

from __future__ import annotations

import threading

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tests.attacks.serving import served
from tests.browser.clients import EMPTY, STORED, Tab, page, script

from ringfence.browser.directives import STRICT
from ringfence.identity.client.files import read_client

POLICY = "; ".join(f"{name} {value}" for name, value in STRICT.items())
WITHOUT_LOCKS = "delete Navigator.prototype.locks"


class Counter:
    """A server of tokens, as small as it can be, so that the test says when one
    expires and counts what is asked of it."""

    def __init__(self):
        self.begin()

    def begin(self, *, at_once=1):
        """Start anew, with a token that has expired.

        Args:
            at_once: requests to wait for before the first one is answered, so that
                all of them are refused with the same token.
        """
        self.good = 1
        self.refreshed = 0
        self.status = 200
        self.code = "identity.token_expired"
        self.bodies = []
        self.gate = threading.Barrier(at_once, timeout=10)
        self.waiting = at_once

    async def start(self, request):
        answer = page("start")
        answer.set_cookie("access", "0", httponly=True)
        answer.headers["content-security-policy"] = POLICY
        return answer

    def refused(self, request):
        held = request.cookies.get("access")
        if held == str(self.good):
            return None
        code = self.code if held else "access.not_signed_in"
        return JSONResponse({"code": code}, 401, media_type="application/problem+json")

    def echo(self, request):  # in a thread, so that it may wait
        refused = self.refused(request)
        if refused is not None and self.waiting:
            self.gate.wait()
            self.waiting -= 1
        return refused or JSONResponse({"token": request.headers.get("x-csrf-token")})

    async def keep(self, request):
        refused = self.refused(request)
        if refused is None:
            self.bodies.append((await request.body()).decode())
        return refused or JSONResponse("kept")

    async def me(self, request):
        return self.refused(request) or JSONResponse(
            {"id": "1", "email": "a@example.com", "csrf_token": f"t{self.good}"}
        )

    async def refresh(self, request):
        self.refreshed += 1
        headers = {"retry-after": "60"} if self.status == 503 else {}
        answer = JSONResponse(
            {"code": "identity.refresh_invalid"} if self.status == 400 else {},
            self.status,
            headers,
            "application/problem+json",
        )
        if self.status == 200:
            self.good += 1
            answer.set_cookie("access", str(self.good), httponly=True)
        elif self.status in {400, 401}:
            answer.delete_cookie("access")
        return answer

    def app(self, port):
        files = [
            Route(
                f"/auth/assets/{name}",
                lambda _, file=file: Response(file.content, media_type=file.media_type),
            )
            for name, file in read_client().items()
        ]
        return Starlette(
            routes=[
                *files,
                Route("/", self.start),
                Route("/app.js", script),
                Route("/echo", self.echo),
                Route("/keep", self.keep, methods=["POST"]),
                Route("/auth/me", self.me),
                Route("/auth/token/refresh", self.refresh, methods=["POST"]),
            ]
        )


@pytest.fixture(scope="module")
def counter():
    return Counter()


@pytest.fixture(scope="module")
def site(counter):
    with served(counter.app) as running:
        yield running


@pytest.fixture
def tabs(site, visit, counter):
    """Make tabs of one browser; whatever they have done wrong is told at the end."""
    context = visit(site.url).context
    made = []

    def make(number, init_script=""):
        if init_script:
            context.add_init_script(init_script)
        made.extend(Tab(context.new_page()).goto("/") for _ in range(number))
        return made

    yield make
    for tab in made:
        assert tab.errors == []
        assert tab.violations() == []


GET = """() => Promise.all([1, 2, 3].map(async () =>
    (await rf.fetch("/echo")).status))"""


def test_many_requests_of_two_tabs_refresh_once(tabs, counter):
    """All six are refused with the old token before any of them is mended."""
    counter.begin(at_once=6)
    both = tabs(2)
    for tab in both:
        tab.begin(GET)
    assert [tab.finished() for tab in both] == [[200] * 3] * 2
    assert counter.refreshed == 1


def test_a_tab_that_comes_late_finds_the_new_token(tabs, counter):
    """It has slept through the message of the other one."""
    counter.begin()
    first, late = tabs(2, "window.BroadcastChannel = undefined")
    first.send("/echo")
    late.page.route("**/echo", _refused_once())
    assert late.send("/echo")[0] == 200
    assert counter.refreshed == 1


def _refused_once():
    """Answer as the server did when the token had just expired."""
    refused = []

    def route(it):
        if refused:
            return it.continue_()
        refused.append(it)
        kind = "application/problem+json"
        body = '{"code": "identity.token_expired"}'
        return it.fulfill(status=401, content_type=kind, body=body)

    return route


def test_without_web_locks_one_tab_refreshes_once(tabs, counter):
    """Plain http on another machine: the browser has no locks there."""
    counter.begin(at_once=3)
    (tab,) = tabs(1, WITHOUT_LOCKS)
    assert tab.run("navigator.locks === undefined")
    tab.begin(GET)
    assert tab.finished() == [200] * 3
    assert counter.refreshed == 1


def test_the_body_goes_again_and_arrives_once(tabs, counter):
    counter.begin()
    (tab,) = tabs(1)
    assert tab.post("/keep", '{"a": 1}') == [200, "kept"]
    assert counter.bodies == ['{"a": 1}']
    counter.good += 10  # the next one has expired, too
    sent = tab.run(
        """async () => {
            const form = new FormData();
            form.set("file", new Blob(["x".repeat(9999)]), "x.txt");
            const sent = rf.fetch(new Request("/keep", {method: "POST", body: form}));
            form.delete("file"); // what was sent is what was meant then
            return (await sent).status;
        }"""
    )
    assert sent == 200
    assert counter.bodies[-1].count("x" * 9999) == 1


def test_a_token_from_before_a_change_of_roles_is_renewed(tabs, counter):
    counter.begin()
    counter.code = "identity.token_revoked"
    (tab,) = tabs(1)
    assert tab.send("/echo")[0] == 200
    assert counter.refreshed == 1


@pytest.mark.parametrize("status", [400, 401])
def test_a_refused_refresh_signs_all_tabs_out(tabs, counter, status):
    counter.begin()
    counter.status = status
    first, second = tabs(2)
    second.run(
        "() => { window.told = []; rf.onSignedOut((it) => told.push(it.reason)); }"
    )
    status, problem = first.send("/echo")
    assert (status, problem["code"]) == (401, "access.not_signed_in")
    second.until("told.length > 0")
    assert second.run("told") == ["elsewhere"]
    assert first.run("() => rf.me()") is None
    assert counter.refreshed == 1


def test_a_busy_server_is_not_asked_again(tabs, counter):
    """It has said how long to wait; what comes meanwhile is refused as it was."""
    counter.begin()
    counter.status = 503
    (tab,) = tabs(1)
    for _ in range(3):
        assert tab.send("/echo")[0] == 401
    assert counter.refreshed == 1


def test_the_tokens_are_out_of_reach(tabs, counter):
    counter.begin()
    (tab,) = tabs(1)
    tab.send("/echo")
    assert tab.run(STORED) == EMPTY
