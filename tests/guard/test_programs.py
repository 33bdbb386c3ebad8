"""Programs with tokens, and browsers with tokens in cookies, behind a whole guard."""

import asyncio

import pytest
from msgspec.structs import replace
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from tests.identity.tokens.programs import Key

from ringfence import access, limit
from ringfence.identity.tokens.settings import TokenSettings

pytestmark = pytest.mark.anyio

ANN = {"email": "ann@example.com", "password": "correct horse battery staple"}
BASE = "http://127.0.0.1:8000"


async def show(_):
    return PlainTextResponse("shown")


async def feed(websocket):
    await websocket.accept()
    await websocket.receive_text()


def shop():
    return Starlette(
        routes=[
            *access.routes([Route("/", show)], access.public),
            *access.routes(
                [Route("/mine", show, methods=["GET", "POST"])], access.signed_in
            ),
            *access.routes(
                [Route("/often", show)],
                access.signed_in,
                limit("3/hour", by="account"),
            ),
            *access.routes([Route("/pay", show)], access.fresh(minutes=1)),
            *access.routes([WebSocketRoute("/feed", feed)], access.signed_in),
        ]
    )


@pytest.fixture
def programs(guarded, settings_of):
    """Return a function that starts a guard that hands out tokens."""

    def make(**options):
        settings = settings_of(tokens=TokenSettings(enabled=True), **options)
        return guarded(shop(), settings)

    return make


async def sign_in(client, **more):
    await client.post("/auth/register", json=ANN)
    answer = await client.post("/auth/token", json=ANN | more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def bearer(tokens):
    return {"authorization": f"Bearer {tokens['access_token']}"}


async def test_a_token_opens_what_a_session_opens(programs):
    async with programs() as started, started.client() as client:
        headers = bearer(await sign_in(client))
        assert (await client.get("/mine", headers=headers)).status_code == 200
        assert (await client.post("/mine", headers=headers)).status_code == 200
        answer = await client.get("/mine")
        assert answer.json()["code"] == "access.not_signed_in"


async def test_a_bad_one_is_told_so_on_any_route(programs):
    async with programs() as started, started.client() as client:
        answer = await client.get("/", headers={"authorization": "Bearer x"})
        assert answer.status_code == 401
        challenge = answer.headers["www-authenticate"]
        assert challenge == 'Bearer realm="ringfence", error="invalid_token"'


async def test_two_lines_are_two_credentials(programs):
    async with programs() as started, started.client() as client:
        token = bearer(await sign_in(client))["authorization"].encode()
        lines = [(b"host", b"127.0.0.1:8000")] + [(b"authorization", token)] * 2
        start, _ = await started.call({"path": "/mine", "headers": lines})
        assert start["status"] == 400


async def test_a_program_is_told_to_sign_in_anew(programs):
    """RFC 9470, section 3."""
    async with programs() as started, started.client() as client:
        tokens = await sign_in(client)
        assert (await client.get("/pay", headers=bearer(tokens))).status_code == 200
        verifier = started.guard._rooms.identity.sessions._credentials._tokens.verifier
        known = verifier.known(tokens["access_token"].encode())
        for half in (verifier._young, verifier._old):
            for name in half:
                half[name] = replace(known, auth_time=known.auth_time - 61)
        answer = await client.get("/pay", headers=bearer(tokens))
        assert answer.json()["code"] == "access.not_fresh"
        assert "confirm" not in answer.json()
        assert answer.headers["www-authenticate"] == (
            'Bearer realm="ringfence", error="insufficient_user_authentication", '
            'max_age="60"'
        )


async def test_a_token_in_a_cookie_wants_what_a_session_wants(programs):
    """CWE-352: a browser adds it to what any page sends."""
    async with programs() as started, started.client() as client:
        told = await sign_in(client, transport="cookie")
        assert told["csrf_token"]
        foreign = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
        assert (await client.post("/mine", headers=foreign)).status_code == 403
        answer = await client.post("/mine")
        assert answer.json()["code"] == "browser.csrf_missing"
        answer = await client.post("/mine", headers={"x-csrf-token": "A" * 86})
        assert answer.json()["code"] == "browser.csrf_wrong"
        token = {"x-csrf-token": told["csrf_token"]}
        assert (await client.post("/mine", headers=token)).status_code == 200
        own = {"origin": BASE, "sec-fetch-site": "same-origin"}
        again = await client.post(
            "/auth/token/refresh", json={"transport": "cookie"}, headers=own
        )
        assert again.status_code == 200
        # Bound to the sign-in, not to one token: a form that is open stays good.
        assert (await client.post("/mine", headers=token)).status_code == 200
        assert (await client.get("/mine", headers=foreign)).status_code == 403


async def test_the_token_of_another_s_form_is_worth_nothing(programs):
    async with programs() as started, started.client() as client:
        first = await sign_in(client, transport="cookie")
        async with started.client() as other:
            await sign_in(other, transport="cookie")
            token = {"x-csrf-token": first["csrf_token"]}
            answer = await other.post("/mine", headers=token)
            assert answer.json()["code"] == "browser.csrf_wrong"


async def test_a_script_with_an_expired_cookie_is_told_to_refresh(
    programs, monkeypatch
):
    async with programs() as started, started.client() as client:
        await sign_in(client, transport="cookie")
        credentials = started.guard._rooms.identity.sessions._credentials
        clock = credentials._clock
        monkeypatch.setattr(credentials, "_clock", lambda: clock() + 600)
        answer = await client.get("/mine")
        assert (answer.status_code, answer.json()["code"]) == (
            401,
            "identity.token_expired",
        )
        assert (await client.get("/")).status_code == 200


SCRIPTS = ("evalsha", "eval", "fcall")


def asked(valkey):
    """Return how many scripts the server has run."""
    with valkey.client() as client:
        found = client.info("commandstats")
    return sum(found.get(f"cmdstat_{name}", {}).get("calls", 0) for name in SCRIPTS)


async def test_a_request_with_a_token_asks_the_store_once(programs, valkey):
    """Revocation, blocks and every limit in one question; none to the database."""
    async with programs(store=valkey.url) as started, started.client() as client:
        headers = bearer(await sign_in(client))
        client.cookies.clear()
        for _ in range(2):
            assert (await client.get("/mine", headers=headers)).status_code == 200
        before = asked(valkey)
        keyspace = started.guard._rooms.shared._keyspace
        sent = keyspace.round_trips
        for _ in range(5):
            assert (await client.get("/mine", headers=headers)).status_code == 200
        assert asked(valkey) == before + 5
        assert keyspace.round_trips == sent + 5


async def test_the_limits_of_its_account_go_along(programs, valkey):
    async with programs(store=valkey.url) as started, started.client() as client:
        headers = bearer(await sign_in(client))
        client.cookies.clear()
        found = [
            (await client.get("/often", headers=headers)).status_code for _ in range(5)
        ]
        assert found == [200, 200, 200, 429, 429]


async def test_a_copy_does_not_outlive_a_revocation(programs, valkey):
    async with programs(store=valkey.url) as started, started.client() as client:
        tokens = await sign_in(client)
        client.cookies.clear()
        for _ in range(2):
            answer = await client.get("/mine", headers=bearer(tokens))
            assert answer.status_code == 200
        body = {"token": tokens["refresh_token"]}
        assert (await client.post("/auth/token/revoke", json=body)).status_code == 200
        answer = await client.get("/mine", headers=bearer(tokens))
        assert answer.json()["code"] == "identity.token_revoked"


async def test_a_websocket_ends_with_the_family(programs):
    async with programs() as started, started.client() as client:
        tokens = await sign_in(client)
        lines = [
            (b"host", b"127.0.0.1:8000"),
            (b"authorization", bearer(tokens)["authorization"].encode()),
        ]
        scope = {
            "type": "websocket",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "scheme": "ws",
            "path": "/feed",
            "raw_path": b"/feed",
            "query_string": b"",
            "root_path": "",
            "client": ("127.0.0.1", 5000),
            "server": ("127.0.0.1", 8000),
            "headers": lines,
            "subprotocols": [],
        }
        incoming = asyncio.Queue()
        incoming.put_nowait({"type": "websocket.connect"})
        accepted, closed = asyncio.Event(), asyncio.Event()

        async def send(message):
            if message["type"] == "websocket.accept":
                accepted.set()
            elif message["type"] == "websocket.close":
                closed.set()

        serving = asyncio.create_task(started.guard(scope, incoming.get, send))
        await asyncio.wait_for(accepted.wait(), 10)
        assert not closed.is_set()
        body = {"token": tokens["access_token"]}
        assert (await client.post("/auth/token/revoke", json=body)).status_code == 200
        await asyncio.wait_for(closed.wait(), 10)
        serving.cancel()
        await asyncio.wait((serving,))


async def test_a_bound_token_behind_the_guard(programs):
    key = Key()
    async with programs() as started, started.client() as client:
        await client.post("/auth/register", json=ANN)
        now = started.guard._rooms.identity.clock
        proof = key.proof("POST", f"{BASE}/auth/token", now())
        answer = await client.post("/auth/token", json=ANN, headers={"dpop": proof})
        token = answer.json()["access_token"]
        client.cookies.clear()
        for proof, status in (
            (key.proof("GET", f"{BASE}/mine", now(), token), 200),
            (key.proof("GET", f"{BASE}/", now(), token), 401),
            (Key().proof("GET", f"{BASE}/mine", now(), token), 401),
        ):
            headers = {"authorization": f"DPoP {token}", "dpop": proof}
            answer = await client.get("/mine", headers=headers)
            assert answer.status_code == status
