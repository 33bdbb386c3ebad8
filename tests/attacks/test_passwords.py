"""Passwords guessed, cracked, and used to stop a server (CWE-916, CWE-400, CWE-208)."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import argon2
import bcrypt
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from tests.attacks.serving import NO_TLS, RAISED, served

from ringfence import Guard, Settings, access
from ringfence.identity.passwords.argon2 import Argon2id
from ringfence.identity.passwords.common_passwords import ranks

ALICE = {"email": "alice@example.com", "password": "a long pass phrase"}
BOB = {"email": "bob@example.com", "password": "another pass phrase"}
PATIENCE = 60.0  # seconds for an answer that comes
IMPATIENCE = 0.5  # seconds after which an answer does not come


async def home(request):
    return PlainTextResponse("at home")


def guard(folder: Path, **settings: str):
    environ = {
        **RAISED,
        **{f"RINGFENCE_IDENTITY_{name.upper()}": v for name, v in settings.items()},
    }
    loaded = Settings.load(environ=environ, env="development", data=folder)
    app = Starlette(routes=access.routes([Route("/", home)], access.public))
    return Guard(app, loaded)


def inline(folder: Path):
    """The commonest backend: the hash is verified in the handler itself."""
    hasher = Argon2id()
    stored = {who["email"]: hasher.hash(who["password"]) for who in (ALICE, BOB)}

    async def login(request):
        sent = await request.json()
        hasher.verify(stored[sent["email"]], sent["password"])
        return JSONResponse({})

    routes = [Route("/", home), Route("/auth/login", login, methods=["POST"])]
    return Starlette(routes=routes)


@contextmanager
def guarded(folder: Path, *people, **settings: str):
    """Serve a guarded application that knows these people."""
    with served(lambda port: guard(folder, **settings)) as server:
        for person in people:
            answer = httpx2.post(
                f"{server.url}/auth/register", json=person, verify=NO_TLS
            )
            assert answer.status_code == 202
        yield server


def sign_in(server, person, source="127.0.0.1", timeout=PATIENCE):
    transport = httpx2.HTTPTransport(local_address=source, verify=NO_TLS)
    with httpx2.Client(transport=transport, timeout=timeout) as client:
        return client.post(f"{server.url}/auth/login", json=person)


@pytest.fixture
def slow(monkeypatch):
    """Makes every verification wait until the test lets it go on."""
    gate, begun = threading.Event(), threading.Event()
    real = Argon2id.verify

    def waiting(self, stored, password):
        begun.set()
        gate.wait(PATIENCE)
        return real(self, stored, password)

    monkeypatch.setattr(Argon2id, "verify", waiting)
    waiting.begun, waiting.gate = begun, gate
    yield waiting
    gate.set()


def home_answers(server):
    try:
        return (
            httpx2.get(server.url, timeout=IMPATIENCE, verify=NO_TLS).status_code == 200
        )
    except httpx2.TimeoutException:
        return False


def test_one_sign_in_stops_who_hashes_in_the_handler(slow):
    """While one password is verified nobody else gets an answer."""
    with served(lambda port: inline(Path())) as server, ThreadPoolExecutor() as pool:
        signing_in = pool.submit(sign_in, server, ALICE)
        assert slow.begun.wait(PATIENCE)
        assert not home_answers(server)
        slow.gate.set()
        assert signing_in.result().status_code == 200


def test_many_sign_ins_do_not_stop_the_guard(slow, tmp_path):
    """The same storm, eightfold: everything else is answered meanwhile."""
    slow.gate.set()
    with guarded(tmp_path, ALICE) as server, ThreadPoolExecutor(8) as pool:
        slow.gate.clear()
        storm = [pool.submit(sign_in, server, ALICE) for _ in range(8)]
        assert slow.begun.wait(PATIENCE)
        assert home_answers(server)
        slow.gate.set()
        assert {each.result().status_code for each in storm} == {200}


@pytest.mark.parametrize("share", ["10000", "3"])
def test_one_address_cannot_fill_the_queue(slow, tmp_path, share):
    """With a share for each address a stranger is served in a flood; without, not."""
    places = {"hash_threads": "1", "hash_queue": "5", "hash_per_network": share}
    slow.gate.set()
    with (
        guarded(tmp_path, ALICE, BOB, **places) as server,
        ThreadPoolExecutor(20) as pool,
    ):
        slow.gate.clear()
        flood = [pool.submit(sign_in, server, ALICE) for _ in range(12)]
        places_taken = min(6, int(share))
        _await(lambda: sum(each.done() for each in flood) == 12 - places_taken)
        refused = [each.result() for each in flood if each.done()]
        assert {each.status_code for each in refused} == {503}
        assert all(int(each.headers["retry-after"]) >= 1 for each in refused)
        honest = pool.submit(sign_in, server, BOB, "127.0.0.2")
        if share == "10000":
            assert honest.result().status_code == 503
        slow.gate.set()
        if share == "3":
            assert honest.result().status_code == 200
        admitted = [each.result() for each in flood if each.result().status_code == 200]
        assert len(admitted) == places_taken


def _await(condition):
    for _ in range(int(PATIENCE / 0.01)):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not come to that")


def plant(folder: Path, stored: str):
    """Write a hash into the database, as an import or an intruder would."""
    opened = sqlite3.connect(folder / "ringfence.db", timeout=PATIENCE)
    with closing(opened) as database, database:
        changed = database.execute(
            "UPDATE ringfence_accounts SET password_hash = ?", [stored]
        )
        assert changed.rowcount == 1
    database.close()


def test_common_passwords_fall_in_no_time_and_are_not_taken(tmp_path):
    """A bare digest of a common password is found by its list at once; at today's
    cost a guess takes a hundred thousand times as long, and the password is refused."""
    stolen = hashlib.md5(b"123456789a").hexdigest()
    began = time.thread_time()
    found = next(
        word for word in ranks() if hashlib.md5(word.encode()).hexdigest() == stolen
    )
    per_digest = (time.thread_time() - began) / ranks()[found]
    hasher = Argon2id()
    began = time.thread_time()
    hasher.hash(found)
    assert time.thread_time() - began > 1000 * per_digest
    with guarded(tmp_path) as server:
        for password in (found, "password password", "alice@example.com"):
            body = {**ALICE, "password": password}
            answer = httpx2.post(f"{server.url}/auth/register", json=body)
            assert answer.status_code == 422
            assert password not in answer.text
        assert httpx2.post(f"{server.url}/auth/register", json=ALICE).is_success


def test_a_planted_hash_is_worked_on_by_others_and_not_by_the_guard(tmp_path):
    """One row in the database would cost minutes or gigabytes at every sign-in."""
    planted = argon2.PasswordHasher(time_cost=40_000, memory_cost=8, parallelism=1)
    parameters = f"$argon2id$v=19$m=8,t=40000,p=1$c2FsdHNhbHQ${'A' * 43}"
    began = time.thread_time()
    with pytest.raises(argon2.exceptions.VerifyMismatchError):
        planted.verify(parameters, "x")
    assert time.thread_time() - began > 0.05
    with guarded(tmp_path, ALICE) as server:
        for cost in ("m=4194304,t=1", "m=65536,t=100000", "m=8,t=999999999"):
            plant(tmp_path, parameters.replace("m=8,t=40000", cost))
            assert sign_in(server, ALICE).status_code == 401
    assert "costs more than is allowed" in (tmp_path / "audit.jsonl").read_text()


def cut(password, stored):
    """What programs did before bcrypt 5: cut the password without a word."""
    return bcrypt.checkpw(password.encode()[:72], stored.encode())


def test_the_end_of_a_long_password_counts(tmp_path):
    """Of a password bcrypt sees 72 bytes: with another end people
    were let in (CVE-2025-22228)."""
    long = "ü" * 36
    stored = bcrypt.hashpw(long.encode(), bcrypt.gensalt(4)).decode()
    assert cut(long + "another end", stored)
    with guarded(tmp_path, ALICE) as server:
        plant(tmp_path, stored)
        other = {**ALICE, "password": long + "another end"}
        assert sign_in(server, other).status_code == 401
        assert sign_in(server, {**ALICE, "password": long}).status_code == 200


def times(server, person):
    """Return the lesser of two: what is above it is the machine's doing."""
    found = []
    for _ in range(2):
        began = time.perf_counter()
        assert sign_in(server, person).status_code == 401
        found.append(time.perf_counter() - began)
    return min(found)


KINDS = {
    "bcrypt": lambda: bcrypt.hashpw(b"x", bcrypt.gensalt(9)).decode(),
    "PBKDF2": lambda: f"pbkdf2_sha256$100000$salt${'A' * 43}",
    "none": lambda: "",
    "damaged": lambda: "$2b$99$",
}


def test_time_tells_who_checks_at_once_which_accounts_there_are():
    """Nothing to check is faster than something to check."""

    def checked(stored):
        began = time.thread_time()
        if stored:
            bcrypt.checkpw(b"wrong", stored.encode())
        return time.thread_time() - began

    assert checked(KINDS["bcrypt"]()) > 20 * checked("")


def test_time_tells_nothing_about_an_account(tmp_path):
    """Unknown, without a password, or hashed by whatever program: none answers before
    the moment that was fixed when it was asked (CVE-2026-22746, CVE-2025-13473). That
    none answers later is shown with a clock of its own, in test_evenly.py."""
    floor = 0.25
    wrong = {**ALICE, "password": "not the pass phrase"}
    with guarded(tmp_path, ALICE, password_answer_ms="250") as server:
        taken = {"unknown": times(server, BOB), "Argon2id": times(server, wrong)}
        for kind, make in KINDS.items():
            plant(tmp_path, make())
            taken[kind] = times(server, wrong)
    assert min(taken.values()) >= floor, taken
