"""What several processes open that one does not (CWE-307, CWE-613, CWE-799).

The off side is what several workers are without a store that they share: each counts,
blocks and remembers for itself. The defence would refuse to start so in production.
"""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from tests.attacks.serving import lifespan

from ringfence import Guard, Settings, access, limit
from ringfence.errors import SettingsError
from ringfence.identity.settings import IdentitySettings
from ringfence.settings.workers import refuse_memory
from ringfence.stores.open import open_database

pytestmark = pytest.mark.anyio

ALICE = {"email": "alice@example.com", "password": "correct horse battery staple"}
WORKERS = 3
QUICK = IdentitySettings(password_answer_ms=10)


async def show(_):
    return PlainTextResponse("shown")


def application():
    return Starlette(
        routes=[
            *access.routes([Route("/", show)], access.public),
            *access.routes([Route("/me", show)], access.signed_in),
            *access.routes(
                [Route("/export", show)], access.public, limit("5/hour", by="address")
            ),
        ]
    )


@asynccontextmanager
async def workers(folder, **settings):
    """Start guards of one application that share their database, and what is said."""
    async with AsyncExitStack() as started:
        clients = []
        for _ in range(WORKERS):
            chosen = Settings.load(
                environ={},
                env="development",
                data=folder,
                identity=QUICK,
                **settings,
            )
            guard = Guard(application(), chosen)
            assert await started.enter_async_context(lifespan(guard)) == ""
            transport = httpx2.ASGITransport(app=guard, client=("127.0.0.1", 5000))
            client = httpx2.AsyncClient(
                transport=transport, base_url="http://127.0.0.1:8000"
            )
            clients.append(await started.enter_async_context(client))
        yield clients


@pytest.fixture
def off(tmp_path):
    return workers(tmp_path)


@pytest.fixture
def on(tmp_path, valkey):
    return workers(tmp_path, store=f"{valkey.url}?timeout=10")


async def in_turn(clients, path, times):
    """Ask the workers one after the other, as a balancer does."""
    return [
        (await clients[number % WORKERS].get(path)).status_code
        for number in range(times)
    ]


async def guesses(clients, count):
    """Try so many wrong passwords; return at how many workers the right one still
    signs in after them."""
    for number in range(count):
        wrong = {**ALICE, "password": f"guess number {number}"}
        await clients[number % WORKERS].post("/auth/login", json=wrong)
    right = [await client.post("/auth/login", json=ALICE) for client in clients]
    return sum(answer.status_code == 200 for answer in right)


async def test_a_limit_is_multiplied(off, on):
    """Of five exports an hour, three workers let fifteen pass."""
    async with off as clients:
        assert (await in_turn(clients, "/export", 30)).count(200) == 5 * WORKERS
    async with on as clients:
        found = await in_turn(clients, "/export", 30)
        assert found.count(200) == 5
        assert found[5:] == [429] * 25


async def test_passwords_are_guessed_at_every_worker(off, on):
    """Five wrong ones lock the account, wherever they were tried; two at each of three
    workers lock nobody there."""
    async with off as clients:
        await clients[0].post("/auth/register", json=ALICE)
        assert await guesses(clients, 6) == WORKERS
    async with on as clients:
        assert await guesses(clients, 6) == 0


async def test_who_was_turned_away_comes_in_by_another_worker(off, on):
    for side, known in ((off, 1), (on, WORKERS)):
        async with side as clients:
            guards = [client._transport.app for client in clients]
            await guards[0].blocklist.add("203.0.113.7", seconds=60, reason="scans")
            await in_turn(clients, "/", WORKERS)
            blocked = [guard.blocklist.find("203.0.113.7") for guard in guards]
            assert sum(one is not None for one in blocked) == known


async def test_a_copy_outlives_the_sign_out(on, tmp_path):
    """The off side of this one is a database that is changed behind the copies: the
    thief's session goes on until its copy is void. Through the guard it ends at once,
    in every worker."""
    async with on as clients:
        owner, thief, passer_by = clients
        await owner.post("/auth/register", json=ALICE)
        token = (await owner.post("/auth/login", json=ALICE)).json()["csrf_token"]
        thief.cookies = owner.cookies
        assert (await thief.get("/me")).status_code == 200
        assert (await thief.get("/me")).status_code == 200  # from a copy by now

        stores = open_database(f"sqlite:///{tmp_path / 'ringfence.db'}")
        await stores.start()
        account = await stores.accounts.by_email(ALICE["email"])
        await stores.sessions.end_all(account.id, keep=None)
        await stores.stop()
        assert (await thief.get("/me")).status_code == 200

        await owner.post("/auth/logout", headers={"x-csrf-token": token})
        passer_by.cookies = thief.cookies
        for client in (thief, passer_by):
            assert (await client.get("/me")).status_code == 401


async def test_honest_use_is_the_same_on_all_workers(on):
    async with on as clients:
        await clients[0].post("/auth/register", json=ALICE)
        await clients[0].post("/auth/login", json=ALICE)
        for client in clients[1:]:
            client.cookies = clients[0].cookies
        assert await in_turn(clients, "/me", 9) == [200] * 9
        answers = await asyncio.gather(*(client.get("/") for client in clients * 5))
        assert {answer.status_code for answer in answers} == {200}


def test_workers_that_share_nothing_do_not_start(tmp_path):
    """So that nobody has the off side without knowing."""
    settings = Settings.load(environ={}, env="development", data=tmp_path)
    with pytest.raises(SettingsError, match="RINGFENCE_STORE="):
        refuse_memory(settings, f"--workers is {WORKERS}")
