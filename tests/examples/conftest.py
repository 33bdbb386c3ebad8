"""The shop behind its guard, and people who use it."""

from __future__ import annotations

import asyncio
import importlib
import sqlite3
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from itertools import count

import httpx2
import pytest

PORT = 8000
HOME = f"http://127.0.0.1:{PORT}"
PASSWORD = "a long pass phrase"
# What a browser says of a form on our own page.
OWN_PAGE = {"Sec-Fetch-Site": "same-origin", "Origin": HOME, "Accept": "text/html"}

_numbers = count(1)


@asynccontextmanager
async def started(app):
    """Run the application's start-up and shutdown around the block."""
    inbox, outbox = asyncio.Queue(), asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    task = asyncio.create_task(app(scope, inbox.get, outbox.put))

    async def ask(event):
        await inbox.put({"type": f"lifespan.{event}"})
        answer = asyncio.create_task(outbox.get())
        await asyncio.wait({answer, task}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            answer.cancel()
            await task
        assert (await answer)["type"] == f"lifespan.{event}.complete"

    await ask("startup")
    try:
        yield
    finally:
        await ask("shutdown")
        await task


@dataclass
class Person:
    """Somebody with an account, as a program (``api``) and as a browser (``page``)."""

    id: str
    email: str
    api: httpx2.AsyncClient
    page: httpx2.AsyncClient
    csrf_token: str

    async def post(self, path, **fields):
        """Send a form from one of our pages."""
        fields = {"csrf_token": self.csrf_token, **fields}
        return await self.page.post(path, data=fields, headers=OWN_PAGE)

    async def balance(self):
        answer = await self.api.get(f"/api/users/{self.id}/profile")
        return answer.json()["balance"]


class Town:
    """A shop and its customers."""

    def __init__(self, guard, stack):
        self.guard = guard
        self._stack = stack

    async def client(self):
        transport = httpx2.ASGITransport(self.guard, client=("127.0.0.1", 50_000))
        client = httpx2.AsyncClient(transport=transport, base_url=HOME)
        return await self._stack.enter_async_context(client)

    async def person(self, *roles, email=""):
        email = email or f"person{next(_numbers)}@example.org"
        made = await self.guard._rooms.identity.accounts.create(email, PASSWORD, roles)
        api, page = await self.client(), await self.client()
        account = {"email": email, "password": PASSWORD}
        answer = await api.post("/auth/login", json=account)
        assert answer.status_code == 200, answer.text
        token = answer.json()["csrf_token"]
        page.cookies = api.cookies
        api.headers["X-CSRF-Token"] = token
        return Person(made.id, email, api, page, token)

    async def let_minutes_pass(self, minutes):
        """Let everybody's last proof of who they are be so much older."""
        database = self.guard.settings.data / "ringfence.db"
        statement = "UPDATE ringfence_sessions SET proved = proved - ?"
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute(statement, (minutes * 60,))
        await self.person()  # what the guard has kept is read anew after any write


@pytest.fixture
def make_guard(tmp_path, monkeypatch):
    """Return a function that builds the shop over the same folder every time."""
    monkeypatch.setenv("RINGFENCE_ENV", "development")
    monkeypatch.setenv("RINGFENCE_DATA", str(tmp_path))
    monkeypatch.setenv("RINGFENCE_IDENTITY_SIGN_INS_PER_ADDRESS", "1000")
    shop = importlib.import_module("examples.shop.application")  # after its settings
    return lambda: shop.create(shop.load_settings())


@pytest.fixture
async def town(make_guard):
    guard = make_guard()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(started(guard))
        yield Town(guard, stack)


@pytest.fixture
async def stranger(town):
    return await town.client()


@pytest.fixture
async def ada(town):
    return await town.person()


@pytest.fixture
async def bob(town):
    return await town.person()


@pytest.fixture
async def olga(town):
    return await town.person("operator")
