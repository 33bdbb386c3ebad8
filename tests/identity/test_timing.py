"""The time of an answer does not tell which addresses are known (CWE-208).

A statistical test: opt-in, since it takes minutes and a machine that does nothing else.
``docs/guides/identity/timing.md`` says how it works and how to read what it prints.
"""

import gc
import os
import random
import secrets
import sqlite3
import time
from contextlib import closing
from math import sqrt

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from tests.attacks.serving import NO_TLS, RAISED, served
from tests.servers.mail import running_mail_server

from ringfence import Guard, Settings

pytestmark = pytest.mark.skipif(
    os.environ.get("TIMING_TEST") != "1",
    reason="opt-in: it takes minutes and an idle machine; set TIMING_TEST=1",
)

PASSWORD, WRONG = "plum kettle window 9", "not the password of anybody"
SIGMAS = 4.0  # once in 16,000 runs by chance
KNOWN = 2000  # accounts; each is asked about a few times only, as a spy would
CONTROL_SECONDS = 0.001

ASKED = {  # how often, and what everybody is answered
    "login": (200, 401),
    "token": (200, 401),
    "register": (200, 202),
    "password/forgot": (1500, 202),
}


def add_accounts(database):
    """Copy the one account: known addresses that differ in nothing else."""
    with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        cursor = connection.execute("SELECT * FROM ringfence_accounts")
        names = [column[0] for column in cursor.description]
        row = dict(zip(names, cursor.fetchone(), strict=True))
        places = ", ".join("?" for _ in names)
        for number in range(KNOWN):
            email = f"known-{number:06}@example.com"
            more = {"id": secrets.token_urlsafe(16), "email": email, "email_key": email}
            disabled = {"disabled": number % 4 == 0}
            values = [{**row, **more, **disabled}[name] for name in names]
            connection.execute(
                f"INSERT INTO ringfence_accounts VALUES ({places})", values
            )


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    data = tmp_path_factory.mktemp("timing")
    with running_mail_server() as mail:

        def make(port):
            settings = Settings.load(
                environ=RAISED,
                env="development",
                data=data,
                tokens={"enabled": True},
                mail={
                    "server": mail.url,
                    "sender": "shop@example.com",
                    "requests_per_address": 1_000_000,
                    "queue": 100_000,
                },
            )
            return Guard(Starlette(), settings)

        with served(make) as running:
            with httpx2.Client(base_url=running.url, verify=NO_TLS) as client:
                body = {"email": "known@example.com", "password": PASSWORD}
                assert client.post("/auth/register", json=body).status_code == 202
            add_accounts(data / "ringfence.db")
            yield running


def emails(known):
    """Addresses of one length, known or not."""
    stem = "known" if known else "nobdy"
    return (f"{stem}-{number:06}@example.com" for number in range(10**6))


def times(url, path, rounds, status):
    """Ask about known and unknown addresses in turn, in an order that is chosen anew
    each time; return the seconds of both."""
    whose = {True: emails(known=True), False: emails(known=False)}
    taken = {True: [], False: []}
    with httpx2.Client(base_url=url, verify=NO_TLS, timeout=60) as client:
        gc.disable()
        for number in range(rounds + 10):
            for known in random.sample((True, False), 2):
                body = {"email": next(whose[known]), "password": WRONG}
                if path.endswith("forgot"):
                    del body["password"]
                begun = time.perf_counter()
                answer = client.post(path, json=body)
                assert answer.status_code == status
                if number >= 10:  # the first ones warm up
                    taken[known].append(time.perf_counter() - begun)
        gc.enable()
    return taken[True], taken[False]


def told_apart(some, others):
    """How many standard deviations two samples are from being of one kind.

    The share of pairs in which the first is slower, against one half: Mann-Whitney's
    U, which needs no distribution and minds no outliers.
    """
    ranked = sorted([(t, 0) for t in others] + [(t, 1) for t in some])
    below = slower = 0
    for _, is_one in ranked:
        slower += below * is_one
        below += not is_one
    n, m = len(some), len(others)
    share = slower / (n * m)
    return share, (share - 0.5) / sqrt((n + m + 1) / (12 * n * m))


@pytest.mark.parametrize("path", ASKED)
def test_known_and_unknown_addresses_take_one_time(server, path):
    known, unknown = times(server.url, f"/auth/{path}", *ASKED[path])
    share, sigmas = told_apart(known, unknown)
    middle = [sorted(taken)[len(taken) // 2] * 1000 for taken in (known, unknown)]
    print(  # noqa: T201 - what is measured is what is wanted
        f"{path}: known {middle[0]:.3f} ms, unknown {middle[1]:.3f} ms, "
        f"known slower in {share:.3f} of pairs, {sigmas:+.1f} sigma"
    )
    assert abs(sigmas) < SIGMAS


def test_the_method_finds_a_millisecond():
    """A control: else a test that sees nothing would prove nothing."""

    def answer(request):
        time.sleep(CONTROL_SECONDS * ("known" in str(request.url)))
        return JSONResponse({})

    routes = [Route("/{who}", answer, methods=["POST"])]
    taken = {"known": [], "other": []}
    with (
        served(lambda _: Starlette(routes=routes)) as running,
        httpx2.Client(base_url=running.url, verify=NO_TLS) as client,
    ):
        for _ in range(200):
            for who in random.sample(tuple(taken), 2):
                begun = time.perf_counter()
                client.post(f"/{who}")
                taken[who].append(time.perf_counter() - begun)
    assert told_apart(taken["known"], taken["other"])[1] > SIGMAS
