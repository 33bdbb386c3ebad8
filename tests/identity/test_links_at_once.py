"""Fifty who follow one link at once: one of them gets there, on every store, in one
process and in two."""

import asyncio
import subprocess
import sys
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from tests.identity.gatehouse import EMAIL, PASSWORD
from tests.identity.mailed import (
    forgot,
    letters,
    login,
    mailed,
    register,
    reset,
    verify,
)
from tests.servers.mail import running_mail_server

from ringfence.audit.events import AddressVerified, PasswordReset
from ringfence.stores.open import open_shared

pytestmark = pytest.mark.anyio

AT_ONCE = 50
BOUND = 60  # seconds that two processes may take together

# One process of two, with a gatehouse of its own beside the same database.
RACER = """
import asyncio, pathlib, sys
from types import SimpleNamespace
from tests.identity.mailed import mailed, reset

async def main(folder, port, code, name):
    server = SimpleNamespace(url=f"smtp://127.0.0.1:{port}", clear=lambda: None)
    async with mailed(pathlib.Path(folder), server, own_clock=False) as house:
        print("ready", flush=True)
        sys.stdin.readline()
        answers = await asyncio.gather(*(
            reset(house.client(f"198.51.100.{n}"), code, f"password {n} of {name}")
            for n in range(25)
        ))
        print(*[answer.status_code for answer in answers], flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def server():
    with running_mail_server() as mail:
        yield mail


@asynccontextmanager
async def opened(kind, tmp_path, server, request):
    """A gatehouse on a store of this kind."""
    async with AsyncExitStack() as stack:
        options = {"own_clock": False}
        if kind == "memory":
            options["database"] = "memory://"
        if kind == "postgres":
            options["database"] = request.getfixturevalue("postgres").url("psycopg")
        if kind == "redis":
            shared = open_shared(request.getfixturevalue("valkey").url)
            await shared.start()
            stack.push_async_callback(shared.stop)
            options["counters"] = shared.counters("identity")
            options["copies"] = shared.copies
        yield await stack.enter_async_context(mailed(tmp_path, server, **options))


async def at_once(house, do):
    """Let fifty browsers do the same; return how they were answered."""
    clients = [house.client(f"198.51.100.{n}") for n in range(AT_ONCE)]
    answers = await asyncio.gather(*map(do, clients, range(AT_ONCE)))
    for client in clients:
        await client.aclose()
    return [answer.status_code for answer in answers]


@pytest.mark.parametrize("kind", ["memory", "postgres", "redis"])
async def test_one_of_fifty_gets_there(kind, tmp_path, server, request):
    """One new password, of one of them; the address is proved once, too."""
    async with (
        opened(kind, tmp_path, server, request) as house,
        house.client() as client,
    ):
        await register(client, EMAIL, PASSWORD)
        (letter,) = await letters(house)
        proofs = [verify(client, letter.code, PASSWORD) for _ in range(5)]
        seen = [answer.status_code for answer in await asyncio.gather(*proofs)]
        assert seen.count(200) == len(house.ledger.named(AddressVerified)) == 1
        await forgot(client, EMAIL)
        (letter,) = await letters(house)
        clients = [house.client(f"198.51.100.{n}") for n in range(AT_ONCE)]
        answers = await asyncio.gather(
            *(
                reset(one, letter.code, f"a password, number {n}")
                for n, one in enumerate(clients)
            )
        )
        for one in clients:
            await one.aclose()
        seen = [answer.status_code for answer in answers]
        assert seen.count(200) == len(house.ledger.named(PasswordReset)) == 1
        won = f"a password, number {seen.index(200)}"
        assert (await login(client, EMAIL, won)).status_code == 200


def race(code, tmp_path, server):
    """Let two processes begin at once; return how all their browsers were answered."""
    port = str(server.port)
    racing = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, tmp_path, port, code, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    for one in racing:
        assert one.stdout.readline() == "ready\n"
    for one in racing:
        one.stdin.write("go\n")
        one.stdin.flush()
    said = [one.communicate(timeout=BOUND)[0] for one in racing]
    return " ".join(said).split()


async def test_one_of_two_processes_gets_there(tmp_path, server):
    async with (
        mailed(tmp_path, server, own_clock=False) as house,
        house.client() as client,
    ):
        await house.accounts.create(EMAIL, PASSWORD)
        before = await house.accounts.by_email(EMAIL)
        await forgot(client, EMAIL)
        (letter,) = await letters(house)
        seen = await asyncio.to_thread(race, letter.code, tmp_path, server)
        assert (len(seen), seen.count("200")) == (AT_ONCE, 1)
        after = await house.accounts.by_email(EMAIL)
        assert after.epoch == before.epoch + 2
