"""Asking without end: scans, floods, and the ways around a limit (CWE-770, CWE-799,
CWE-348). Each attack succeeds without the guard and fails with it."""

import asyncio
import contextlib
import json

import pytest
from httpx2 import ASGITransport, AsyncClient
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from tests.attacks.serving import lifespan

from ringfence import Guard, Settings, access, limit
from ringfence.secrets.keyring import Keyring

pytestmark = pytest.mark.anyio

SHOP = "https://shop.example.com"
HERE = "198.51.100.7"
PASSWORD = "a long pass phrase"

# Budgets that take an hour to come back, so that no test depends on its own speed.
LIMITS = {
    "limits_address": "40/hour",
    "limits_ipv6_site": "60/hour",
    "limits_account": "50/hour",
    "limits_global": "none",
}


async def hello(request):
    return PlainTextResponse("hello")


@limit("5/hour", by="account")
@limit("20/hour", by="route")
async def export(request):
    await asyncio.sleep(0)
    return PlainTextResponse("a costly file")


async def chat(websocket):
    await websocket.accept()
    await websocket.close()


def application():
    routes = [
        Route("/hello", hello, methods=["GET", "POST"]),
        Route("/export", export),
        WebSocketRoute("/chat", chat),
    ]
    return Starlette(routes=access.routes(routes, access.public))


class Side:
    """The application with the guard in front of it, or without."""

    def __init__(self, app, data):
        self.app = app
        self.base = SHOP
        self.ledger = data / "audit.jsonl"

    def client(self, address=HERE):
        transport = ASGITransport(self.app, client=(address, 4711))
        return AsyncClient(transport=transport, base_url=self.base)

    async def get(self, path, address=HERE, **headers):
        async with self.client(address) as client:
            return await client.get(path, headers=headers)

    async def statuses(self, path, times, address=HERE):
        async with self.client(address) as client:
            return [(await client.get(path)).status_code for _ in range(times)]


@pytest.fixture
def off(tmp_path):
    return Side(application(), tmp_path)


def settings(data, **changes):
    keys = data / "keys"
    Keyring(keys, create=True).open()
    given = {
        "environ": {},
        "data": data,
        "keys_file": keys,
        "public_origins": (SHOP,),
        "proxies": ("none",),
        "traffic": LIMITS,
        "identity": {"enabled": False},
        **changes,
    }
    return Settings.load(**given)


@contextlib.asynccontextmanager
async def guarded(data, **changes):
    guard = Guard(application(), settings(data, **changes))
    async with lifespan(guard) as reason:
        assert reason == ""
        yield Side(guard, data)


@pytest.fixture
async def on(tmp_path):
    async with guarded(tmp_path) as side:
        yield side


@pytest.fixture
async def gatehouse(tmp_path):
    """The guarded side with accounts, in development, where all clients are of this
    machine: production would measure a hash for seconds."""
    here = {"env": "development", "keys_file": None, "public_origins": ()}
    async with guarded(tmp_path, identity={}, **here) as side:
        side.base = "http://127.0.0.1:8000"
        yield side


async def sign_in(client):
    account = {"email": "ann@example.com", "password": PASSWORD}
    await client.post("/auth/register", json=account)
    assert (await client.post("/auth/login", json=account)).status_code == 200


# Scans and floods


async def test_a_scan_for_paths_comes_to_an_end(off, on):
    """Limiters that are bound to routes never count what has none: 404s without end."""
    for side, refused in ((off, 0), (on, 60)):
        found = [
            (await side.get(f"/backup-{number}.zip")).status_code
            for number in range(100)
        ]
        assert found.count(429) == refused
        assert found.count(404) == 100 - refused


async def test_a_flood_ends_at_the_limit(off, on):
    assert (await off.statuses("/hello", 100)).count(200) == 100
    assert (await on.statuses("/hello", 100)).count(200) == 40


async def test_others_are_served_meanwhile(on):
    await on.statuses("/hello", 100)
    assert (await on.statuses("/hello", 30, "198.51.100.8")).count(200) == 30


async def test_a_flood_of_handshakes_counts(on):
    """A WebSocket is a request like another."""
    sent = []

    async def send(message):
        sent.append(message["type"])

    async def receive():
        return {"type": "websocket.connect"}

    scope = {
        "type": "websocket",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "wss",
        "path": "/chat",
        "raw_path": b"/chat",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"shop.example.com"), (b"origin", SHOP.encode())],
        "client": (HERE, 4711),
        "server": ("shop.example.com", 443),
        "subprotocols": [],
    }
    for _ in range(50):
        await on.app(dict(scope), receive, send)
    assert sent.count("websocket.accept") == 40
    assert sent[-1] == "websocket.close"


async def test_a_refusal_says_when_to_come_back(on):
    """An honest client that was too fast can do the right thing by itself."""
    await on.statuses("/hello", 40)
    answer = await on.get("/hello", accept="application/json")
    assert answer.status_code == 429
    assert answer.json()["code"] == "traffic.rate_limited"
    assert "Try again in" in answer.json()["detail"]
    assert 0 < int(answer.headers["retry-after"]) <= 3600
    assert answer.headers["ratelimit-policy"] == '"address";q=40;w=3600'
    assert answer.headers["ratelimit"].startswith('"address";r=0;t=')
    page = await on.get("/hello", accept="text/html")
    assert "Try again in" in page.text


async def test_an_ordinary_answer_has_no_line_more(on):
    answer = await on.get("/hello")
    assert not [name for name in answer.headers if "rate" in name or "retry" in name]


# Ways around


@pytest.mark.parametrize(
    "header", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "CF-Connecting-IP"]
)
async def test_a_forged_address_is_no_new_budget(on, header):
    """Rotating a forwarding header passed a limiter that keys on it without end
    (CVE-2025-59152)."""
    found = []
    async with on.client() as client:
        for number in range(50):
            value = f"203.0.113.{number}"
            if header == "Forwarded":
                value = f"for={value}"
            answer = await client.get("/hello", headers={header: value})
            found.append(answer.status_code)
    assert found.count(200) == 40


async def test_rotating_within_a_network_is_no_new_budget(on):
    """Every customer has 2**64 addresses in IPv6 (CVE-2026-45364)."""
    found = [
        (await on.get("/hello", f"2001:db8:1:1::{number:x}")).status_code
        for number in range(1, 51)
    ]
    assert found.count(200) == 40


async def test_rotating_networks_is_no_new_budget_either(on):
    """Many customers have 65,536 networks."""
    found = [
        (await on.get("/hello", f"2001:db8:1:{number:x}::1")).status_code
        for number in range(1, 101)
    ]
    assert found.count(200) == 60


@pytest.mark.parametrize(
    "spelling",
    ["::ffff:198.51.100.7", "::FFFF:198.51.100.7", "::ffff:c633:6407"],
)
async def test_another_spelling_is_no_new_budget(on, spelling):
    await on.statuses("/hello", 40)
    assert (await on.get("/hello", spelling)).status_code == 429


async def test_parallel_requests_do_not_pass_together(off, on):
    """A limiter that reads, waits and writes lets all pass that come at once."""
    for side, through in ((off, 30), (on, 5)):
        answers = await asyncio.gather(*[side.get("/export") for _ in range(30)])
        assert [one.status_code for one in answers].count(200) == through


async def test_many_addresses_do_not_pass_a_routes_own_limit(off, on):
    """A botnet asks for the costly thing from everywhere."""
    for side, through in ((off, 60), (on, 20)):
        found = [
            (await side.get("/export", f"203.0.113.{number}")).status_code
            for number in range(60)
        ]
        assert found.count(200) == through


async def test_many_addresses_do_not_pass_an_accounts_limit(gatehouse):
    """One account behind many proxies is one account, which may ask so often for the
    costly thing, and so often for anything."""
    async with gatehouse.client("127.0.1.1") as client:
        await sign_in(client)
        cookies = dict(client.cookies)
    for path, through in (("/export", 5), ("/hello", 45)):
        found = []
        for number in range(60):
            async with gatehouse.client(f"127.0.0.{number + 1}") as client:
                client.cookies.update(cookies)
                found.append((await client.get(path)).status_code)
        assert found == [200] * through + [429] * (60 - through)


async def test_signing_in_is_no_way_out_of_the_address_limit(gatehouse):
    async with gatehouse.client("127.0.0.1") as client:
        await sign_in(client)
        found = [(await client.get("/hello")).status_code for _ in range(50)]
    assert found.count(200) == 38


# What a flood must not do besides


async def test_a_flood_of_refusals_does_not_flood_the_ledger(tmp_path):
    """It is written down, within a budget, and what matters is written beside it."""
    audit = {"refusals_per_second": 20}
    async with guarded(tmp_path, audit=audit) as side:
        await side.statuses("/hello", 1000)
    events = [json.loads(line) for line in side.ledger.read_text().splitlines()]
    limited = [one for one in events if one.get("code") == "traffic.rate_limited"]
    assert 0 < len(limited) < 500
    assert limited[0]["client"] == HERE
    assert limited[0]["private"] == "address 40/hour"
    lost = [one["count"] for one in events if one["event"] == "audit_events_lost"]
    assert len(limited) + sum(lost) == 1000 - 40
    assert "sys_shutdown" in [one["event"] for one in events]


async def test_limits_are_raised_for_a_load_test_by_settings(tmp_path):
    """There is no hidden switch: whoever reads the settings sees it."""
    traffic = {"limits_address": "1000000/minute"}
    async with guarded(tmp_path, traffic=traffic) as side:
        assert (await side.statuses("/hello", 200)).count(200) == 200
