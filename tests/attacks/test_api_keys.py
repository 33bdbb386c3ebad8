"""Keys of programs in the wrong hands (guide: "API Security"; CWE-522, CWE-285).

Alice has a nightly export, and a key for it. Mallory finds that key in a repository, in
a log, in a copy of the database, or makes one of her own at Alice's open browser.
"""

import asyncio
import json
import sqlite3
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route
from tests.attacks.serving import NO_TLS, RAISED, served

from ringfence import Guard, Settings, access

ALICE = {"email": "alice@example.com", "password": "correct horse battery"}
PATIENCE = 60.0
SOON = 10.0  # seconds; what is promised is two
SCOPES = ["orders:read", "orders:write"]


async def orders(request: Request) -> JSONResponse:
    return JSONResponse(["a bicycle"])


async def stream(request: Request) -> StreamingResponse:
    async def ticks():
        while True:
            yield b"tick\n"
            await asyncio.sleep(0.02)

    return StreamingResponse(ticks())


async def cancel(request: Request) -> JSONResponse:
    return JSONResponse({"cancelled": True})


async def whole_account(request: Request) -> JSONResponse:
    return JSONResponse({"card": "4242"})


async def front_page(request: Request) -> JSONResponse:
    return JSONResponse("welcome")


@dataclass(frozen=True)
class Side:
    """One of the two backends, with Alice's browser signed in there, and where its
    keys stand on the disk."""

    alice: httpx2.Client
    keys: str
    database: Path

    def make(self, **changes):
        """Let Alice make a key, by her browser."""
        wanted = {"label": "export", "scopes": SCOPES[:1], "days": 30} | changes
        answer = self.alice.post(self.keys, json=wanted)
        assert answer.status_code == 201, answer.text
        return answer.json()

    @contextmanager
    def program(self, key, **options):
        """A program with a key, and without anything of Alice's browser."""
        headers = {"authorization": f"Bearer {key}"} if key else {}
        with httpx2.Client(
            base_url=self.alice.base_url,
            headers=headers,
            verify=NO_TLS,
            timeout=PATIENCE,
            **options,
        ) as client:
            yield client

    def status(self, key, method="GET", path="/orders", **options):
        """Return what a program with this key is answered."""
        with self.program(key) as program:
            return program.request(method, path, **options).status_code

    def run(self, statement, *values):
        with closing(sqlite3.connect(self.database)) as opened, opened:
            return opened.execute(statement, values).fetchall()


def careless(database):
    """A backend whose keys are what many have: a row with the key in it, good for
    everything, for ever, from wherever it comes."""

    def rows(statement, *values):
        with closing(sqlite3.connect(database)) as opened, opened:
            return opened.execute(statement, values).fetchall()

    rows("CREATE TABLE keys (id TEXT, key TEXT, expires REAL)")

    async def login(request):
        answer = JSONResponse({"csrf_token": ""})
        answer.set_cookie("session", "alices", httponly=True)
        return answer

    async def make(request):
        wanted = await request.json()
        key = token_hex(16)
        rows("INSERT INTO keys VALUES (?, ?, 0)", wanted["label"], key)
        return JSONResponse({"id": wanted["label"], "key": key}, 201)

    async def show(request):
        return JSONResponse([{"key": key} for (key,) in rows("SELECT key FROM keys")])

    def for_members(endpoint):
        async def checked(request):
            bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
            key = request.query_params.get("key") or bearer
            known = rows("SELECT 1 FROM keys WHERE key = ?", key)
            if not known and request.cookies.get("session") != "alices":
                return JSONResponse({}, 401)
            return await endpoint(request)

        return checked

    return Starlette(
        routes=[
            Route("/login", login, methods=["POST"]),
            Route("/keys", for_members(make), methods=["POST"]),
            Route("/keys", for_members(show)),
            Route("/orders", for_members(orders)),
            Route("/stream", for_members(stream)),
            Route("/orders/1", for_members(cancel), methods=["DELETE"]),
            Route("/account", for_members(whole_account)),
            Route("/", front_page),
        ]
    )


def careful(data):
    """The same handlers behind a guard."""
    by_policy = {
        access.scope("orders:read"): [
            Route("/orders", orders),
            Route("/stream", stream),
        ],
        access.scope("orders:write"): [Route("/orders/1", cancel, methods=["DELETE"])],
        access.signed_in: [Route("/account", whole_account)],
        access.public: [Route("/", front_page)],
    }
    routes = [
        route
        for policy, some in by_policy.items()
        for route in access.routes(some, policy)
    ]
    settings = Settings.load(
        environ=RAISED,
        env="development",
        data=data,
        identity={"api_key_scopes": SCOPES},
    )
    return Guard(Starlette(routes=routes), settings)


@contextmanager
def signed_in(server, path):
    with httpx2.Client(
        base_url=server.url,
        headers={"origin": server.url},
        verify=NO_TLS,
        timeout=PATIENCE,
    ) as client:
        answer = client.post(path, json=ALICE)
        assert answer.status_code == 200, answer.text
        client.headers["x-csrf-token"] = answer.json()["csrf_token"]
        yield client


@pytest.fixture(scope="module")
def off(tmp_path_factory):
    """The backend as its developer wrote it."""
    database = tmp_path_factory.mktemp("off") / "keys.db"
    with (
        served(lambda _: careless(database)) as server,
        signed_in(server, "/login") as alice,
    ):
        yield Side(alice, "/keys", database)


@pytest.fixture(scope="module")
def on(tmp_path_factory):
    """The same with the guard in front of it."""
    data = tmp_path_factory.mktemp("on")
    with served(lambda _: careful(data)) as server:
        with httpx2.Client(base_url=server.url, verify=NO_TLS) as stranger:
            made = stranger.post("/auth/register", json=ALICE, timeout=PATIENCE)
            assert made.status_code == 202, made.text
        with signed_in(server, "/auth/login") as alice:
            yield Side(alice, "/auth/api-keys", data / "ringfence.db")


def test_the_export_works(off, on):
    """What keys are for; no CSRF token, no cookie, no origin."""
    for side in (off, on):
        key = side.make()["key"]
        with side.program(key) as program:
            assert program.get("/orders").json() == ["a bicycle"]
        assert side.status("") == 401
    key = on.make(scopes=SCOPES)["key"]
    assert on.status(key, "DELETE", "/orders/1") == 200
    with on.program(key) as program:
        told = program.get("/auth/me").json()
        assert (told["email"], told["scopes"]) == (ALICE["email"], SCOPES)


def test_a_key_that_leaks_opens_what_it_is_for(off, on):
    """Mallory finds the key of the export in a repository, and cancels orders with it,
    and reads what else the account has (CWE-285)."""
    key = off.make()["key"]
    assert off.status(key, "DELETE", "/orders/1") == 200
    assert off.status(key, path="/account") == 200
    key = on.make()["key"]
    with on.program(key) as program:
        for method, path in (
            ("DELETE", "/orders/1"),
            ("GET", "/account"),
            ("GET", "/"),
        ):
            answer = program.request(method, path)
            assert answer.status_code == 403
            assert answer.json()["code"] == "access.out_of_scope"
            assert "insufficient_scope" in answer.headers["www-authenticate"]


def test_a_key_makes_no_keys(off, on):
    """With one key Mallory makes a second one, for when the first is ended; and lists
    what else there is."""
    key = off.make()["key"]
    second = {"label": "mine", "scopes": SCOPES, "days": 365}
    assert off.status(key, "POST", "/keys", json=second) == 201
    assert off.status(key, path="/keys") == 200
    made = on.make(scopes=SCOPES)
    before = len(on.alice.get("/auth/api-keys").json())
    with on.program(made["key"]) as program:
        for method, path, body in (
            ("POST", "/auth/api-keys", second),
            ("GET", "/auth/api-keys", None),
            ("DELETE", f"/auth/api-keys/{made['id']}", None),
            ("GET", "/auth/sessions", None),
            ("DELETE", "/auth/sessions", None),
            ("POST", "/auth/login", ALICE),
            ("POST", "/auth/confirm", {"password": ALICE["password"]}),
            ("POST", "/auth/logout", {}),
        ):
            answer = program.request(method, path, json=body)
            assert answer.status_code == 403, path
            assert not answer.cookies
    assert len(on.alice.get("/auth/api-keys").json()) == before


def test_an_open_browser_is_not_enough_to_take_a_key_home(off, on):
    """Alice has gone for lunch; her session is an hour old (CWE-306). She herself
    confirms that it is her, and makes her key."""
    off.make(label="mallorys")
    on.run("UPDATE ringfence_sessions SET proved = proved - 3600")
    wanted = {"label": "mallorys", "scopes": SCOPES}
    answer = on.alice.post("/auth/api-keys", json=wanted)
    assert (answer.status_code, answer.json()["code"]) == (401, "access.not_fresh")
    confirmed = on.alice.post(
        "/auth/confirm", json={"password": ALICE["password"]}
    ).json()
    on.alice.headers["x-csrf-token"] = confirmed["csrf_token"]
    on.make()


def test_another_site_makes_no_key(off, on):
    """A page of Mallory's that Alice has open sends the form for her (CWE-352)."""
    wanted = {"label": "mallorys", "scopes": SCOPES}
    elsewhere = {"origin": "https://mallory.example", "x-csrf-token": ""}
    assert off.alice.post("/keys", json=wanted, headers=elsewhere).status_code == 201
    answer = on.alice.post("/auth/api-keys", json=wanted, headers=elsewhere)
    assert answer.status_code == 403


def test_a_copy_of_the_database_is_worth_nothing(off, on):
    """A backup that was left open (CWE-522): what stands in it opens nothing, in any
    form that it could be sent in."""
    off.make()
    ((stolen,), *_) = off.run("SELECT key FROM keys")
    assert off.status(stolen) == 200
    key = on.make()["key"]
    files = [each.read_bytes() for each in on.database.parent.rglob("*.db*")]
    assert not any(key.encode() in content for content in files)
    for (digest,) in on.run("SELECT token_hash FROM ringfence_api_keys"):
        for text in (digest.hex(), f"rfk_{digest.hex()}", f"rfk_{digest.hex()[:49]}"):
            assert on.status(text) == 401
    assert on.status(key) == 200


def test_a_key_in_an_address_is_not_read(off, on):
    """Addresses stand in logs, histories and the ``Referer`` of the next page
    (CWE-598)."""
    key = off.make()["key"]
    assert off.status("", path=f"/orders?key={key}") == 200
    key = on.make()["key"]
    for name in ("key", "api_key", "access_token", "authorization"):
        assert on.status("", path=f"/orders?{name}={key}") == 401
    for name in ("x-api-key", "api-key", "cookie"):
        assert on.status("", headers={name: f"session={key}"}) == 401


def test_a_key_ends(off, on):
    """By itself, or by its owner (CWE-613); everybody without a good one is told the
    same, and so not which of them once was one."""
    key = off.make()["key"]
    off.run("UPDATE keys SET expires = 1")  # a column that nobody looks at
    assert off.status(key) == 200
    ended, expired = on.make(), on.make()
    assert on.alice.delete(f"/auth/api-keys/{ended['id']}").status_code == 204
    on.run("UPDATE ringfence_api_keys SET expires = 1 WHERE id = ?", expired["id"])
    made_up = "rfk_00000000000000000000000000000000000000000004TD91r"
    mistyped = expired["key"][:-1] + "-"
    answers = []
    for text in (ended["key"], expired["key"], made_up, mistyped, "rfk_"):
        with on.program(text) as program:
            answer = program.get("/orders")
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
        answers.append((answer.status_code, _without_id(answer)))
    assert answers == [(401, answers[0][1])] * 5


def test_a_stream_ends_with_its_key(off, on):
    """Mallory listens, and goes on listening after Alice has ended the key."""
    made = off.make(label="listening")
    with listening(off, made["key"]) as ticks:
        off.run("DELETE FROM keys WHERE key = ?", made["key"])
        assert goes_on(ticks, 0.5)
    made = on.make()
    with listening(on, made["key"]) as ticks:
        assert on.alice.delete(f"/auth/api-keys/{made['id']}").status_code == 204
        assert not goes_on(ticks, SOON)


@contextmanager
def listening(side, key):
    with side.program(key) as program, program.stream("GET", "/stream") as answer:
        ticks = answer.iter_lines()
        assert next(ticks) == "tick"
        yield ticks


def goes_on(ticks, seconds):
    """Return whether a stream is still there after so many seconds."""
    until = time.monotonic() + seconds
    try:
        return any(time.monotonic() > until for _ in ticks)
    except httpx2.TransportError:  # cut off
        return False


def _without_id(answer):
    body = answer.json()
    del body["request_id"]
    return json.dumps(body)


def test_two_credentials_are_none(on):
    """With a session beside it the guard and a proxy could each believe another one."""
    key = on.make()["key"]
    answer = on.alice.get("/orders", headers={"authorization": f"Bearer {key}"})
    assert (answer.status_code, answer.json()["code"]) == (
        400,
        "identity.two_credentials",
    )
    assert on.status(f"{key}, Bearer {key}") == 401
    assert on.status("", headers=[("authorization", f"Bearer {key}")] * 2) == 400


@pytest.mark.parametrize(
    "text",
    ["rfk_" + "0" * 20_000, "rfk_\u00ff", "rfk_%00", "rfk_ x", "rfk_" + "'" * 49],
    ids=["long", "latin", "escaped", "space", "quotes"],
)
def test_what_is_no_key_is_refused(on, text):
    """Never a 500, whatever it is."""
    header = f"Bearer {text}".encode("latin-1")
    status = on.status("", headers={"authorization": header})
    assert status in {400, 401, 431}


def test_the_ledger_knows_the_keys_by_name(on):
    """Who has made one, and why another was refused; never the key itself."""
    made = on.make()
    assert on.status(made["key"][:-1] + "-") == 401
    ledger = (on.database.parent / "audit.jsonl").read_text()
    assert made["key"] not in ledger
