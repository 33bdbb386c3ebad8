"""One question a request to a store in the network, and what it decides."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from ringfence import access, limit
from ringfence.browser.cors import cors
from ringfence.traffic.settings import TrafficSettings

pytestmark = pytest.mark.anyio

ACCOUNT = {"email": "ann@example.com", "password": "correct horse battery staple"}
PARTNER = "http://127.0.0.1:9000"
FOREIGN = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}


async def show(_):
    return PlainTextResponse("shown")


def shop():
    """Routes with every kind of limit."""
    return Starlette(
        routes=[
            *access.routes([Route("/", show)], access.public),
            *access.routes(
                [Route("/mine", show, methods=["GET", "POST"])], access.signed_in
            ),
            *access.routes(
                [Route("/often", show)], access.public, limit("2/hour", by="route")
            ),
            *access.routes(
                [Route("/each", show)], access.public, limit("2/hour", by="account")
            ),
            *access.routes(
                [Route("/form", show, methods=["POST"])],
                access.public,
                limit("2/hour"),
            ),
            *access.routes(
                [Route("/own", show, methods=["GET", "POST"])],
                access.signed_in,
                limit("3/hour", by="account"),
            ),
            *access.routes([Route("/shared", show)], access.public, cors(PARTNER)),
        ]
    )


@pytest.fixture
def remote(guarded, settings_of, valkey):
    """Return a function that starts a guard whose store is a real Valkey."""

    def make(**traffic):
        settings = settings_of(store=valkey.url, traffic=TrafficSettings(**traffic))
        return guarded(shop(), settings)

    return make


def asked(valkey):
    """Return how many scripts the server has run."""
    with valkey.client() as client:
        found = client.info("commandstats")
    return sum(found.get(f"cmdstat_{name}", {}).get("calls", 0) for name in SCRIPTS)


SCRIPTS = ("evalsha", "eval", "fcall")


async def sign_in(client):
    assert (await client.post("/auth/register", json=ACCOUNT)).status_code == 202
    answer = await client.post("/auth/login", json=ACCOUNT)
    assert answer.status_code == 200
    client.headers["x-csrf-token"] = answer.json()["csrf_token"]


async def statuses(client, path, times):
    return [(await client.get(path)).status_code for _ in range(times)]


async def test_a_request_of_somebody_signed_in_asks_once(remote, valkey):
    """Session, blocks and every limit, those of the account as well, in one question;
    nothing is asked of the database either."""
    async with remote() as started, started.client() as client:
        await sign_in(client)
        assert await statuses(client, "/mine", 2) == [200, 200]
        before = asked(valkey)
        keyspace = started.guard._rooms.shared._keyspace
        sent = keyspace.round_trips
        assert await statuses(client, "/mine", 5) == [200] * 5
        assert asked(valkey) == before + 5
        assert keyspace.round_trips == sent + 5


async def test_limits_of_a_route_and_an_account_go_along(remote, valkey):
    async with remote() as started, started.client() as client:
        await sign_in(client)
        await client.get("/mine")
        before = asked(valkey)
        answers = [await client.get("/own") for _ in range(4)]
        assert [one.status_code for one in answers] == [200, 200, 200, 429]
        assert answers[0].headers["ratelimit"] == '"route-account";r=2'
        assert answers[3].headers["retry-after"]
        assert asked(valkey) == before + 4


async def test_the_first_request_after_a_sign_in_is_charged_as_well(remote):
    """What the store could not charge, since it had no copy yet, is charged later."""
    async with remote() as started, started.client() as client:
        await sign_in(client)
        assert await statuses(client, "/own", 4) == [200, 200, 200, 429]


async def test_who_is_nobody_has_the_limits_of_an_account_by_address(remote):
    async with remote() as started, started.client() as client:
        assert await statuses(client, "/each", 4) == [200, 200, 429, 429]


async def test_a_cookie_without_its_hint_is_charged_all_the_same(remote):
    """CWE-799: the question cannot name the account then, and asks for none of its
    limits."""
    async with remote() as started, started.client() as client:
        await sign_in(client)
        (name,) = (name for name in client.cookies if name.startswith("session"))
        stripped = client.cookies[name].partition(".")[0]
        async with started.client(cookies={name: stripped}) as bare:
            assert await statuses(bare, "/own", 4) == [200, 200, 200, 429]
        assert (await client.get("/own")).status_code == 429


async def test_anybody_is_limited(remote, valkey):
    async with remote() as started, started.client() as client:
        await client.get("/")  # the server has to be given the script once
        before = asked(valkey)
        assert await statuses(client, "/often", 4) == [200, 200, 429, 429]
        assert asked(valkey) == before + 4


@pytest.mark.parametrize("is_up", [True, False])
async def test_who_is_over_a_limit_inside_comes_to_be_over_at_the_street(
    remote, valkey, is_up
):
    """CWE-770: else a flood of one address that a route refuses asks the store for
    ever."""
    async with remote(limits_address="7/hour") as started, started.client() as client:
        if not is_up:
            valkey.kill()
        try:
            await client.get("/")  # the server has to be given the script once
            before = asked(valkey) if is_up else 0
            assert await statuses(client, "/often", 9) == [200, 200] + [429] * 7
            if is_up:
                assert asked(valkey) - before <= 7
            assert (await client.get("/")).status_code == 429
        finally:
            if not is_up:
                valkey.restart()


@pytest.mark.parametrize("path", ["/", "/nowhere", "/auth/nothing", "/docs"])
async def test_an_address_that_is_over_costs_no_round_trip(remote, valkey, path):
    """And what the application never sees counts, too."""
    async with remote(limits_address="3/hour") as started, started.client() as client:
        await client.get("/")
        before = asked(valkey)
        found = await statuses(client, path, 9)
        assert 429 not in found[:2]
        assert found[2:] == [429] * 7
        assert asked(valkey) == before + 3


async def test_preflights_are_counted(remote):
    headers = {"origin": PARTNER, "access-control-request-method": "GET"}
    async with remote(limits_address="2/hour") as started, started.client() as client:
        found = [
            (await client.options("/shared", headers=headers)).status_code
            for _ in range(3)
        ]
        assert found == [204, 204, 429]


async def test_scripts_of_invited_origins_can_read_the_refusal(remote):
    headers = {"origin": PARTNER}
    async with remote(limits_address="1/hour") as started, started.client() as client:
        await client.get("/shared", headers=headers)
        refused = await client.get("/shared", headers=headers)
        assert refused.status_code == 429
        assert refused.headers["access-control-allow-origin"] == PARTNER


async def test_a_foreign_page_charges_nobodys_account(remote):
    """CWE-352: else any page that a customer opens uses up their budget."""
    async with remote() as started, started.client() as client:
        await sign_in(client)
        await client.get("/mine")
        for _ in range(5):
            answer = await client.post("/own", headers=FOREIGN)
            assert answer.status_code == 403
        assert await statuses(client, "/own", 4) == [200, 200, 200, 429]


async def test_a_foreign_page_is_told_of_no_budget(remote):
    async with remote() as started, started.client() as client:
        answer = await client.post("/form", headers=FOREIGN)
        assert answer.status_code == 403
        assert "ratelimit" not in answer.headers


async def test_what_a_dry_run_of_csrf_lets_pass_is_charged(
    guarded, settings_of, valkey
):
    """CWE-799: whoever says that they come from elsewhere would have no limits."""
    settings = settings_of(
        store=valkey.url,
        dry_run=("csrf",),
        dry_run_until=f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%d}",
    )
    async with guarded(shop(), settings) as started, started.client() as client:
        await sign_in(client)
        for path, allowed in (("/form", 2), ("/own", 3)):
            found = [
                (await client.post(path, headers=FOREIGN)).status_code for _ in range(5)
            ]
            assert found == [200] * allowed + [429] * (5 - allowed)


async def test_two_processes_share_what_is_counted(remote):
    async with (
        remote() as one,
        remote() as other,
        one.client() as here,
        other.client() as there,
    ):
        clients = (here, there, here, there)
        found = [(await client.get("/often")).status_code for client in clients]
        assert found == [200, 200, 429, 429]


async def test_what_one_process_blocks_the_other_turns_away_at_once(remote):
    async with remote() as one, remote() as other, other.client() as client:
        assert (await client.get("/")).status_code == 200
        # Behind no proxy the client is this machine, which cannot be blocked.
        await one.guard.blocklist.add("203.0.113.7", seconds=60, reason="scans")
        await client.get("/")
        assert other.guard.blocklist.find("203.0.113.7").reason == "scans"
        assert await one.guard.blocklist.remove("203.0.113.7")
        await client.get("/")
        assert other.guard.blocklist.find("203.0.113.7") is None


async def test_what_is_blocked_is_known_at_the_next_start(remote):
    async with remote() as one:
        await one.guard.blocklist.add("203.0.113.0/24", seconds=60, reason="scans")
    async with remote() as other:
        assert other.guard.blocklist.find("203.0.113.9").reason == "scans"


async def test_a_sign_out_holds_in_every_process(remote):
    async with remote() as one, remote() as other, one.client() as here:
        await sign_in(here)
        async with other.client(cookies=here.cookies) as there:
            assert await statuses(there, "/mine", 3) == [200] * 3
            assert (await here.post("/auth/logout")).status_code < 400
            assert (await there.get("/mine")).status_code == 401


async def test_while_the_store_is_down(remote, valkey):
    """Identity refuses and says when to come back; limits go on in process; who needs
    neither is served. Everything is as before once it is back."""
    async with remote() as started, started.client() as client:
        await sign_in(client)
        assert (await client.get("/mine")).status_code == 200
        valkey.kill()
        try:
            refused = await client.get("/mine")
            assert refused.status_code == 503
            assert int(refused.headers["retry-after"]) > 0
            async with started.client() as stranger:
                assert await statuses(stranger, "/", 2) == [200, 200]
                assert await statuses(stranger, "/often", 3) == [200, 200, 429]
                answer = await stranger.post("/auth/login", json=ACCOUNT)
                assert answer.status_code == 503
        finally:
            valkey.restart()
        async with asyncio.timeout(5):
            while (await client.get("/mine")).status_code != 200:  # noqa: ASYNC110 - of a server
                await asyncio.sleep(0.02)


async def test_a_dry_run_of_limits_refuses_nothing(guarded, settings_of, valkey):
    settings = settings_of(
        store=valkey.url,
        dry_run=("limits",),
        dry_run_until=f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%d}",
        traffic=TrafficSettings(limits_address="1/hour"),
    )
    async with guarded(shop(), settings) as started, started.client() as client:
        assert await statuses(client, "/often", 4) == [200] * 4
    events = [
        json.loads(line)
        for line in (settings.data / "audit.jsonl").read_text().splitlines()
    ]
    assert "request_would_be_refused" in {one["event"] for one in events}


async def test_a_store_that_cannot_be_reached_stops_the_start(guarded, settings_of):
    """With a sentence that names where, and no password."""
    settings = settings_of(store="redis://:hunter2@127.0.0.1:1/0")
    with pytest.raises(Exception, match=r"127\.0\.0\.1") as caught:
        async with guarded(shop(), settings):
            pass
    assert "hunter2" not in str(caught.value)
