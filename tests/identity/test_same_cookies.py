"""A session that is recognised by the cookies of the request before it."""

import pytest
from tests.identity.test_sessions import NAME, request, sign_in, who

from ringfence.denial import Denial
from ringfence.errors import StoreError
from ringfence.identity import sessions
from ringfence.identity.refusals import TWO_CREDENTIALS

pytestmark = pytest.mark.anyio


async def known(house):
    """Return the token of a session that has been recognised in both ways."""
    token = await sign_in(house)
    for _ in range(3):
        assert await who(house, token)
    assert house.sessions._tokens
    return token


async def test_no_token_is_kept(house):
    """Only hashes: of all cookies, and of the token among them."""
    token = await known(house)
    assert token not in repr(house.sessions._tokens)


async def test_nothing_is_examined(house, monkeypatch):
    token = await known(house)
    monkeypatch.delattr(sessions.Sessions, "_examine")
    assert await who(house, token)


async def test_a_second_credential_is_refused(house):
    token = await known(house)
    exchange = request(token, (b"authorization", b"Bearer x"))
    assert await house.identity.authenticate(exchange) is TWO_CREDENTIALS
    assert exchange.principal is None


async def test_at_another_port_they_mean_nothing(house):
    """In development the name of the cookie tells the port."""
    token = await known(house)
    exchange = request(token)
    exchange.scope["server"] = ("127.0.0.1", 9000)
    assert await house.identity.authenticate(exchange) is None
    assert exchange.principal is None


async def test_an_ended_session_is_noticed(house):
    token = await known(house)
    await house.sessions.end_current(await seen(house, token))
    assert await who(house, token) is None


async def test_a_store_that_fails_refuses(house, monkeypatch):
    token = await known(house)

    def fail(*_):
        raise StoreError("gone")

    monkeypatch.setattr(type(house.sessions._store), "recall", fail)
    denial = await house.identity.authenticate(request(token))
    assert isinstance(denial, Denial)
    assert denial.status == 503


async def seen(house, token, *headers):
    exchange = request(token, *headers)
    assert await house.identity.authenticate(exchange) is None
    return exchange


@pytest.mark.parametrize("back", [1.0, 299.0, 301.0])
async def test_a_clock_that_is_set_back_is_noticed(house, back):
    token = await known(house)
    house.clock.now += 1_000
    assert await who(house, token)
    house.clock.now -= back
    assert bool(await who(house, token)) is (back < 300)


async def test_another_browser_is_looked_at(house):
    token = await known(house)
    agent = (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0")
    await seen(house, token, agent)
    digest = (await seen(house, token, agent)).session.token_hash
    assert house.sessions._known[digest].agent == agent[1]


@pytest.mark.parametrize("size", [10, 2_000])
async def test_long_headers_are_not_kept(house, size):
    """Hashing much, and often, is what a flood would wish for."""
    token = await sign_in(house)
    line = (b"cookie", f"a={'x' * size}; {NAME}={token}".encode())
    for _ in range(2):
        exchange = request(None, line)
        assert await house.identity.authenticate(exchange) is None
        assert exchange.principal is not None
    assert len(house.sessions._tokens) == (size < 1_000)


async def test_it_is_bounded(house, monkeypatch):
    """One browser whose other cookies change fills no memory."""
    monkeypatch.setattr(sessions, "_REMEMBERED", 5)
    token = await sign_in(house)
    for number in range(20):
        line = (b"cookie", f"a={number}; {NAME}={token}".encode())
        for _ in range(2):
            exchange = request(None, line)
            assert await house.identity.authenticate(exchange) is None
            assert exchange.principal is not None
    assert 0 < len(house.sessions._tokens) <= 5


async def test_strangers_leave_nothing_there(house):
    for number in range(10):
        assert await who(house, f"token-{number}") is None
    assert not house.sessions._tokens


def test_a_use_before_the_beginning_is_always_looked_at():
    lifetime = sessions.Lifetime(idle=60.0, absolute=600.0)
    assert lifetime.end(created=100.0, used=90.0) < 0
    assert lifetime.end(created=100.0, used=110.0) == pytest.approx(170.0, abs=0.01)
    assert lifetime.end(created=100.0, used=690.0) == pytest.approx(700.0, abs=0.01)
