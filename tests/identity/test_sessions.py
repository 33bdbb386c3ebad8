"""The session stage: who sends a request, and for how long that holds."""

import asyncio
from hashlib import sha256

import pytest
from tests.identity.gatehouse import EMAIL, PASSWORD, gatehouse, visit

from ringfence.audit.events import SessionsEnded, SignedIn, SignedOut
from ringfence.errors import StoreError
from ringfence.exchange import Exchange
from ringfence.principal import Principal

pytestmark = pytest.mark.anyio

NAME = "session-8000"


def request(token=None, *headers):
    lines = [*headers]
    if token is not None:
        lines.append((b"cookie", f"{NAME}={token}".encode()))
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "headers": lines,
        "server": ("127.0.0.1", 8000),
    }
    exchange = Exchange(scope, None)
    exchange.client = "203.0.113.9"
    return exchange


async def sign_in(house, came_with=None):
    """Sign Ann in and return the token of her new session."""
    account = await house.accounts.authenticate(EMAIL, PASSWORD, visit())
    exchange = request() if came_with is None else request(came_with)
    await house.identity.authenticate(exchange)
    factors = frozenset({"password"})
    assert await house.sessions.begin(account, exchange, factors=factors) is None
    (_, cookie) = exchange.response_headers[-1]
    return cookie.decode().partition("=")[2].partition(";")[0]


async def who(house, token):
    """Return whom the session stage sees behind a token."""
    exchange = request(token)
    assert await house.identity.authenticate(exchange) is None
    return exchange.principal


async def test_without_a_cookie_nobody_is_there(house):
    exchange = request()
    assert await house.identity.authenticate(exchange) is None
    assert exchange.principal is None
    assert exchange.session is None
    assert exchange.credential == ""
    assert exchange.response_headers == []


async def test_a_session_tells_who_is_there(house):
    token = await sign_in(house)
    exchange = request(token)
    assert await house.identity.authenticate(exchange) is None
    (account,) = await house.accounts.page()
    assert exchange.principal == Principal(
        account.id, frozenset(), frozenset({"password"}), house.clock.now
    )
    assert exchange.credential == "session"
    assert exchange.session.token_hash == sha256(token.encode()).digest()
    assert exchange.response_headers == []


async def test_the_token_is_nowhere_stored(house):
    """A stolen copy of the database signs nobody in."""
    token = await sign_in(house)
    await house.identity.stop()
    files = [file for file in house.database.parent.iterdir() if file.is_file()]
    content = b"".join(file.read_bytes() for file in files)
    assert token.encode() not in content
    assert PASSWORD.encode() not in content
    assert sha256(token.encode()).digest() in content


async def test_tokens_have_256_random_bits(house):
    tokens = {await sign_in(house) for _ in range(5)}
    assert len(tokens) == 5
    assert {len(token) for token in tokens} == {43}


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "A" * 43,
        "A" * 42,
        "' OR '1'='1",
        "\x00",
        "é" * 43,
        "A" * 100_000,
        '"quoted"',
    ],
)
async def test_a_bad_token_is_signed_out_and_its_cookie_ended(house, token):
    exchange = request(token)
    assert await house.identity.authenticate(exchange) is None
    assert exchange.principal is None
    (line,) = exchange.response_headers
    assert line[1].startswith(b"session-8000=; Max-Age=0")


async def test_a_session_ends_after_a_time_without_requests(house):
    """To the second, from the last request, though not every one is written down."""
    token = await sign_in(house)
    house.clock.now += 59
    assert await who(house, token)
    house.clock.now += 30 * 60 - 1
    assert await who(house, token)
    house.clock.now += 30 * 60
    exchange = request(token)
    await house.identity.authenticate(exchange)
    assert exchange.principal is None
    assert exchange.response_headers[0][1].startswith(b"session-8000=; Max-Age=0")


async def test_another_process_knows_the_last_use_to_the_minute(house):
    """It ends an idle session earlier at most, never later."""
    token = await sign_in(house)
    house.clock.now += 59
    assert await who(house, token)
    house.sessions._known.clear()  # as in a process that did not see that request
    house.clock.now += 30 * 60 - 59 - 1
    assert await who(house, token)
    house.sessions._known.clear()
    house.clock.now += 1
    assert await who(house, token) is None


async def test_the_sweep_spares_what_was_used_since_it_was_written_down(house):
    token = await sign_in(house)
    house.clock.now += 59
    assert await who(house, token)
    house.clock.now += 30 * 60 - 1
    await house.sessions.sweep()
    assert await who(house, token)


@pytest.mark.parametrize(("set_back", "lives"), [(300, True), (301, False)])
async def test_no_session_waits_for_a_future(house, set_back, lives):
    """A clock that was wrong and is put right leaves none that live on for years;
    machines that disagree by minutes do no harm."""
    token = await sign_in(house)
    house.clock.now -= set_back
    assert (await who(house, token) is not None) is lives


async def test_requests_keep_a_session_alive_until_its_absolute_end(house):
    token = await sign_in(house)
    begin = house.clock.now
    while house.clock.now < begin + 12 * 3600 - 1200:
        house.clock.now += 1200
        assert await who(house, token), house.clock.now - begin
        await house.sessions.write_seen()
    house.clock.now = begin + 12 * 3600 - 1
    assert await who(house, token)
    await house.sessions.write_seen()
    house.clock.now = begin + 12 * 3600
    assert await who(house, token) is None


async def test_lifetimes_are_settings(tmp_path):
    async with gatehouse(tmp_path, session_idle=60, session_absolute=120) as house:
        await house.accounts.register(EMAIL, PASSWORD, visit())
        token = await sign_in(house)
        house.clock.now += 60
        assert await who(house, token) is None
        token = await sign_in(house)
        house.clock.now += 59
        assert await who(house, token)
        house.clock.now += 59
        assert await who(house, token)
        house.clock.now += 2
        assert await who(house, token) is None


async def test_a_short_idle_time_is_written_down_more_often(tmp_path):
    """Else a session would end under the hands of its owner in another process."""
    async with gatehouse(tmp_path, session_idle=60, session_absolute=120) as house:
        await house.accounts.register(EMAIL, PASSWORD, visit())
        token = await sign_in(house)
        house.clock.now += 7
        await who(house, token)
        await house.sessions.write_seen()
        house.sessions._known.clear()
        house.clock.now += 59
        assert await who(house, token)


async def test_seen_is_written_once_a_minute_and_beside_the_request(house):
    token = await sign_in(house)
    writes = []
    store, touch = house.sessions._store, house.sessions._store.touch

    async def counted(seen):
        writes.append(dict(seen))
        await touch(seen)

    store.touch = counted
    for _ in range(100):
        await who(house, token)
    assert house.sessions._seen == {}
    house.clock.now += 60
    for _ in range(100):
        await who(house, token)
    assert len(house.sessions._seen) == 1
    assert writes == []  # nothing was written by the requests themselves
    await house.identity.stop()  # what is still to be written is
    assert [use.at for seen in writes for use in seen.values()] == [house.clock.now]


async def test_a_store_that_cannot_mark_sessions_ends_them_earlier(house, caplog):
    token = await sign_in(house)

    async def fail(seen):
        raise StoreError("the disk is full")

    house.sessions._store.touch = fail
    house.clock.now += 61
    assert await who(house, token)
    await house.sessions.write_seen()
    assert "disk is full" in caplog.text
    house.sessions._known.clear()  # another process knows of no use
    house.clock.now += 30 * 60 - 61
    assert await who(house, token) is None


async def test_expired_sessions_are_swept_away(house, caplog):
    await sign_in(house)
    house.clock.now += 3600
    token = await sign_in(house)
    await house.sessions.sweep()
    (account,) = await house.accounts.page()
    left = await house.sessions._store.of_account(account.id)
    assert [session.created for session in left] == [house.clock.now]
    assert await who(house, token)

    async def fail(**times):
        raise StoreError("the disk is full")

    house.sessions._store.forget_expired = fail
    await house.sessions.sweep()
    assert "disk is full" in caplog.text


async def test_sweeping_happens_by_itself(house, monkeypatch):
    await sign_in(house)
    swept = asyncio.Event()

    async def forget(**times):
        swept.set()
        return 0

    await house.sessions.stop()
    monkeypatch.setattr("ringfence.identity.sessions._SWEEP_SECONDS", 0.001)
    house.sessions._store.forget_expired = forget
    await house.sessions.start()
    await asyncio.wait_for(swept.wait(), 10)


async def test_a_busy_site_is_swept_too(house):
    """Requests that mark their sessions as seen do not put off the sweep for ever."""
    token = await sign_in(house)
    marked, swept = asyncio.Event(), []

    async def touch(seen):
        marked.set()

    async def forget(**times):
        swept.append(house.clock.now)
        return 0

    house.sessions._store.touch = touch
    house.sessions._store.forget_expired = forget
    started = house.clock.now
    house.clock.now += 60
    for _ in range(25):
        marked.clear()
        await who(house, token)
        await asyncio.wait_for(marked.wait(), 10)
        house.clock.now += 60
    assert [time - started for time in swept] == [600, 1200]


async def test_a_clock_that_was_set_back_does_not_put_off_the_sweep(house):
    swept = asyncio.Event()

    async def forget(**times):
        swept.set()
        return 0

    house.sessions._store.forget_expired = forget
    house.clock.now -= 86_400
    house.sessions._wake.set()
    await asyncio.wait_for(swept.wait(), 10)


async def test_what_was_seen_during_the_last_sweep_is_written(house):
    """The house is closed in the middle of a sweep, and loses nothing."""
    token = await sign_in(house)
    sweeping, go_on, written = asyncio.Event(), asyncio.Event(), []

    async def touch(seen):
        written.append(dict(seen))

    async def forget(**times):
        sweeping.set()
        await go_on.wait()
        return 0

    house.sessions._store.touch = touch
    house.sessions._store.forget_expired = forget
    house.clock.now += 601
    await who(house, token)
    await asyncio.wait_for(sweeping.wait(), 10)
    written.clear()
    house.clock.now += 60
    await who(house, token)
    stopping = asyncio.create_task(house.sessions.stop())
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.wait_for(stopping, 10)
    assert [use.at for seen in written for use in seen.values()] == [house.clock.now]


async def test_signing_in_makes_a_new_token_and_ends_the_old(house):
    """A token that was planted before the sign-in is worth nothing after it
    (CWE-384)."""
    planted = await sign_in(house)
    fresh = await sign_in(house, came_with=planted)
    assert fresh != planted
    assert await who(house, planted) is None
    assert await who(house, fresh)


async def test_a_request_that_a_new_token_overtakes_ends_no_cookie(house):
    """It carries the old one; ending the cookie, whose name is the same, would sign out
    whoever has just signed in again. It is signed out itself all the same."""
    planted = await sign_in(house)
    await sign_in(house, came_with=planted)
    house.clock.now += 60
    late = request(planted)
    await house.identity.authenticate(late)
    assert late.principal is None
    assert late.response_headers == []
    house.clock.now += 1
    later = request(planted)
    await house.identity.authenticate(later)
    assert later.response_headers[0][1].startswith(b"session-8000=; Max-Age=0")


async def test_a_script_that_another_process_overtakes_ends_no_cookie(house):
    """Which of several workers has replaced the token the others do not know: a poll
    that is on its way during a confirmation signed its owner out."""
    planted = await sign_in(house)
    await sign_in(house, came_with=planted)
    house.sessions._replaced.clear()  # as in another worker
    for mode, count in [(b"cors", 0), (b"same-origin", 0), (b"navigate", 1)]:
        late = request(planted, (b"sec-fetch-mode", mode))
        await house.identity.authenticate(late)
        assert late.principal is None
        assert len(late.response_headers) == count


async def test_what_is_known_beyond_the_store_is_bounded(house, monkeypatch):
    monkeypatch.setattr("ringfence.identity.sessions._REMEMBERED", 2)
    tokens = [await sign_in(house) for _ in range(5)]
    for token in tokens:
        assert await who(house, token)
        assert len(house.sessions._known) <= 2


async def test_what_is_remembered_of_old_tokens_is_bounded(house, monkeypatch):
    monkeypatch.setattr("ringfence.identity.sessions._REMEMBERED", 2)
    for number in range(5):
        house.sessions._note_replaced(b"token %d" % number)
        house.clock.now += 1
    assert list(house.sessions._replaced) == [b"token 3", b"token 4"]
    house.clock.now += 100
    house.sessions._note_replaced(b"token 5")
    assert list(house.sessions._replaced) == [b"token 5"]


async def test_a_token_of_the_attackers_choice_is_never_taken_over(house):
    chosen = "A" * 43
    fresh = await sign_in(house, came_with=chosen)
    assert fresh != chosen
    assert await who(house, chosen) is None


async def test_a_sign_in_overtaken_by_a_change_of_password_is_refused(house):
    account = await house.accounts.authenticate(EMAIL, PASSWORD, visit())
    changed = await house.accounts.change_password(
        account.id, current=PASSWORD, new="another long one", exchange=visit()
    )
    exchange = request()
    refused = await house.sessions.begin(account, exchange, factors=frozenset())
    assert refused.code == "identity.sign_in_failed"
    assert exchange.session is None
    assert exchange.response_headers == []
    assert await house.sessions.begin(changed, exchange, factors=frozenset()) is None


async def test_a_session_and_an_authorization_header_are_one_too_many(house):
    """Trap 11: exactly one credential, whether the session is good or not."""
    token = await sign_in(house)
    for cookie in (token, "A" * 43):
        exchange = request(cookie, (b"authorization", b"Bearer x"))
        denial = await house.identity.authenticate(exchange)
        assert (denial.status, denial.code) == (400, "identity.two_credentials")
        assert exchange.principal is None


@pytest.mark.parametrize("value", [b"Bearer x", b"Basic dTpw", b"", b"DPoP x"])
async def test_an_authorization_header_alone_is_refused(house, value):
    """Never ignored: the sender believes that it counts."""
    exchange = request(None, (b"authorization", value))
    denial = await house.identity.authenticate(exchange)
    assert (denial.status, denial.code) == (401, "identity.bearer_unsupported")
    assert dict(denial.headers)[b"www-authenticate"]


async def test_two_session_cookies_are_refused(house):
    token = await sign_in(house)
    exchange = request(f"{token}; {NAME}=other")
    denial = await house.identity.authenticate(exchange)
    assert denial.code == "identity.ambiguous_cookie"
    assert exchange.principal is None


async def test_a_store_that_is_down_refuses(house):
    """503, never signed out: a page that says so would lose people their forms."""
    token = await sign_in(house)
    await house.identity.stop()
    exchange = request(token)
    denial = await house.identity.authenticate(exchange)
    assert (denial.status, denial.code) == (503, "identity.unavailable")
    assert dict(denial.headers)[b"retry-after"] == b"5"
    assert str(house.database) not in denial.detail
    assert str(house.database) in denial.private
    assert exchange.principal is None
    assert exchange.response_headers == []
    assert await house.identity.authenticate(request()) is None


async def test_roles_and_removal_hold_at_once(house):
    token = await sign_in(house)
    (account,) = await house.accounts.page()
    await house.accounts._store.set_roles(account.id, frozenset({"admin"}))
    assert (await who(house, token)).roles == {"admin"}
    assert (await who(house, token)).tenant == ""
    assert await house.accounts.set_tenant(account.id, "acme") is None
    assert (await who(house, token)).tenant == "acme"
    await house.accounts._store.set_disabled(account.id, disabled=True)
    assert await who(house, token) is None


async def test_the_housekeeper_ends_with_the_house(house):
    def keepers():
        return [task for task in asyncio.all_tasks() if "_keep_house" in repr(task)]

    assert keepers()
    await house.identity.stop()
    await house.identity.stop()
    assert not keepers()


async def test_events_say_who_and_from_where(house):
    token = await sign_in(house)
    exchange = request(token)
    exchange.request_id = "r-9"
    await house.identity.authenticate(exchange)
    house.sessions.record_sign_in(exchange)
    await house.sessions.end_current(exchange)
    owner = exchange.principal.id
    (signed_in,) = house.ledger.named(SignedIn)
    (signed_out,) = house.ledger.named(SignedOut)
    where = {"request_id": "r-9", "client": "203.0.113.9", "account": owner}
    for event in (signed_in, signed_out):
        assert {name: getattr(event, name) for name in where} == where
    assert house.ledger.named(SessionsEnded) == []
    assert await who(house, token) is None
