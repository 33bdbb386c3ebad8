"""Identity behind the real guard: what the two promise together."""

import time
from contextlib import asynccontextmanager

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from tests.identity.gatehouse import EMAIL, HTML, PASSWORD

from ringfence import Guard, Settings, access, current
from ringfence.stores.memory import MemoryStores

pytestmark = pytest.mark.anyio

BODY = {"email": EMAIL, "password": PASSWORD}
NEW = "another long one"


@access.require(access.signed_in)
async def whoami(request):
    return JSONResponse({"id": current.principal().id})


@access.require(access.fresh(minutes=5))
async def transfer(request):
    return JSONResponse({})


@asynccontextmanager
async def guarded(data, **settings):
    """A browser without Fetch-Metadata, before a guarded application."""
    routes = [
        Route("/whoami", whoami, methods=["GET", "POST"]),
        Route("/transfer", transfer),
    ]
    app = Starlette(routes=routes)
    settings = Settings.load(environ={}, env="development", data=data, **settings)
    guard = Guard(app, settings)
    await guard._open()
    await guard._close_plans()
    transport = httpx2.ASGITransport(guard, client=("127.0.0.1", 5000))
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://127.0.0.1:8000"
    ) as opened:
        await opened.post("/auth/register", json=BODY)
        yield opened
    await guard._close()


@pytest.fixture
async def client(tmp_path, anyio_backend):
    async with guarded(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize(
    "settings",
    [{"identity": {"sessions": "memory"}}, {"database": "memory://"}],
    ids=["sessions in memory", "everything in memory"],
)
async def test_memory_does_what_the_database_does(tmp_path, settings):
    async with guarded(tmp_path, **settings) as client:
        signed_in = (await client.post("/auth/login", json=BODY)).json()
        client.headers["x-csrf-token"] = signed_in["csrf_token"]
        assert (await client.get("/whoami")).json() == {"id": signed_in["id"]}
        (listed,) = (await client.get("/auth/sessions")).json()
        assert listed["current"] is True
        cookies = dict(client.cookies)
        assert (await client.post("/auth/logout")).status_code == 204
        client.cookies.update(cookies)
        assert (await client.get("/whoami")).status_code == 401
    assert (tmp_path / "ringfence.db").exists() is ("identity" in settings)


@pytest.mark.parametrize("minutes", [-10, 10])
async def test_a_proof_is_fresh_by_the_clock_that_it_was_written_by(
    tmp_path, monkeypatch, minutes
):
    """The database's: on a machine whose clock is ahead nothing would ever be fresh, on
    one whose clock is behind everything would be for longer than was said."""
    moved = [minutes * 60]

    def database(*_, **__):
        return MemoryStores(clock=lambda: time.time() + moved[0])

    monkeypatch.setattr("ringfence.identity.open.open_stores", database)
    async with guarded(tmp_path) as client:
        await client.post("/auth/login", json=BODY)
        assert (await client.get("/transfer")).status_code == 200
        moved[0] += 301
        assert (await client.get("/transfer")).status_code == 401


async def test_the_token_of_a_sign_in_works_at_once(client):
    """No page has to be fetched in between, and the old session's token is dead."""
    first = (await client.post("/auth/login", json=BODY)).json()["csrf_token"]
    token = {"x-csrf-token": first}
    assert (await client.post("/whoami")).status_code == 403
    assert (await client.post("/whoami", headers=token)).status_code == 200
    changed = await client.post(
        "/auth/password/change",
        json={"current_password": PASSWORD, "new_password": NEW},
        headers=token,
    )
    assert changed.status_code == 200
    assert (await client.post("/whoami", headers=token)).status_code == 403
    token = {"x-csrf-token": changed.json()["csrf_token"]}
    assert (await client.post("/whoami", headers=token)).status_code == 200


async def test_forms_carry_the_token(client):
    """The account page works in a browser that sends neither Origin nor
    Fetch-Metadata."""
    await client.post("/auth/login", json=BODY)
    page = (await client.get("/auth/account", headers=HTML)).text
    token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
    refused = await client.post("/auth/logout", data={"x": "1"}, headers=HTML)
    assert refused.status_code == 403
    left = await client.post("/auth/logout", data={"csrf_token": token}, headers=HTML)
    assert (left.status_code, left.headers["location"]) == (
        303,
        "/auth/login?note=signed-out",
    )
    assert (await client.get("/whoami")).status_code == 401


async def test_pages_lead_to_sign_in_and_back(client):
    sent = await client.get("/whoami?a=1", headers=HTML)
    assert sent.status_code == 303
    page = await client.get(sent.headers["location"], headers=HTML)
    assert 'name="next" value="/whoami?a=1"' in page.text
    form = BODY | {"next": "/whoami?a=1"}
    back = await client.post("/auth/login", data=form, headers=HTML)
    assert back.headers["location"] == "/whoami?a=1"
    assert (await client.get("/whoami")).status_code == 200


async def test_what_is_wrong_with_a_field_gets_through(client):
    sent = {"email": "x@example.com", "password": "short"}
    answer = await client.post("/auth/register", json=sent)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("password: The password needs at least")
    page = await client.post("/auth/register", data=sent, headers=HTML)
    assert page.status_code == 422
    assert 'value="x@example.com"' in page.text


async def test_pages_obey_the_policy_they_are_served_under(client):
    page = await client.get("/auth/login", headers=HTML)
    policy = page.headers["content-security-policy"]
    assert "unsafe-inline" not in policy
    style = next(p for p in policy.split(";") if p.strip().startswith("style-src"))
    assert "'self'" in style
    assert page.headers["cache-control"] == "no-store"


async def test_refusals_of_both_have_one_shape(client):
    ours = await client.post("/auth/login", json=BODY | {"password": "wrong one"})
    theirs = await client.get("/whoami")
    assert ours.status_code == theirs.status_code == 401
    assert set(ours.json()) == set(theirs.json())
    assert ours.headers["content-type"] == theirs.headers["content-type"]
    assert ours.json()["request_id"]


async def test_a_form_that_is_too_large_is_so_while_a_token_is_looked_for(tmp_path):
    """It is refused for what is wrong with it, and not taken for a crash."""
    async with guarded(tmp_path, traffic={"max_body": 1_000}) as client:
        await client.post("/auth/login", json=BODY)

        async def form():
            for _ in range(20):
                yield b"x=" + b"y" * 100 + b"&"

        kind = {"content-type": "application/x-www-form-urlencoded"}
        answer = await client.post("/whoami", content=form(), headers=kind)
        assert answer.status_code == 413
        assert "sys_crash" not in (tmp_path / "audit.jsonl").read_text()
