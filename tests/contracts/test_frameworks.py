"""One contract for all frameworks: the same small application, the same promises."""

from __future__ import annotations

import asyncio
import contextlib
import types

import httpx2
import pytest
from tests.contracts.applications import (
    fastapi_app,
    litestar_app,
    parts,
    plain_app,
    starlette_app,
)
from tests.guard.conftest import running

from ringfence import Guard, Settings
from ringfence.errors import PlanError
from ringfence.testing import assert_refused, signed_in

pytestmark = pytest.mark.anyio

# A new framework adds a line here.
FRAMEWORKS = {
    "starlette": starlette_app,
    "fastapi": fastapi_app,
    "litestar": litestar_app,
    "plain": plain_app,
}
HOST = "127.0.0.1:8000"
READS = {"sec-fetch-site": "same-origin"}


@pytest.fixture(params=FRAMEWORKS)
def framework(request) -> types.ModuleType:
    return FRAMEWORKS[request.param]


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """Development settings; one database for all, since accounts are made anew."""
    data = tmp_path_factory.mktemp("data")
    return Settings.load(
        toml=None,
        environ={},
        env="development",
        data=data,
        identity={"sign_ins_per_address": 10_000, "sign_ins_global": 10_000},
    )


class Visit:
    """A running guard, a client of it, and what happened inside."""

    def __init__(self, started, story, client) -> None:
        self.guard = started.guard
        self.story = story
        self.client = client
        self.get = client.get
        self.request = client.request

    @contextlib.asynccontextmanager
    async def socket(self, path, headers=()):
        """Open a WebSocket by hand; yields the queue of what is sent and received."""
        opened = Socket(self.guard, path, headers)
        task = asyncio.create_task(opened.run())
        try:
            yield opened
        finally:
            opened.incoming.put_nowait({"type": "websocket.disconnect", "code": 1001})
            await task


class Socket:
    def __init__(self, guard, path, headers) -> None:
        self.guard = guard
        self.incoming = asyncio.Queue()
        self.outgoing = asyncio.Queue()
        self.incoming.put_nowait({"type": "websocket.connect"})
        self.scope = scope_of(path, kind="websocket", headers=headers)

    async def run(self):
        await self.guard(self.scope, self.incoming.get, self.outgoing.put)

    async def receive(self):
        return await asyncio.wait_for(self.outgoing.get(), 10)

    def say(self, text):
        self.incoming.put_nowait({"type": "websocket.receive", "text": text})


def scope_of(path, kind="http", method="GET", headers=()):
    scope = {
        "type": kind,
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http" if kind == "http" else "ws",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "client": ("127.0.0.1", 5000),
        "server": ("127.0.0.1", 8000),
        "headers": [(b"host", HOST.encode()), *headers],
        "state": {"word": "kept"},
    }
    if kind == "http":
        scope["method"] = method
    else:
        scope["subprotocols"] = []
    return scope


@pytest.fixture
def visiting(framework, settings):
    """Return a function that starts the application with a guard before it."""

    @contextlib.asynccontextmanager
    async def visiting(**options):
        story = parts.Story(**options)
        app = framework.build(story)
        guard, state = Guard(app, settings, rules=framework.RULES), {}
        async with running(guard, state=state) as started:
            transport = httpx2.ASGITransport(
                app=with_state(guard, state), client=("127.0.0.1", 5000)
            )
            async with httpx2.AsyncClient(
                transport=transport, base_url=f"http://{HOST}", headers=READS
            ) as client:
                yield Visit(started, story, client)

    return visiting


def with_state(app, state):
    """Give requests a copy of the lifespan's state, as servers do."""

    async def stated(scope, receive, send):
        await app({**scope, "state": dict(state)}, receive, send)

    return stated


# HTTP


async def test_every_verb_reaches_its_handler_and_no_other(visiting):
    async with visiting() as visit:
        for verb in ("GET", "POST", "PUT", "PATCH"):
            answer = await visit.request(verb, "/things")
            assert (answer.status_code, answer.json()) == (200, {"method": verb})
        answer = await visit.request("DELETE", "/things")
        assert answer.json() == {"removed": True}
        assert visit.story.events[-1] == "remove DELETE"


async def test_head_is_answered_as_the_framework_does(visiting, framework):
    async with visiting() as visit:
        answer = await visit.request("HEAD", "/open")
        expected = 404 if framework is plain_app else framework.HEAD_OF_GET
        assert answer.status_code == expected
        assert answer.content == b""


async def test_another_method_is_refused_and_nothing_acts(visiting, framework):
    async with visiting() as visit:
        answer = await visit.request("POST", "/staff")
        assert answer.status_code == (404 if framework is plain_app else 405)
        assert visit.story.events == ["started"]


async def test_options_tells_nothing_of_a_route_that_is_closed_to_one(visiting):
    async with visiting() as visit:
        answer = await visit.request("OPTIONS", "/staff")
        assert answer.status_code in {401, 404, 405}
        assert visit.story.events == ["started"]


async def test_a_slash_too_many_never_leads_past_a_policy(visiting):
    async with visiting() as visit:
        for path in ("/staff/", "//staff", "/staff//"):
            answer = await visit.get(path, follow_redirects=True)
            assert answer.status_code in {400, 401, 404}, path
        assert visit.story.events == ["started"]


async def test_path_parameters_arrive_and_others_are_not_found(visiting):
    async with visiting() as visit:
        assert (await visit.get("/items/7")).json() == {"number": 7}
        for path in ("/items/seven", "/items/", "/items/7/8"):
            assert (await visit.get(path)).status_code == 404, path
        answer = await visit.get("/items/" + "9" * 5000)
        assert answer.status_code in {404, 414, 400}


async def test_what_is_not_there_is_told_by_the_guard(visiting):
    async with visiting() as visit:
        assert_refused(await visit.get("/nowhere"), "guard.no_route", 404)


async def test_bodies_arrive_whole(visiting):
    async with visiting() as visit:
        body = b"x" * 100_000
        answer = await visit.request("POST", "/echo", content=body)
        assert answer.content == body


async def test_mounts_are_reached_and_end_at_their_boundary(visiting):
    async with visiting() as visit:
        assert (await visit.get("/sub/inside")).text == "inside"
        assert (await visit.get("/foreign/any")).text == "below"
        for path in ("/foreignevil", "/subinside", "/sub/outside"):
            assert (await visit.get(path)).status_code == 404, path


async def test_streams_keep_the_context(visiting):
    async with visiting() as visit:
        answer = await visit.get("/stream")
        assert answer.text.startswith("ab")
        assert len(answer.text) == len("ab") + 16


async def test_background_tasks_keep_the_context(visiting):
    async with visiting() as visit:
        answer = await visit.get("/later")
        assert visit.story.events[-1] == f"later {answer.text}"


async def test_what_fails_inside_tells_nothing(visiting, caplog):
    async with visiting() as visit:
        answer = await visit.get("/boom")
        assert_refused(answer, "guard.application_error", 500)
        assert parts.SECRET not in answer.text
    assert parts.SECRET in caplog.text


async def test_the_applications_own_handler_of_errors_answers(visiting):
    async with visiting() as visit:
        answer = await visit.get("/teapot")
        assert (answer.status_code, answer.text) == (418, "short and stout")


async def test_the_request_that_is_given_up_ends_its_handler(visiting):
    async with visiting() as visit:
        task = asyncio.create_task(visit.get("/slow"))
        await asyncio.wait_for(visit.story.waiting.wait(), 10)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert visit.story.events[-1] == "let go"
        assert (await visit.get("/open")).status_code == 200


# WebSockets


async def test_a_socket_is_accepted_speaks_and_closes(visiting):
    async with visiting() as visit, visit.socket("/socket") as socket:
        assert (await socket.receive())["type"] == "websocket.accept"
        socket.say("hello")
        text = (await socket.receive())["text"]
        assert text.startswith("hello ")
        assert len(text) == len("hello ") + 16
        socket.say("bye")
        assert (await socket.receive())["type"] == "websocket.close"


async def test_a_socket_that_is_not_allowed_never_reaches_its_handler(visiting):
    async with visiting() as visit:
        for path in ("/private", "/nowhere", "/open"):
            async with visit.socket(path) as socket:
                assert "accept" not in (await socket.receive())["type"], path
        assert visit.story.events == ["started"]


async def test_a_socket_from_another_site_is_refused(visiting):
    """Cross-site WebSocket hijacking (CWE-1385)."""
    headers = [(b"origin", b"http://evil.example")]
    async with visiting() as visit:
        async with visit.socket("/socket", headers) as socket:
            assert "accept" not in (await socket.receive())["type"]
        assert visit.story.events == ["started"]


async def test_a_socket_is_refused_by_the_application(visiting):
    async with visiting() as visit, visit.socket("/refusing") as socket:
        assert (await socket.receive())["type"] in {
            "websocket.close",
            "websocket.http.response.start",
        }


async def test_a_socket_that_fails_inside_tells_nothing(visiting):
    async with visiting() as visit, visit.socket("/failing") as socket:
        assert (await socket.receive())["type"] == "websocket.accept"
        closed = await socket.receive()
        assert closed["type"] == "websocket.close"
        assert parts.SECRET not in str(closed)


# Who is there


async def test_policies_ask_who_is_there(visiting):
    async with visiting() as visit:
        assert_refused(await visit.get("/me"), "access.not_signed_in", 401)
        assert_refused(await visit.get("/staff"), "access.not_signed_in", 401)
        async with signed_in_here(visit) as visitor:
            me = (await visit.get("/me")).json()
            assert me["id"] == visitor.id
            assert me["csrf_token"]
            assert_refused(await visit.get("/staff"), "access.not_allowed", 403)
        assert "dependency" not in visit.story.events
        assert "staff" not in visit.story.events
        async with signed_in_here(visit, roles=["staff"]):
            assert (await visit.get("/staff")).json() == {"staff": True}


async def test_what_changes_things_needs_the_token_of_the_session(visiting):
    async with visiting() as visit, signed_in_here(visit):
        token = visit.client.headers.pop("x-csrf-token")
        del visit.client.headers["sec-fetch-site"]
        refused = await visit.request("DELETE", "/things")
        assert refused.status_code == 403
        assert "remove DELETE" not in visit.story.events
        allowed = await visit.request(
            "DELETE", "/things", headers={"x-csrf-token": token}
        )
        assert allowed.json() == {"removed": True}
        visit.client.headers.update({"x-csrf-token": token, **READS})


async def test_a_socket_knows_who_is_there(visiting):
    async with visiting() as visit, signed_in_here(visit) as visitor:
        cookies = "; ".join(f"{k}={v}" for k, v in visit.client.cookies.items())
        headers = [
            (b"cookie", cookies.encode()),
            (b"origin", f"http://{HOST}".encode()),
        ]
        async with visit.socket("/private", headers) as socket:
            assert (await socket.receive())["type"] == "websocket.accept"
            assert (await socket.receive())["text"] == visitor.id


async def test_pages_have_the_nonce_of_their_policy(visiting):
    async with visiting() as visit:
        answer = await visit.get("/page")
        nonce = answer.text.split('"')[1]
        assert f"'nonce-{nonce}'" in answer.headers["content-security-policy"]


@contextlib.asynccontextmanager
async def signed_in_here(visit, roles=()):
    """``signed_in`` is written for clients that wait by blocking."""
    blocking = Blocking(visit.client, asyncio.get_running_loop())
    with_visitor = signed_in(blocking, visit.guard, roles=roles)
    visitor = await asyncio.to_thread(with_visitor.__enter__)
    try:
        yield visitor
    finally:
        await asyncio.to_thread(with_visitor.__exit__, None, None, None)


class Blocking:
    def __init__(self, client, loop) -> None:
        self._client = client
        self._loop = loop
        self.headers = client.headers
        self.base_url = client.base_url

    def post(self, url, *, json=None, headers=None):
        call = self._client.post(url, json=json, headers=headers)
        return asyncio.run_coroutine_threadsafe(call, self._loop).result(20)


# Start and stop


async def test_the_lifespan_runs_and_its_state_arrives(visiting):
    async with visiting() as visit:
        assert visit.story.events == ["started"]
        assert (await visit.get("/state")).json() == {"state": "kept"}
        story = visit.story
    assert story.events[-1] == "stopped"


async def test_a_start_that_fails_is_no_start(visiting):
    with pytest.raises(RuntimeError, match="database of the application is gone"):
        async with visiting(fails=True):
            pytest.fail("started")


def test_a_route_without_a_policy_stops_the_start(framework, settings):
    with pytest.raises(PlanError, match=r"forgotten|whose routes nobody can read"):
        Guard(framework.undeclared(), settings)


async def test_routes_are_sealed_once_started(visiting, framework):
    if framework.add_late is None:
        pytest.skip("a plain application has no routes that could be sealed")
    async with visiting() as visit:
        with pytest.raises(PlanError, match="sealed"):
            framework.add_late(visit.guard.app)
        assert (await visit.get("/late")).status_code == 404


def test_marks_reach_the_plan_by_every_spelling(framework, settings):
    app = framework.build(parts.Story())
    guard = Guard(app, settings, rules=framework.RULES)
    marks = {
        leaf.path: " ".join(mark.name for mark in leaf.marks)
        for leaf in guard._guarded.application.leaves()
    }
    if framework is plain_app:
        pytest.skip("rules carry the marks; see tests/frameworks/test_marks.py")
    for path, expected in framework.MARKS.items():
        assert marks[path] == expected, path


# Middleware between the guard and the router


@pytest.mark.parametrize(
    "middleware",
    [parts.Stamp, parts.CopyScope, parts.ReadBody],
    ids=["stamp", "copy", "read"],
)
async def test_honest_middleware_changes_nothing(visiting, middleware):
    async with visiting(middleware=(middleware,)) as visit:
        assert (await visit.get("/open")).status_code == 200
        assert (await visit.get("/me")).status_code == 401
        answer = await visit.request("POST", "/echo", content=b"body")
        assert answer.content == b"body"
        if middleware is parts.Stamp:
            assert answer.headers["x-stamp"] == "yes"
        async with visit.socket("/socket") as socket:
            assert (await socket.receive())["type"] == "websocket.accept"


async def test_middleware_that_leads_elsewhere_opens_nothing(visiting, framework):
    if framework is plain_app:
        pytest.skip("nobody can compare what a plain application routes")
    async with visiting(middleware=(parts.MoveToStaff,)) as visit:
        answer = await visit.get("/open")
        if framework is litestar_app:  # its middleware runs when a route is chosen
            assert visit.story.events[-1] == "open"
        else:
            assert_refused(answer, "guard.plan_mismatch", 500)
        assert "staff" not in visit.story.events
        assert "dependency" not in visit.story.events


async def test_middleware_that_changes_the_method_opens_nothing(visiting, framework):
    if framework is plain_app:
        pytest.skip("nobody can compare what a plain application routes")
    async with visiting(middleware=(parts.OverrideMethod,)) as visit:
        answer = await visit.get("/things", headers={"x-verb": "DELETE"})
        assert_refused(answer, "guard.plan_mismatch", 500)
        assert "remove DELETE" not in visit.story.events
