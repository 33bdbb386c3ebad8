"""Half a sign-in: what was proved, for whom, once, and not for long."""

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.identity.gatehouse import Clock, visit

from ringfence.identity.pending import LIFETIME, PendingSignIns
from ringfence.stores.contracts import AccountRecord
from ringfence.stores.memory_single_use import MemoryReplayStore

ANN = AccountRecord(
    id="a-1",
    email="ann@example.com",
    email_key="ann@example.com",
    password_hash="",
    roles=frozenset(),
    disabled=False,
    created=0.0,
    epoch=3,
)
PASSWORD = frozenset({"password"})


def make(clock=None, keys=(b"k" * 32,), *, development=False):
    clock = clock or Clock()
    return PendingSignIns(
        lambda: keys, MemoryReplayStore(clock), development=development, clock=clock
    )


def read(pending, value):
    return pending.read(visit(), value)


def test_it_says_who_has_proved_what():
    """What was issued is what is read."""
    pending = make()
    found = read(pending, pending.issue(ANN, PASSWORD))
    assert (found.account_id, found.epoch, found.factors) == ("a-1", 3, ("password",))


def test_it_ends_after_five_minutes():
    """A half sign-in that was left open is worth nothing tomorrow."""
    clock = Clock()
    pending = make(clock)
    value = pending.issue(ANN, PASSWORD)
    clock.now += LIFETIME - 1
    assert read(pending, value)
    clock.now += 1
    assert read(pending, value) is None


def test_one_from_the_future_is_none():
    """A clock that was set back makes no proof that waits for its time."""
    clock = Clock()
    pending = make(clock)
    value = pending.issue(ANN, PASSWORD)
    clock.now -= 60
    assert read(pending, value) is None


def test_another_key_is_another_site():
    """What somebody else has signed says nothing here."""
    value = make(keys=(b"x" * 32,)).issue(ANN, PASSWORD)
    assert read(make(), value) is None


def test_it_outlives_a_rotation_of_keys():
    """Whoever is half signed in when the keys change goes on."""
    value = make(keys=(b"1" * 32,)).issue(ANN, PASSWORD)
    assert read(make(keys=(b"2" * 32, b"1" * 32)), value)


def test_each_changed_byte_makes_it_worthless():
    """Nobody writes another account, or another factor, into theirs."""
    pending = make()
    value = pending.issue(ANN, PASSWORD)
    raw = urlsafe_b64decode(value + "=" * (-len(value) % 4))
    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1
        assert read(pending, urlsafe_b64encode(changed).decode()) is None


@given(st.text(max_size=200))
def test_whatever_is_sent_is_none_or_ours(text):
    """No text ends in an error."""
    assert make().read(visit(), text or "x") is None


@pytest.mark.anyio
async def test_one_of_fifty_redeems_it():
    """Whoever sends it fifty times at once gets one sign-in."""
    pending = make()
    found = read(pending, pending.issue(ANN, PASSWORD))
    redeemed = await asyncio.gather(*(pending.redeem(found) for _ in range(50)))
    assert sum(redeemed) == 1


def test_two_of_one_account_are_two():
    """A second browser is not shut out by the first."""
    pending = make()
    first, second = (read(pending, pending.issue(ANN, PASSWORD)) for _ in range(2))
    assert first.nonce != second.nonce


@pytest.mark.parametrize(
    ("development", "name"), [(False, "__Host-pending"), (True, "pending-8000")]
)
def test_browsers_keep_it_in_a_cookie(development, name):
    """It comes back with the next form, where no script can read it."""
    pending = make(development=development)
    exchange = visit()
    value = pending.issue(ANN, PASSWORD)
    pending.write(exchange, value)
    ((_, cookie),) = exchange.response_headers
    text = cookie.decode()
    assert text.startswith(f"{name}={value}; Max-Age=300; Path=/")
    assert text.endswith("; HttpOnly; SameSite=Lax")
    assert ("; Secure" in text) is not development
    assert pending.read(visit(cookie=f"a=b; {name}={value}"))
    assert pending.read(visit(cookie=f"{name}={value}; {name}=other")) is None
    pending.expire(exchange)
    assert len(exchange.response_headers) == 1
    assert b"Max-Age=0" in exchange.response_headers[0][1]


def test_what_a_program_sends_counts_alone():
    """No falling back from a wrong field to a good cookie."""
    pending = make()
    value = pending.issue(ANN, PASSWORD)
    exchange = visit(cookie=f"__Host-pending={value}")
    assert pending.read(exchange)
    assert pending.read(exchange, "wrong") is None


def test_it_names_the_epoch():
    """A change of the password in between makes it void."""
    pending = make()
    found = read(pending, pending.issue(replace(ANN, epoch=4), PASSWORD))
    assert found.epoch == 4
