"""Sessions of which a store in the network has said something beforehand."""

import pytest
from tests.identity.gatehouse import Clock, gatehouse, visit
from tests.identity.test_sessions import EMAIL, NAME, PASSWORD, request, sign_in
from tests.stores.copies import DictCopies

from ringfence.audit.events import SessionMoved
from ringfence.denial import Denial
from ringfence.errors import StoreError
from ringfence.identity import sessions
from ringfence.identity.refusals import AMBIGUOUS_COOKIE, TWO_CREDENTIALS
from ringfence.stores.contracts import Reply, Told, Verdict

pytestmark = pytest.mark.anyio

NOBODY = (b"", "")
FIREFOX = b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SAFARI = b"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5) Version/18.5 Mobile Safari/604.1"
DOWN = StoreError("the store does not answer")


@pytest.fixture
def copies():
    return DictCopies()


@pytest.fixture
async def house(tmp_path, copies, anyio_backend):
    """A gatehouse with copies before its database, and Ann's account."""
    async with gatehouse(tmp_path, copies=copies, hinted=True) as opened:
        await opened.accounts.register(EMAIL, PASSWORD, visit())
        yield opened


async def asked(house, copies, exchange):
    """Ask for what a request brings, as the guard does."""
    name, owner = house.sessions.named(exchange)
    told = await copies.read(name, owner) if name else Told("")
    exchange.reply = Reply(Verdict(-1, 0.0, 9), told, 0, settled=True)
    return exchange


async def seen(house, copies, token, *headers):
    """Return a request after the session stage has let it pass."""
    exchange = await asked(house, copies, request(token, *headers))
    assert await house.identity.authenticate(exchange) is None
    return exchange


async def test_the_cookie_says_whose_session_it_is(house):
    value = await sign_in(house)
    (account,) = await house.accounts.page()
    token, owner, _ = value.split(".")
    assert owner == account.id
    assert len(token) == 43


async def test_a_request_is_named_before_anything_is_asked(house, copies):
    value = await sign_in(house)
    (account,) = await house.accounts.page()
    await house.identity.stop()
    copies.asked.clear()
    for _ in range(2):
        name, owner = house.sessions.named(request(value))
        assert owner == account.id
        assert len(name) == 32
    assert copies.asked == []


async def test_what_names_nobody(house):
    """No cookie, none with a good hint, or two that differ."""
    value = await sign_in(house)
    bare = value.partition(".")[0]
    two = (b"cookie", f"{NAME}={value}; {NAME}={bare}".encode())
    assert house.sessions.named(request()) == NOBODY
    for _ in range(2):
        assert house.sessions.named(request(None, two)) == NOBODY
        assert house.sessions.named(request(value[:-1])) == NOBODY
        assert house.sessions.named(request(bare)) == NOBODY
        assert house.sessions.named(request("")) == NOBODY
    assert not house.sessions._tokens


async def test_at_another_port_a_cookie_names_nobody(house):
    value = await sign_in(house)
    assert house.sessions.named(request(value)) != NOBODY
    elsewhere = request(value)
    elsewhere.scope["server"] = ("127.0.0.1", 9000)
    assert house.sessions.named(elsewhere) == NOBODY


@pytest.mark.parametrize("size", [10, 2_000])
async def test_long_headers_are_named_but_not_kept(house, size):
    value = await sign_in(house)
    line = (b"cookie", f"a={'x' * size}; {NAME}={value}".encode())
    for _ in range(2):
        assert house.sessions.named(request(None, line)) != NOBODY
    assert len(house.sessions._tokens) == (size < 1_000)


async def test_a_copy_tells_who_is_there(house, copies, monkeypatch):
    """The database is asked once, and the third request is not even examined."""
    value = await sign_in(house)
    first = await seen(house, copies, value)
    reads = []
    database = house.sessions._store._database
    monkeypatch.setattr(database, "read", reads.append)
    monkeypatch.setattr(database, "read_many", reads.append)
    second = await seen(house, copies, value)
    monkeypatch.delattr(sessions.Sessions, "_examine")
    third = await seen(house, copies, value)
    assert reads == []
    assert first.principal is second.principal is third.principal is not None
    assert third.credential == "session"


async def test_a_process_that_has_not_seen_the_session_takes_the_copy(
    house, copies, monkeypatch
):
    """Requests of one visitor reach any worker."""
    value = await sign_in(house)
    await seen(house, copies, value)
    for known in (house.sessions._known, house.sessions._store._known):
        known.clear()
    for method in ("read", "read_many"):
        monkeypatch.setattr(house.sessions._store._database, method, pytest.fail)
    assert (await seen(house, copies, value)).principal is not None


async def test_a_move_is_in_the_copy_at_once(house, copies):
    """Where a move asks for the password again, no worker goes on as if nothing had
    happened."""
    value = await sign_in(house)
    await seen(house, copies, value, (b"user-agent", FIREFOX))
    moved = request(value, (b"user-agent", SAFARI))
    moved.client = moved.network = "198.51.100.7"
    await house.identity.authenticate(await asked(house, copies, moved))
    (event,) = house.ledger.named(SessionMoved)
    assert event.account == moved.principal.id
    for known in (house.sessions._known, house.sessions._store._known):
        known.clear()
    exchange = await seen(house, copies, value, (b"user-agent", FIREFOX))
    assert exchange.session.moved_network == "198.51.100.7"
    assert (await seen(house, copies, value)).session.moved_at


async def test_what_another_process_ends_is_over(house, copies):
    """The answer that a request has brought along decides, not what is remembered."""
    value = await sign_in(house)
    for _ in range(3):
        exchange = await seen(house, copies, value)
    session = exchange.session
    await copies.hold(session.account_id)
    database = house.sessions._store._database
    await database.end_token(session.token_hash, session.account_id)
    await copies.release(session.account_id)
    late = await seen(house, copies, value)
    assert late.principal is None
    assert late.response_headers[0][1].startswith(f"{NAME}=; Max-Age=0".encode())


async def test_roles_hold_at_once(house, copies):
    value = await sign_in(house)
    for _ in range(3):
        exchange = await seen(house, copies, value)
    store = house.identity._stores.accounts
    await store.set_roles(exchange.principal.id, frozenset({"staff"}))
    assert (await seen(house, copies, value)).principal.roles == {"staff"}
    await store.set_disabled(exchange.principal.id, disabled=True)
    assert (await seen(house, copies, value)).principal is None


async def test_a_spoiled_hint_is_nobodys_and_not_looked_up(house, copies, monkeypatch):
    """The cookie is ended, and no store hears of it, not even one that is down."""
    value = await sign_in(house)
    for method in ("recall", "read"):
        monkeypatch.delattr(type(house.sessions._store), method)
    for reply in (None, DOWN):
        exchange = request(value[:-1])
        exchange.reply = reply
        assert await house.identity.authenticate(exchange) is None
        assert exchange.principal is None
        assert exchange.response_headers[0][1].startswith(f"{NAME}=; Max".encode())


async def test_a_hint_of_an_unknown_key_is_as_good_as_none(house, copies):
    """While keys are replaced on one machine after the other, those who sign in at the
    first are not signed out by the last."""
    value = await sign_in(house)
    token, owner, _ = value.split(".")
    copies.asked.clear()
    for _ in range(2):
        exchange = await seen(house, copies, f"{token}.{owner}.{'A' * 22}")
        assert exchange.principal.id == owner
        assert exchange.response_headers == []
    for account in ("another", owner[::-1]):  # and nobody is whom it names
        exchange = await seen(house, copies, f"{token}.{account}.{'A' * 22}")
        assert exchange.principal.id == owner
    assert copies.asked == []


async def test_an_older_cookie_is_looked_up_in_the_database(house, copies):
    value = await sign_in(house)
    bare = value.partition(".")[0]
    copies.asked.clear()
    for _ in range(3):
        exchange = await seen(house, copies, bare)
        assert exchange.principal is not None
    assert copies.asked == []


async def test_the_hint_alone_opens_nothing(house, copies):
    value = await sign_in(house)
    await house.sessions.end_current(await seen(house, copies, value))
    assert (await seen(house, copies, value)).principal is None


async def test_a_store_that_is_down_refuses_who_brings_a_session(house, copies):
    """503 with Retry-After, and the browser keeps its cookie; signed-out visitors go
    on."""
    value = await sign_in(house)
    for _ in range(2):
        await seen(house, copies, value)
    for token in (value, value.partition(".")[0]):
        exchange = request(token)
        exchange.reply = DOWN
        denial = await house.identity.authenticate(exchange)
        assert isinstance(denial, Denial)
        assert (denial.status, denial.code) == (503, "identity.unavailable")
        assert b"retry-after" in dict(denial.headers)
        assert denial.private == str(DOWN)
        assert exchange.response_headers == []
        assert exchange.principal is None
    visitor = request()
    visitor.reply = DOWN
    assert await house.identity.authenticate(visitor) is None
    assert (await seen(house, copies, value)).principal is not None


async def test_other_refusals_need_no_store(house):
    value = await sign_in(house)
    bearer = request(value, (b"authorization", b"Bearer x"))
    two = request(None, (b"cookie", f"{NAME}={value}; {NAME}=x".encode()))
    for exchange, refusal in [(bearer, TWO_CREDENTIALS), (two, AMBIGUOUS_COOKIE)]:
        exchange.reply = DOWN
        assert await house.identity.authenticate(exchange) is refusal


async def test_signing_out_is_refused_while_copies_are_down(house, copies):
    """Who is told that they have signed out must be signed out."""
    value = await sign_in(house)
    exchange = await seen(house, copies, value)
    copies.down = True
    with pytest.raises(StoreError):
        await house.sessions.end_current(exchange)
    copies.down = False
    assert (await seen(house, copies, value)).principal is not None


async def test_a_good_copy_is_an_answer_while_the_database_is_down(house, copies):
    value = await sign_in(house)
    await seen(house, copies, value)
    await house.identity._stores._database.stop()
    assert (await seen(house, copies, value)).principal is not None


async def test_a_copy_that_has_expired_is_asked_after(house, copies):
    """The copy may be older than the last use, which another process has written."""
    value = await sign_in(house)
    exchange = await seen(house, copies, value)
    session = exchange.session
    house.clock.now += 29 * 60
    use = sessions.Use(house.clock.now, exchange.network, "")
    await house.sessions._store._database.touch({session.token_hash: use})
    house.sessions._known.clear()  # as in a process that has not seen it for long
    house.clock.now += 2 * 60
    assert (await seen(house, copies, value)).principal is not None
    house.sessions._known.clear()
    house.clock.now += 30 * 60
    late = await seen(house, copies, value)
    assert late.principal is None
    assert late.response_headers[0][1].startswith(f"{NAME}=; Max-Age=0".encode())


async def test_the_time_of_use_reaches_other_processes(house, copies):
    value = await sign_in(house)
    session = (await seen(house, copies, value)).session
    house.clock.now += 61
    await seen(house, copies, value)
    await house.sessions.write_seen()
    told = await copies.read(session.token_hash, session.account_id)
    assert told.copy is None
    exchange = await seen(house, copies, value)
    assert exchange.session.last_seen == house.clock.now


async def test_open_connections_are_checked_in_the_database(house, copies):
    """Whatever the copies say: it is one read for all of them, every two seconds."""
    value = await sign_in(house)
    exchange = await seen(house, copies, value)
    ended = []
    house.identity.watch(exchange, lambda: ended.append(True))
    copies.down = True
    await house.sessions.live.check()
    assert not ended
    session = exchange.session
    database = house.sessions._store._database
    await database.end_token(session.token_hash, session.account_id)
    await house.sessions.live.check()
    await house.sessions.live.stop()  # and a turn of the loop
    assert ended


async def test_without_a_clock_the_databases_is_used(tmp_path):
    """So that processes on several machines judge alike."""
    async with gatehouse(tmp_path, clock=None, own_clock=False) as house:
        assert house.sessions._clock is house.identity._stores.clock
    async with gatehouse(tmp_path, clock=Clock()) as house:
        assert house.sessions._clock is house.clock
