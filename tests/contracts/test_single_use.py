"""What every store of tickets, replays and revocations promises."""

import asyncio
import subprocess
import sys
from hashlib import sha256

import pytest
from tests.contracts.records import account

from ringfence.stores.contracts import Ticket, counter_key
from ringfence.stores.open import open_stores

pytestmark = pytest.mark.anyio

AT_ONCE = 50
HOUR = 3600.0


@pytest.fixture
def stores(timed_stores):
    return timed_stores


def digest(name):
    return sha256(name.encode()).digest()


def ticket(name="one", owner="ann", **changes):
    return Ticket("reset", digest(name), f"id-{owner}", 0, b"payload")._replace(
        **changes
    )


async def of_ann(stores):
    await stores.accounts.add(account("ann"))


# Tickets


async def test_a_ticket_is_used_once(stores):
    """It comes back as it was issued, and a second time not at all."""
    await of_ann(stores)
    assert await stores.tickets.issue(ticket(), HOUR)
    assert await stores.tickets.redeem("reset", digest("one")) == ticket()
    assert await stores.tickets.redeem("reset", digest("one")) is None


async def test_one_of_many_at_once_gets_the_ticket(stores):
    """A reset link that is raced sets one password."""
    await of_ann(stores)
    await stores.tickets.issue(ticket(), HOUR)
    got = await asyncio.gather(
        *(stores.tickets.redeem("reset", digest("one")) for _ in range(AT_ONCE))
    )
    assert [found for found in got if found is not None] == [ticket()]


async def test_a_ticket_is_good_for_its_kind(stores):
    """A recovery code resets no password; and asking so does not use it up."""
    await of_ann(stores)
    await stores.tickets.issue(ticket(), HOUR)
    assert await stores.tickets.redeem("recovery", digest("one")) is None
    assert await stores.tickets.redeem("reset", digest("one")) == ticket()


async def test_a_ticket_expires(stores, clock):
    """After its time it is worth nothing; a moment before, it is."""
    await of_ann(stores)
    for name in ("early", "late"):
        await stores.tickets.issue(ticket(name), HOUR)
    clock.now += HOUR - 1
    assert await stores.tickets.redeem("reset", digest("early")) is not None
    clock.now += 1
    assert await stores.tickets.redeem("reset", digest("late")) is None


async def test_an_unknown_ticket_is_none(stores):
    """Whatever was guessed."""
    assert await stores.tickets.redeem("reset", digest("guess")) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda accounts: accounts.raise_epoch("id-ann"),
        lambda accounts: accounts.set_password("id-ann", "other", epoch=0),
        lambda accounts: accounts.set_disabled("id-ann", disabled=True),
        lambda accounts: accounts.remove("id-ann"),
    ],
    ids=["epoch", "password", "disabled", "removed"],
)
async def test_a_change_of_the_account_voids_its_tickets(stores, change):
    """And none can be issued for what was decided before."""
    await of_ann(stores)
    await stores.tickets.issue(ticket(), HOUR)
    await change(stores.accounts)
    assert await stores.tickets.redeem("reset", digest("one")) is None
    assert not await stores.tickets.issue(ticket("two"), HOUR)


async def test_the_oldest_ticket_goes(stores, clock):
    """Of one kind and account; others are left alone."""
    for name in ("ann", "bob"):
        await stores.accounts.add(account(name))
    await stores.tickets.issue(ticket("bobs", "bob"), HOUR)
    await stores.tickets.issue(ticket("code", kind="recovery"), HOUR)
    for name in ("first", "second", "third"):
        clock.now += 1
        assert await stores.tickets.issue(ticket(name), HOUR, most=2)
    redeemed = [
        await stores.tickets.redeem("reset", digest(name))
        for name in ("first", "second", "third", "bobs")
    ]
    assert [found is not None for found in redeemed] == [False, True, True, True]
    assert await stores.tickets.redeem("recovery", digest("code")) is not None


async def test_tickets_are_withdrawn(stores):
    """All of a kind and an account, and no others."""
    await of_ann(stores)
    for name in ("one", "two"):
        await stores.tickets.issue(ticket(name), HOUR)
    await stores.tickets.issue(ticket("code", kind="recovery"), HOUR)
    assert await stores.tickets.withdraw("id-ann", "reset") == 2
    assert await stores.tickets.withdraw("id-ann", "reset") == 0
    assert await stores.tickets.redeem("reset", digest("one")) is None
    assert await stores.tickets.redeem("recovery", digest("code")) is not None


async def test_a_token_is_issued_once(stores):
    """Nobody takes another's ticket over by issuing the same token."""
    for name in ("ann", "bob"):
        await stores.accounts.add(account(name))
    assert await stores.tickets.issue(ticket(), HOUR)
    assert not await stores.tickets.issue(ticket(owner="bob"), HOUR)
    assert await stores.tickets.redeem("reset", digest("one")) == ticket()


async def test_expired_tickets_are_forgotten(stores, clock):
    """In passing: new ones take old ones along."""
    await of_ann(stores)
    for index in range(20):
        await stores.tickets.issue(ticket(f"old {index}"), HOUR, most=100)
    clock.now += HOUR
    for index in range(4):
        await stores.tickets.issue(ticket(f"new {index}"), HOUR, most=100)
    assert await stores.tickets.withdraw("id-ann", "reset") == 4


SCRIPT = """
import asyncio, sys
from ringfence.stores.open import open_stores

async def main(url):
    stores = open_stores(url)
    await stores.start()
    sys.stdout.write("ready\\n")
    sys.stdout.flush()
    sys.stdin.readline()
    for token in range(10):
        token_hash = bytes([token]) * 32
        tries = [stores.tickets.redeem("reset", token_hash) for _ in range(5)]
        tries += [stores.replays.first(token_hash, 60.0) for _ in range(5)]
        print(*(bool(one) for one in await asyncio.gather(*tries)))
    await stores.stop()

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_of_two_processes_one_is_first(kind, request, tmp_path):
    """Ten tickets and ten keys, each raced by two processes of five."""
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path}/contract.db"
    else:
        url = request.getfixturevalue("emptied").url("psycopg") + "&timeout=20"
    here = open_stores(url)
    await here.start()
    await of_ann(here)
    for token in range(10):
        issued = ticket(token_hash=bytes([token]) * 32)
        assert await here.tickets.issue(issued, HOUR)
    await here.stop()
    for lines in await asyncio.to_thread(raced, url):
        words = [line.split() for line in lines]
        for part in (range(5), range(5, 10)):  # of a ticket, and of a key
            assert sum(told[index] == "True" for told in words for index in part) == 1


def raced(url):
    """Let two processes begin at once; return what both have said, line by line."""
    racing = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for one in racing:
        assert one.stdout.readline() == "ready\n"
    for one in racing:
        one.stdin.write("go\n")
        one.stdin.flush()
    said = [one.communicate(timeout=60)[0].splitlines() for one in racing]
    return list(zip(*said, strict=True))


# Replays


async def test_a_key_is_first_once(stores, clock):
    """And again after its time."""
    key = counter_key("totp", "ann", "57")
    assert await stores.replays.first(key, 90.0)
    assert not await stores.replays.first(key, 90.0)
    clock.now += 89
    assert not await stores.replays.first(key, 90.0)
    clock.now += 1
    assert await stores.replays.first(key, 90.0)


async def test_one_of_many_at_once_is_first(stores):
    """A one-time code that is raced signs in once."""
    key = counter_key("totp", "ann", "57")
    told = await asyncio.gather(
        *(stores.replays.first(key, 90.0) for _ in range(AT_ONCE))
    )
    assert told.count(True) == 1


async def test_keys_of_any_length_are_told_apart(stores):
    """An index cannot keep long ones, and must not cut them either."""
    long = b"x" * 100_000
    assert await stores.replays.first(long + b"a", HOUR)
    assert await stores.replays.first(long + b"b", HOUR)
    assert not await stores.replays.first(long + b"a", HOUR)


# Revocations


async def test_a_revoked_token_has_no_standing(stores, clock):
    """Until it would have expired anyway."""
    await of_ann(stores)
    assert await stores.revocations.standing((b"jti",), "id-ann") == 0
    await stores.revocations.revoke(b"jti", "id-ann", HOUR)
    assert await stores.revocations.standing((b"jti",), "id-ann") is None
    assert await stores.revocations.standing((b"other",), "id-ann") == 0
    clock.now += HOUR
    assert await stores.revocations.standing((b"jti",), "id-ann") == 0


async def test_a_revocation_is_never_shortened(stores, clock):
    """Whoever revokes a token again for less long brings nothing back."""
    await of_ann(stores)
    await stores.revocations.revoke(b"jti", "id-ann", HOUR)
    await stores.revocations.revoke(b"jti", "id-ann", 1.0)
    clock.now += 2
    assert await stores.revocations.standing((b"jti",), "id-ann") is None


async def test_nobody_revokes_the_tokens_of_another(stores):
    """The same id at two accounts is two tokens."""
    for name in ("ann", "bob"):
        await stores.accounts.add(account(name))
    await stores.revocations.revoke(b"jti", "id-bob", HOUR)
    assert await stores.revocations.standing((b"jti",), "id-ann") == 0


async def test_standing_follows_the_account(stores):
    """Its epoch, and whether it may be used at all."""
    assert await stores.revocations.standing((b"jti",), "id-ann") is None
    await of_ann(stores)
    await stores.accounts.raise_epoch("id-ann")
    assert await stores.revocations.standing((b"jti",), "id-ann") == 1
    await stores.accounts.set_disabled("id-ann", disabled=True)
    assert await stores.revocations.standing((b"jti",), "id-ann") is None
