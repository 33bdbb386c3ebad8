"""Twins of what the adapters of Litestar and plain ASGI stop, and of the second lock.

Each attack works on the application alone, or behind a guard that lacks the defence,
and fails behind the guard; honest use stays what it was.
"""

from __future__ import annotations

from typing import Literal

import httpx2
import pytest
from fastapi import FastAPI
from litestar import Litestar, asgi, delete, get, post
from litestar.params import FromQuery, JSONBody
from litestar.types import Receive, Scope, Send
from tests.guard.conftest import running

from ringfence import Guard, Rule, Settings, access
from ringfence.access.permit import Lock
from ringfence.testing import assert_refused

pytestmark = pytest.mark.anyio

BASE = "http://127.0.0.1:8000"
SECRET = "hunter2"
ADMIN = access.role("admin")
PUBLIC = access.guard(access.public)


@pytest.fixture
def settings(tmp_path):
    return Settings.load(
        toml=None,
        environ={},
        env="development",
        data=tmp_path,
        identity={"enabled": False},
    )


def client_of(app):
    transport = httpx2.ASGITransport(app=app, client=("127.0.0.1", 5000))
    return httpx2.AsyncClient(transport=transport, base_url=BASE)


async def ask(app, *args, **kwargs):
    async with client_of(app) as client:
        return await client.request(*args, **kwargs)


async def ask_guarded(guard, *args, **kwargs):
    async with running(guard):
        return await ask(guard, *args, **kwargs)


def litestar(*handlers, **options):
    return Litestar(list(handlers), openapi_config=None, logging_config=None, **options)


# A mount without a boundary (CWE-22 in spirit: a prefix is taken for a folder)


def mounted(guards=(PUBLIC,)):
    @asgi("/files", is_mount=True, copy_scope=True, guards=guards)
    async def files(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"the mounted one"})

    return files


async def test_a_mount_answers_paths_that_only_begin_like_its_own(settings):
    alone = await ask(litestar(mounted(None)), "GET", "/filesystem")
    assert alone.text == "the mounted one"
    guard = Guard(litestar(mounted()), settings)
    assert_refused(await ask_guarded(guard, "GET", "/filesystem"), "guard.no_route")
    guard = Guard(litestar(mounted()), settings)
    assert (await ask_guarded(guard, "GET", "/files/x")).text == "the mounted one"


# A method that is changed behind the guard (CWE-650)


class Override:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        headers = dict(scope["headers"])
        if b"x-verb" in headers:
            scope["method"] = headers[b"x-verb"].decode()
        await self.app(scope, receive, send)


def things(guards):
    acted = []

    @get("/things", guards=guards(access.public))
    async def read() -> str:
        return "read"

    @delete("/things", status_code=200, guards=guards(ADMIN))
    async def remove() -> str:
        acted.append("removed")
        return "removed"

    return litestar(read, remove, middleware=[Override]), acted


async def test_a_middleware_leads_a_read_to_the_handler_that_removes(settings):
    headers = {"x-verb": "DELETE"}
    app, acted = things(lambda policy: None)
    assert (await ask(app, "GET", "/things", headers=headers)).text == "removed"
    assert acted == ["removed"]
    app, acted = things(lambda policy: [access.guard(policy)])
    guard = Guard(app, settings)
    async with running(guard):
        refused = await ask(guard, "GET", "/things", headers=headers)
        assert_refused(refused, "guard.plan_mismatch", 500)
        assert (await ask(guard, "GET", "/things")).text == "read"
    assert acted == []


# Input that is sent back (CWE-209)


def registration(**options):
    @post("/register", **options)
    async def register(data: JSONBody[dict[str, Literal["a", "b"]]]) -> None: ...

    @get("/search", **options)
    async def search(limit: FromQuery[int]) -> None: ...

    return litestar(register, search)


async def test_invalid_input_is_sent_back(settings):
    body = {"json": {"password": SECRET}}
    target = f"/search?limit=x&token={SECRET}"
    app = registration()
    assert SECRET in (await ask(app, "POST", "/register", **body)).text
    assert SECRET in (await ask(app, "GET", target)).text
    guard = Guard(registration(guards=[PUBLIC]), settings)
    async with running(guard):
        for answer in (
            await ask(guard, "POST", "/register", **body),
            await ask(guard, "GET", target),
        ):
            assert_refused(answer, "guard.invalid_input", 422)
            assert SECRET not in answer.text
        honest = await ask(guard, "POST", "/register", json={"kind": "a"})
        assert honest.status_code == 201


# A method that no rule names (CWE-863)


class Notes:
    """A plain application that looks at paths only."""

    def __init__(self) -> None:
        self.acted = []

    async def __call__(self, scope, receive, send):
        self.acted.append(scope["method"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"acted"})


async def test_a_method_without_a_rule_reaches_a_plain_application(settings):
    alone = Notes()
    assert (await ask(alone, "POST", "/admin")).text == "acted"
    notes = Notes()
    rules = [Rule("GET", "/admin", ADMIN), Rule("GET", "/open", access.public)]
    guard = Guard(with_lifespan(notes), settings, rules=rules)
    async with running(guard):
        for method in ("POST", "HEAD", "OPTIONS", "DELETE"):
            answer = await ask(guard, method, "/admin")
            assert answer.status_code == 404, method
        assert notes.acted == []
        assert (await ask(guard, "GET", "/open")).text == "acted"


def with_lifespan(app):
    async def requests_only(scope, receive, send):
        if scope["type"] != "http":
            raise ValueError(scope["type"])
        await app(scope, receive, send)

    return requests_only


# A policy that nobody has read, because it stands behind another door (CWE-862)


def admin_pages():
    api = FastAPI(openapi_url=None)

    @api.get("/admin")
    @access.require(ADMIN)
    def admin():
        return "administered"

    @api.get("/router", dependencies=[access.depends(ADMIN)])
    def by_dependency():
        return "administered"

    @api.get("/open")
    @access.require(access.public)
    def open_():
        return "open"

    return api


@pytest.fixture
def without_locks(monkeypatch):
    """Return a function that takes the second lock away."""
    return lambda: monkeypatch.setattr(Lock, "check", lambda lock: None)


@pytest.mark.parametrize("path", ["/sub/admin", "/sub/router"])
async def test_a_public_mount_permits_whatever_is_below_it(
    settings, path, without_locks
):
    guard = Guard(litestar(holding(admin_pages())), settings)
    async with running(guard):
        answer = await ask(guard, "GET", path)
        assert_refused(answer, "access.not_signed_in", 401)
        assert (await ask(guard, "GET", "/sub/open")).json() == "open"
    without_locks()
    guard = Guard(litestar(holding(admin_pages())), settings)
    async with running(guard):
        assert (await ask(guard, "GET", path)).json() == "administered"


def holding(api):

    @asgi("/sub", is_mount=True, copy_scope=True, guards=[PUBLIC])
    async def below(scope: Scope, receive: Receive, send: Send) -> None:
        await api({**scope, "path": scope["path"].rstrip("/")}, receive, send)

    return below


async def test_a_wider_rule_permits_whatever_is_behind_it(settings, without_locks):
    rules = [Rule("GET", "/{page}", access.public)]
    guard = Guard(with_lifespan(admin_pages()), settings, rules=rules)
    async with running(guard):
        assert_refused(await ask(guard, "GET", "/admin"), "access.not_signed_in", 401)
        assert (await ask(guard, "GET", "/open")).json() == "open"
    without_locks()
    guard = Guard(with_lifespan(admin_pages()), settings, rules=rules)
    async with running(guard):
        assert (await ask(guard, "GET", "/admin")).json() == "administered"
