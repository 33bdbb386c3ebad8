"""Sessions that turn up elsewhere."""

import asyncio
import shutil
from types import SimpleNamespace

import pytest
from tests.identity.gatehouse import EMAIL, HTML, PASSWORD, gatehouse

from ringfence.audit.events import SessionMoved
from ringfence.errors import StoreError
from ringfence.identity.movement import Place, has_moved

pytestmark = pytest.mark.anyio

COOKIE = "session-8000"
HOME, CAFE, TRAIN = "203.0.113.9", "198.51.100.7", "192.0.2.44"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
UPDATED = FIREFOX.replace("128.0", "140.0")
CHROME = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/127.0 Safari/537.36"
PHONE = "Mozilla/5.0 (Linux; Android 14) Chrome/127.0 Mobile Safari/537.36"


@pytest.mark.parametrize(
    ("network", "device", "moved"),
    [
        (HOME, "Firefox on Linux", False),
        (CAFE, "Firefox on Linux", False),
        (HOME, "Chrome on Windows", False),
        (CAFE, "Chrome on Windows", True),
        (CAFE, "Unknown device", True),
    ],
)
async def test_only_both_at_once_are_a_move(network, device, moved):
    before = Place(HOME, "Firefox on Linux")
    assert has_moved(before, Place(network, device)) is moved


@pytest.fixture
async def opened(request, prepared, tmp_path, anyio_backend):
    """A gatehouse, and what Ann's cookie can do from anywhere."""
    settings = getattr(request, "param", {})
    shutil.copy(prepared, tmp_path)
    async with gatehouse(tmp_path, **settings) as house:
        async with house.client(HOME, headers={"user-agent": FIREFOX}) as client:
            login = {"email": EMAIL, "password": PASSWORD}
            assert (await client.post("/auth/login", json=login)).status_code == 200
            token = client.cookies[COOKIE]

        async def use(address, agent, method="GET", path="/auth/me", **options):
            headers = {"user-agent": agent} if agent else {}
            async with house.client(address, cookies={COOKIE: token}) as client:
                del client.headers["user-agent"]
                options["headers"] = {**headers, **options.get("headers", {})}
                return await client.request(method, path, **options)

        def moves():
            return house.ledger.named(SessionMoved)

        yield SimpleNamespace(house=house, use=use, moves=moves, token=token)


def with_effect(effect):
    return pytest.mark.parametrize(
        "opened", [{"session_moved": effect}], indirect=True, ids=[effect]
    )


async def test_a_thief_with_another_device_and_network_is_told_of(opened):
    answer = await opened.use(CAFE, CHROME)
    assert answer.status_code == 200  # by default it is noted
    (event,) = opened.moves()
    assert event.level == "CRITICAL"
    assert event.name == "authn_impossible_travel"
    assert (event.client, event.device) == (CAFE, "Chrome on Windows")
    assert (event.from_network, event.from_device) == (HOME, "Firefox on Linux")
    assert (event.account, event.effect) == (answer.json()["id"], "note")
    assert event.request_id
    (listed,) = (await opened.use(HOME, FIREFOX, path="/auth/sessions")).json()
    assert event.session == listed["id"]


async def test_a_client_without_a_name_is_another_device(opened):
    await opened.use(CAFE, "")
    assert len(opened.moves()) == 1


@pytest.mark.parametrize(
    "walk",
    [
        [(CAFE, FIREFOX), (TRAIN, FIREFOX), (HOME, FIREFOX)],
        [(HOME, UPDATED), (CAFE, UPDATED)],
        [(HOME, CHROME), (CAFE, CHROME)],
        [(CAFE, FIREFOX), (CAFE, PHONE), (TRAIN, PHONE)],
    ],
    ids=["travels", "updates", "changes its name", "one after the other"],
)
async def test_everyday_life_is_no_move(opened, walk):
    """Networks change, browsers are updated, a phone asks for the desktop's page."""
    for address, agent in walk:
        assert (await opened.use(address, agent)).status_code == 200
        opened.house.clock.now += 120
        await opened.house.sessions.write_seen()
    assert opened.moves() == []


async def test_a_move_is_told_of_once(opened):
    """Owner and thief take turns; the ledger is not filled with it."""
    for _ in range(5):
        await opened.use(CAFE, CHROME)
        await opened.use(HOME, FIREFOX)
        await opened.use(TRAIN, PHONE)
    assert len(opened.moves()) == 1


async def test_parallel_requests_of_a_thief_are_one_move(opened):

    await asyncio.gather(*(opened.use(CAFE, CHROME) for _ in range(20)))
    assert len(opened.moves()) == 1


async def test_another_process_knows_where_a_session_was(opened):
    """Where it was used last is stored with the time of its last use."""
    house = opened.house
    house.clock.now += 90
    await opened.use(CAFE, FIREFOX)  # on the way
    await house.sessions.stop()  # what is still to be written is
    await house.sessions.start()
    house.sessions._known.clear()
    await opened.use(CAFE, PHONE)  # the same network as last
    assert opened.moves() == []
    house.sessions._known.clear()
    await opened.use(HOME, CHROME)
    assert len(opened.moves()) == 1


async def test_the_owner_sees_it_in_the_list_and_on_the_next_page(opened):
    await opened.use(CAFE, CHROME)
    async with opened.house.client(HOME, headers={"user-agent": PHONE}) as elsewhere:
        login = {"email": EMAIL, "password": PASSWORD}
        await elsewhere.post("/auth/login", json=login)
        listed = {
            session["current"]: session
            for session in (await elsewhere.get("/auth/sessions")).json()
        }
        assert listed[True]["moved"] is None
        assert listed[False]["moved"] == {
            "at": listed[False]["created"],
            "address": CAFE,
            "device": "Chrome on Windows",
        }
        page = (await elsewhere.get("/auth/account", headers=HTML)).text
        assert "Chrome on Windows" in page
        assert "used from another place" in page.lower()
    page = (await opened.use(HOME, FIREFOX, path="/auth/account", headers=HTML)).text
    assert 'class="alarm"' in page
    assert CAFE in page


async def test_a_session_that_stayed_shows_nothing(opened):
    page = (await opened.use(CAFE, FIREFOX, path="/auth/account", headers=HTML)).text
    assert 'class="alarm"' not in page
    assert "another place" not in page


async def test_confirming_settles_it(opened):
    """It was the owner after all; the thief's copy, if there is one, has ended."""
    await opened.use(CAFE, CHROME)
    answer = await opened.use(
        CAFE, CHROME, "POST", "/auth/confirm", json={"password": PASSWORD}
    )
    assert answer.status_code == 200
    token = answer.cookies[COOKIE]
    async with opened.house.client(CAFE, cookies={COOKIE: token}) as client:
        client.headers["user-agent"] = CHROME
        (listed,) = (await client.get("/auth/sessions")).json()
        assert listed["moved"] is None
    assert (await opened.use(HOME, FIREFOX)).status_code == 401
    assert len(opened.moves()) == 1


async def signed_in_at(opened, address, agent):
    await opened.use(address, agent)
    principal = opened.house.guard.exchanges[-1].principal
    return None if principal is None else principal.signed_in_at


@with_effect("confirm")
async def test_with_confirm_nothing_is_fresh_any_more(opened):
    """From the very request that moved, for the thief and for the owner."""
    now = opened.house.clock.now
    assert await signed_in_at(opened, HOME, FIREFOX) == now
    assert await signed_in_at(opened, CAFE, CHROME) == 0.0
    assert await signed_in_at(opened, CAFE, CHROME) == 0.0
    assert await signed_in_at(opened, HOME, FIREFOX) == 0.0
    opened.house.sessions._known.clear()
    assert await signed_in_at(opened, HOME, FIREFOX) == 0.0
    await opened.use(
        HOME, FIREFOX, "POST", "/auth/confirm", json={"password": PASSWORD}
    )
    assert opened.house.guard.exchanges[-1].principal.signed_in_at == now


async def test_with_note_what_was_fresh_stays_so(opened):
    now = opened.house.clock.now
    assert await signed_in_at(opened, CAFE, CHROME) == now


@with_effect("end")
async def test_with_end_the_session_is_over(opened):
    ended = []
    await opened.use(HOME, FIREFOX)
    here = opened.house.guard.exchanges[-1]
    opened.house.identity.watch(here, lambda: ended.append(1))
    answer = await opened.use(CAFE, CHROME)
    assert answer.status_code == 401
    assert "session-8000=; Max-Age=0" in answer.headers["set-cookie"]
    assert (await opened.use(HOME, FIREFOX)).status_code == 401
    await asyncio.sleep(0)
    assert ended == [1]
    assert len(opened.moves()) == 1


@with_effect("end")
async def test_with_end_not_one_of_parallel_requests_gets_through(opened):

    answers = await asyncio.gather(*(opened.use(CAFE, CHROME) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {401}
    assert len(opened.moves()) == 1


@with_effect("end")
async def test_with_end_a_move_is_over_also_where_the_store_has_failed(
    opened, monkeypatch
):
    """Marked, but not ended: the thief only had to come again (CWE-613)."""

    async def fail(token_hash, account_id):
        raise StoreError("the connection was lost")

    with monkeypatch.context() as failing:
        failing.setattr(opened.house.sessions._store, "end_token", fail)
        for _ in range(2):
            assert (await opened.use(CAFE, CHROME)).status_code == 503
        assert (await opened.use(HOME, FIREFOX)).status_code == 503
    opened.house.sessions._known.clear()  # as in another worker
    assert (await opened.use(CAFE, CHROME)).status_code == 401
    assert (await opened.use(HOME, FIREFOX)).status_code == 401
    assert len(opened.moves()) == 1


async def test_a_move_that_cannot_be_written_down_is_refused(opened):
    """503: a store that is down must not be a way to move unseen."""

    async def fail(token_hash, use):
        raise StoreError("the disk is full")

    opened.house.sessions._store.mark_moved = fail
    assert (await opened.use(CAFE, CHROME)).status_code == 503
    assert (await opened.use(HOME, FIREFOX)).status_code == 200


async def test_looking_costs_nothing_while_nothing_changes(opened, monkeypatch):
    """The browser's name is read again only when it, or the network, is another."""
    looks = []

    def describe(agent):
        looks.append(agent)
        return "Firefox on Linux"

    monkeypatch.setattr("ringfence.identity.sessions.describe_device", describe)
    for _ in range(10):
        await opened.use(HOME, FIREFOX)
    assert len(looks) <= 1
