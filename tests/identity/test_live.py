"""Open connections end with their session."""

import asyncio

import pytest
from tests.identity.gatehouse import EMAIL, HTML, PASSWORD

from ringfence.errors import StoreError
from ringfence.exchange import Exchange
from ringfence.identity import live

pytestmark = pytest.mark.anyio

NEW = "another long pass phrase"


class Connection:
    """A WebSocket, as the guard would hold it open."""

    def __init__(self, house, exchange):
        self.ends = 0
        self.forget = house.identity.watch(exchange, self._end)

    def _end(self):
        self.ends += 1


async def connect(house, client):
    """Open a connection with a client's session."""
    assert (await client.get("/auth/me")).status_code == 200
    return Connection(house, house.guard.exchanges[-1])


async def settle():
    for _ in range(3):
        await asyncio.sleep(0)


@pytest.fixture
async def elsewhere(house, ann):
    """Ann in a second browser."""
    async with house.client() as client:
        login = {"email": EMAIL, "password": PASSWORD}
        assert (await client.post("/auth/login", json=login)).status_code == 200
        yield client


async def sign_out(client, other):
    await client.post("/auth/logout")


async def sign_out_form(client, other):
    await client.post("/auth/logout", data={}, headers=HTML)


async def sign_in_again(client, other):
    await client.post("/auth/login", json={"email": EMAIL, "password": PASSWORD})


async def confirm(client, other):
    await client.post("/auth/confirm", json={"password": PASSWORD})


async def change_password(client, other):
    body = {"current_password": PASSWORD, "new_password": NEW}
    assert (await other.post("/auth/password/change", json=body)).status_code == 200


async def end_one(client, other):
    listed = (await client.get("/auth/sessions")).json()
    (mine,) = [session["id"] for session in listed if session["current"]]
    assert (await other.delete(f"/auth/sessions/{mine}")).status_code == 204


async def end_others(client, other):
    await other.delete("/auth/sessions?keep=current")


async def end_all(client, other):
    await other.delete("/auth/sessions")


ALL = [
    sign_out,
    sign_out_form,
    sign_in_again,
    confirm,
    change_password,
    end_one,
    end_others,
    end_all,
]


@pytest.mark.parametrize("end", ALL, ids=lambda end: end.__name__)
async def test_what_ends_a_session_ends_its_connections_at_once(
    house, ann, elsewhere, end
):
    """Without a sweep, and however many there are."""
    opened = [await connect(house, ann) for _ in range(3)]
    await end(ann, elsewhere)
    await settle()
    assert [connection.ends for connection in opened] == [1, 1, 1]
    assert house.sessions.live.count == 0


@pytest.mark.parametrize("end", [sign_out, sign_in_again, confirm, end_one, end_others])
async def test_the_other_session_keeps_its_connections(house, ann, elsewhere, end):
    kept = await connect(house, elsewhere)
    await connect(house, ann)
    await end(ann, elsewhere)
    await house.sessions.live.check()
    await settle()
    assert kept.ends == 0
    assert house.sessions.live.count == 1


async def test_anothers_sessions_are_left_alone(house, ann):
    await house.accounts.create("bob@example.com", PASSWORD)
    async with house.client() as bob:
        login = {"email": "bob@example.com", "password": PASSWORD}
        await bob.post("/auth/login", json=login)
        kept = await connect(house, bob)
        await ann.delete("/auth/sessions")
        await house.sessions.live.check()
        await settle()
    assert kept.ends == 0


async def test_removing_an_account_ends_its_connections(house, ann):
    opened = await connect(house, ann)
    await house.accounts.remove(EMAIL)
    await settle()
    assert opened.ends == 1


async def ended_by_a_check(house, opened):
    await house.sessions.live.check()
    await settle()
    return opened.ends == 1


CHANGES = {
    "ended": lambda store, sessions, owner: sessions.end_all(owner, keep=None),
    "disabled": lambda store, sessions, owner: store.set_disabled(owner, disabled=True),
    "removed": lambda store, sessions, owner: store.remove(owner),
    "password": lambda store, sessions, owner: store.set_password(owner, "x", epoch=0),
    "roles": lambda store, sessions, owner: store.set_roles(owner, frozenset({"a"})),
    "tenant": lambda store, sessions, owner: store.set_tenant(owner, "acme"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_what_ends_elsewhere_is_found_by_the_next_sweep(house, ann, change):
    """As ``ringfence accounts`` does, past this process."""
    opened = await connect(house, ann)
    assert not await ended_by_a_check(house, opened)
    owner = (await ann.get("/auth/me")).json()["id"]
    await change(house.accounts._store, house.sessions._store, owner)
    assert await ended_by_a_check(house, opened)


@pytest.mark.parametrize("seconds", [30 * 60, 12 * 3600])
async def test_what_expires_ends(house, ann, seconds):
    opened = await connect(house, ann)
    house.clock.now += 30 * 60 - 1
    assert not await ended_by_a_check(house, opened)
    house.clock.now += seconds
    assert await ended_by_a_check(house, opened)


async def test_requests_beside_it_keep_a_connection_open(house, ann):
    """Also those that the store does not know of yet."""
    opened = await connect(house, ann)
    house.clock.now += 59
    await ann.get("/auth/me")
    house.clock.now += 30 * 60 - 1
    assert not await ended_by_a_check(house, opened)


async def test_a_connection_that_has_closed_is_forgotten(house, ann):
    opened = await connect(house, ann)
    opened.forget()
    opened.forget()
    assert house.sessions.live.count == 0
    await ann.post("/auth/logout")
    await settle()
    assert opened.ends == 0


async def test_an_end_is_called_once(house, ann):
    opened = await connect(house, ann)
    await ann.post("/auth/logout")
    await house.sessions.live.check()
    opened.forget()
    await settle()
    assert opened.ends == 1


async def test_without_a_session_nothing_is_watched(house):
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    Connection(house, Exchange(scope, None)).forget()
    assert house.sessions.live.count == 0


async def test_one_that_fails_to_close_keeps_no_other_open(house, ann):
    failures = []
    asyncio.get_running_loop().set_exception_handler(
        lambda loop, context: failures.append(context["exception"])
    )

    def fail():
        raise OSError("broken pipe")

    await ann.get("/auth/me")
    house.identity.watch(house.guard.exchanges[-1], fail)
    opened = await connect(house, ann)
    house.identity.watch(house.guard.exchanges[-1], fail)
    await ann.post("/auth/logout")
    await settle()
    assert opened.ends == 1
    assert len(failures) == 2


async def test_a_store_that_is_down_for_long_ends_everything(house, ann, caplog):
    """A moment is forgiven; for longer nobody could be signed out."""
    opened = await connect(house, ann)
    read_many = house.sessions._store.read_many

    async def fail(token_hashes):
        raise StoreError("the disk is gone")

    house.clock.now += 10
    await house.sessions.live.check()
    house.sessions.live._store.read_many = fail
    house.clock.now += 29
    assert not await ended_by_a_check(house, opened)
    assert "disk is gone" in caplog.text
    house.sessions.live._store.read_many = read_many
    assert not await ended_by_a_check(house, opened)
    house.sessions.live._store.read_many = fail
    house.clock.now += 30
    assert await ended_by_a_check(house, opened)


async def test_many_connections_are_one_read(house, ann):
    for _ in range(20):
        await connect(house, ann)
    reads = []
    read_many = house.sessions._store.read_many

    async def counted(token_hashes):
        reads.append(token_hashes)
        return await read_many(token_hashes)

    house.sessions._store.read_many = counted
    await house.sessions.live.check()
    assert [len(tokens) for tokens in reads] == [1]
    for connection in list(house.sessions.live._of_account):
        house.sessions.live.end_account(connection)
    await house.sessions.live.check()
    assert len(reads) == 1  # nobody is connected, nothing is asked


async def test_sweeping_happens_by_itself(house, ann, monkeypatch):
    ended = asyncio.Event()
    await house.sessions.stop()
    monkeypatch.setattr(live, "SWEEP_SECONDS", 0.001)
    await house.sessions.start()
    await ann.get("/auth/me")
    house.identity.watch(house.guard.exchanges[-1], ended.set)
    session = house.guard.exchanges[-1].session
    await house.sessions._store.end_token(session.token_hash, session.account_id)
    await asyncio.wait_for(ended.wait(), 10)


async def test_the_sweeper_ends_with_the_house(house):
    def sweepers():
        return [task for task in asyncio.all_tasks() if "Live._sweep" in repr(task)]

    assert sweepers()
    await house.identity.stop()
    await house.identity.stop()
    assert not sweepers()


async def test_a_sweep_that_fails_cuts_everything_and_goes_on(
    house, ann, monkeypatch, caplog
):
    """Else nobody would hear of what another process ends, and nobody would notice."""
    monkeypatch.setattr(live, "SWEEP_SECONDS", 0.001)
    sessions = house.identity.sessions
    await sessions.live.stop()
    connection = await connect(house, ann)
    failed = asyncio.Event()

    async def fail(_):
        failed.set()
        raise RuntimeError("the store has lost its mind")

    monkeypatch.setattr(sessions.live._store, "read_many", fail)
    await sessions.live.start()
    await asyncio.wait_for(failed.wait(), 5)
    await settle()
    assert connection.ends
    assert "are cut" in caplog.text
    monkeypatch.undo()
    later = await connect(house, ann)
    await sessions.live.check()
    assert not later.ends
    assert not sessions.live._sweeper.done()
