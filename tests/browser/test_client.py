"""The browser client with sessions: CSRF token, step-up, streams, sign-out."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, RedirectResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from tests.attacks.serving import NO_TLS, served
from tests.browser.clients import EMPTY, PHONE, STORED, Tab, page, script

from ringfence import Guard, Settings, access, current

ACCOUNT = {"email": "ann@example.com", "password": "plum kettle window 9"}
ROOM = {
    "sign_ins_per_address": 1000,
    "sign_ins_global": 1000,
    "sign_in_failures": 100,
}


class Desk:
    """Handlers that remember what reached them.

    Args:
        data: of the guard.
    """

    def __init__(self, data):
        self.data = data
        self.got = []

    async def start(self, request):
        return page("start")

    async def private(self, request):
        return page("private", "Ann has 100 euros", current.csrf_token())

    async def echo(self, request):
        body = (await request.body()).decode()
        self.got.append((request.method, dict(request.headers), body))
        return JSONResponse({"body": body})

    async def away(self, request):
        return RedirectResponse(request.query_params["to"], 307)

    async def feed(self, request):
        async def ticks():
            while True:
                yield "data: tick\n\n"
                await asyncio.sleep(0.05)

        return StreamingResponse(ticks(), media_type="text/event-stream")

    async def chat(self, socket):
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_text(text)

    def age(self):
        """Let every proof be too old for what asks for a fresh one."""
        with closing(sqlite3.connect(self.data / "ringfence.db")) as db, db:
            db.execute("UPDATE ringfence_sessions SET proved = proved - 601")

    def guarded(self, port):
        public = [
            Route("/", self.start),
            Route("/app.js", script),
            Route("/open", self.echo, methods=["POST"]),
            Route("/away", self.away, methods=["POST"]),
        ]
        private = [
            Route("/private", self.private),
            Route("/echo", self.echo, methods=["GET", "POST"]),
            Route("/feed", self.feed),
            WebSocketRoute("/chat", self.chat),
        ]
        fresh = [Route("/transfer", self.echo, methods=["POST"])]
        routes = [
            *access.routes(public, access.public),
            *access.routes(private, access.signed_in),
            *access.routes(fresh, access.fresh(minutes=10)),
        ]
        settings = Settings.load(
            environ={}, env="development", data=self.data, identity=ROOM
        )
        return Guard(Starlette(routes=routes), settings)


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    return Desk(tmp_path_factory.mktemp("client"))


@pytest.fixture(scope="module")
def site(desk):
    with served(desk.guarded) as running:
        httpx2.post(f"{running.url}/auth/register", json=ACCOUNT, verify=NO_TLS)
        yield running


@pytest.fixture
def profile(site, visit, desk):
    """One browser, and whatever its tabs have done wrong."""
    desk.got.clear()
    tabs = []

    class Profile:
        context = visit(site.url, viewport=PHONE).context

        def tab(self, path="/"):
            tabs.append(Tab(self.context.new_page()).goto(path))
            return tabs[-1]

    yield Profile()
    for tab in tabs:
        assert tab.errors == []
        assert tab.violations() == []


def signed_in(profile, path="/"):
    tab = profile.tab(path)
    assert tab.run("who => rf.signIn(who)", ACCOUNT)["email"] == ACCOUNT["email"]
    return tab


# ---- the CSRF token


def test_the_token_goes_with_what_changes_something(profile, desk):
    tab = signed_in(profile)
    assert tab.send("/echo")[0] == 200
    assert tab.post("/echo", '{"a": 1}') == [200, {"body": '{"a": 1}'}]
    (_, read, _), (_, changed, body) = desk.got
    assert "x-csrf-token" not in read
    assert len(changed["x-csrf-token"]) > 40
    assert body == '{"a": 1}'


def test_the_token_of_the_page_saves_a_question(profile, desk):
    signed_in(profile)
    tab = profile.tab("/private")
    asked = []
    tab.page.on("request", lambda request: asked.append(request.url))
    token = tab.run("document.querySelector('meta[name=csrf-token]').content")
    assert tab.post("/echo")[0] == 200
    assert desk.got[-1][1]["x-csrf-token"] == token
    assert [url for url in asked if url.endswith("/auth/me")] == []


def test_a_token_of_another_session_is_renewed(profile, desk):
    """A browser that does not say where a request comes from is asked for the token;
    here it is made not to, and its token is of the session before."""
    tab = signed_in(profile)
    old = profile.tab("/private")
    old.run("() => rf.me()")

    def silent(route, request):
        headers = {
            name: value
            for name, value in request.headers.items()
            if not name.startswith("sec-fetch") and name != "origin"
        }
        route.continue_(headers=headers)

    assert tab.run("who => rf.signIn(who)", ACCOUNT)["email"]
    profile.context.route("**/echo", silent)
    assert old.post("/echo", '"kept"') == [200, {"body": '"kept"'}]
    assert [body for _, _, body in desk.got] == ['"kept"']


def test_nobody_signed_in_has_no_token(profile, desk):
    tab = profile.tab()
    assert tab.post("/open")[0] == 200
    assert tab.post("/open")[0] == 200
    assert all("x-csrf-token" not in headers for _, headers, _ in desk.got)
    assert tab.run("() => rf.me()") is None


# ---- one more proof


def open_dialog(tab, desk, request):
    desk.age()
    tab.page.locator("#before").focus()
    tab.begin(request)
    dialog = tab.page.get_by_role("dialog", name="Confirm that it is you")
    dialog.wait_for()
    return dialog


TRANSFER = """async () => {
    const init = {method: "POST", body: "to=bob&cents=7"};
    const answer = await rf.fetch("/transfer", init);
    return [answer.status, (await answer.json()).body];
}"""


def test_a_proof_repeats_the_request_once_with_its_body(profile, desk):
    """By keyboard: the field has the focus, Enter sends, the focus goes back."""
    tab = signed_in(profile)
    dialog = open_dialog(tab, desk, TRANSFER)
    assert dialog.get_by_label("Password").evaluate(
        "it => it === document.activeElement"
    )
    assert dialog.locator("[autocomplete=username]").input_value() == ACCOUNT["email"]
    tab.page.keyboard.type("not the right one")
    tab.page.keyboard.press("Enter")
    dialog.get_by_role("alert").filter(has_text="not right").wait_for()
    assert desk.got == []
    tab.page.keyboard.type(ACCOUNT["password"])
    tab.page.keyboard.press("Enter")
    assert tab.finished() == [200, "to=bob&cents=7"]
    assert [body for _, _, body in desk.got] == ["to=bob&cents=7"]
    assert tab.page.locator("dialog").count() == 0
    assert tab.run("document.activeElement.id") == "before"


def test_who_turns_away_gets_the_refusal(profile, desk):
    tab = signed_in(profile)
    open_dialog(tab, desk, TRANSFER.replace("(await answer.json()).body", "0"))
    tab.page.keyboard.press("Escape")
    assert tab.finished() == [401, 0]
    assert desk.got == []


def test_many_requests_ask_once(profile, desk):
    tab = signed_in(profile)
    dialog = open_dialog(tab, desk, f"() => Promise.all([1, 2, 3].map({TRANSFER}))")
    dialog.get_by_label("Password").fill(ACCOUNT["password"])
    dialog.get_by_role("button", name="Confirm").click()
    assert tab.finished() == [[200, "to=bob&cents=7"]] * 3
    assert len(desk.got) == 3


def test_what_was_read_once_is_not_sent_again(profile, desk):
    """A stream cannot be repeated: the refusal is handed on, and nobody is asked."""
    tab = signed_in(profile)
    desk.age()
    status = tab.run(
        """async () => {
            const body = new Blob(["once"]).stream();
            try {
                const init = {method: "POST", body, duplex: "half"};
                return (await rf.fetch("/transfer", init)).status;
            } catch (error) { return String(error); }
        }"""
    )
    # Chromium sends streams over HTTP/2 only, and says so; nothing was repeated.
    assert status == 401 or "fetch" in status
    assert desk.got == []
    assert tab.page.locator("dialog").count() == 0


def test_an_application_asks_in_its_own_way(profile, desk):
    tab = signed_in(profile)
    desk.age()
    tab.run(
        """async () => {
            const { ringfence } = await import("/auth/assets/ringfence.js");
            window.rf = ringfence({ stepUp: async (ask) => {
                window.asked = [ask.problem.code, ask.ways];
                await ask.prove("password", "plum kettle window 9");
                return true;
            }});
        }"""
    )
    assert tab.post("/transfer", "7")[0] == 200
    assert tab.run("window.asked") == ["access.not_fresh", ["password"]]


# ---- signing out


def test_sign_out_ends_the_streams_of_the_other_tab(profile):
    first, second = signed_in(profile), profile.tab("/private")
    second.run(
        """async () => {
            window.stream = rf.events("/feed");
            window.line = rf.socket("/chat");
            window.reasons = [];
            rf.onSignedOut(({ reason }) => window.reasons.push(reason));
            await Promise.all([
                new Promise((resolve) => { stream.onmessage = resolve; }),
                new Promise((resolve) => { line.onopen = resolve; }),
            ]);
        }"""
    )
    assert second.run("[stream.readyState, line.readyState]") == [1, 1]
    first.run("rf.signOut()")
    second.until("stream.readyState === 2 && line.readyState === 3")
    assert second.run("window.reasons") == ["elsewhere"]
    assert second.send("/echo")[0] == 401


def test_a_session_that_the_server_ends_is_noticed(profile, site):
    """By the stream that it cuts; the page hears of it once."""
    tab = signed_in(profile)
    tab.run(
        """async () => {
            window.line = rf.socket("/chat");
            window.reasons = [];
            rf.onSignedOut(({ reason }) => window.reasons.push(reason));
            await new Promise((resolve) => { line.onopen = resolve; });
        }"""
    )
    tab.run("fetch('/auth/sessions', {method: 'DELETE'})")
    tab.until("window.reasons.length > 0")
    assert tab.run("window.reasons") == ["ended"]
    assert tab.run("() => rf.me()") is None


def test_nothing_is_left_where_a_script_could_read_it(profile):
    tab = signed_in(profile, "/")
    tab.post("/echo")
    assert tab.run(STORED) == EMPTY


# ---- what is told


def test_a_wrong_password_is_a_problem(profile):
    tab = profile.tab()
    told = tab.run(
        """who => rf.signIn(who).catch((problem) => [
            problem instanceof RingfenceProblem, problem.code, problem.status,
            problem.detail, problem.retryAfter, problem.requestId !== ""])""",
        {**ACCOUNT, "password": "not the right one"},
    )
    assert told == [
        True,
        "identity.sign_in_failed",
        401,
        "The e-mail address and the password do not fit each other.",
        None,
        True,
    ]


@pytest.mark.parametrize(
    ("said", "least", "most"),
    [("7", 7, 7), ("Fri, 31 Dec 2100 23:59:59 GMT", 2e9, 3e9), ("soon", None, None)],
)
def test_how_long_to_wait_is_told_and_nothing_is_repeated(
    profile, desk, said, least, most
):
    tab = signed_in(profile)
    sent = []

    def busy(route):
        sent.append(route.request.url)
        headers = {"retry-after": said, "content-type": "application/problem+json"}
        route.fulfill(status=503, headers=headers, body='{"code": "traffic.busy"}')

    tab.page.route("**/echo", busy)
    code, wait = tab.run(
        """async () => {
            const problem = await RingfenceProblem.from(await rf.fetch("/echo"));
            return [problem.code, problem.retryAfter];
        }"""
    )
    assert code == "traffic.busy"
    assert wait is None if least is None else least <= wait <= most
    assert len(sent) == 1


def test_a_server_that_is_away_is_a_problem(profile):
    tab = profile.tab()
    tab.page.route("**/auth/login", lambda route: route.abort())
    code = tab.run("who => rf.signIn(who).catch((it) => [it.code, it.status])", ACCOUNT)
    assert code == ["client.unreachable", 0]


def test_another_origin_cannot_be_the_base(profile):
    tab = profile.tab()
    told = tab.run(
        """async () => {
            const { ringfence } = await import("/auth/assets/ringfence.js");
            try { ringfence({ base: "https://evil.com/auth" }); }
            catch (error) { return error.message; }
        }"""
    )
    assert "must be a path of this origin" in told
