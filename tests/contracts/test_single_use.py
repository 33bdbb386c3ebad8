"""What every store of tickets, replays and revocations promises."""

import asyncio

import pytest
from tests.contracts.raced import raced
from tests.contracts.records import account, digest

from ringfence.stores.contracts import Ticket, counter_key
from ringfence.stores.open import open_stores

pytestmark = pytest.mark.anyio

AT_ONCE = 50
HOUR = 3600.0


@pytest.fixture
def stores(timed_stores):
    return timed_stores


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


async def test_looking_at_a_ticket_uses_nothing_up(stores, clock):
    """It is told as it was issued, for as long as it could be used, and no longer."""
    await of_ann(stores)
    find = stores.tickets.find
    for name in ("one", "two", "late"):
        await stores.tickets.issue(ticket(name), HOUR)
    assert [await find("reset", digest("one")) for _ in "ab"] == [ticket()] * 2
    assert await find("recovery", digest("one")) is None
    assert await stores.tickets.redeem("reset", digest("one")) == ticket()
    assert await find("reset", digest("one")) is None
    clock.now += HOUR
    assert await find("reset", digest("late")) is None


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
    assert await stores.tickets.find("reset", digest("one")) is None
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


CALLS = """
def calls(stores, number):
    token_hash = bytes([number]) * 32
    for _ in range(5):
        yield stores.tickets.redeem("reset", token_hash)
    for _ in range(5):
        yield stores.replays.first(token_hash, 60.0)
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
    for told in await asyncio.to_thread(raced, url, CALLS, 10):
        tickets = [one for one in told if one not in {"True", "False"}]
        assert tickets.count("None") == 9
        assert told.count("True") == 1
        assert told.count("False") == 9


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


async def test_a_token_falls_with_what_it_was_made_from(stores):
    """The access tokens of a family end with it, each one alone as well."""
    await of_ann(stores)
    revocations = stores.revocations
    assert await revocations.standing((b"jti", b"family"), "id-ann") == 0
    assert await revocations.standing((b"other", b"family"), "id-ann") == 0
    await revocations.revoke(b"other", "id-ann", HOUR)
    assert await revocations.standing((b"other", b"family"), "id-ann") is None
    assert await revocations.standing((b"jti", b"family"), "id-ann") == 0
    await revocations.revoke(b"family", "id-ann", HOUR)
    for token_ids in ((b"jti", b"family"), (b"new", b"family"), (b"family",)):
        assert await revocations.standing(token_ids, "id-ann") is None
        assert revocations.recall(token_ids, "id-ann") is None
    assert await revocations.standing((b"jti", b"another"), "id-ann") == 0


async def test_what_is_recalled_is_what_holds(stores):
    """Nothing that was known before a change is known after it."""
    await of_ann(stores)
    revocations, token_ids = stores.revocations, (b"jti", b"family")
    changes = (
        lambda: stores.accounts.set_roles("id-ann", frozenset({"staff"})),
        lambda: stores.accounts.raise_epoch("id-ann"),
        lambda: stores.accounts.set_password("id-ann", "new", epoch=2),
        lambda: stores.accounts.set_tenant("id-ann", "acme"),
        lambda: revocations.revoke(b"family", "id-ann", HOUR),
    )
    for epoch, change in enumerate(changes):
        assert await revocations.standing(token_ids, "id-ann") == epoch
        assert revocations.recall(token_ids, "id-ann") in {epoch, None}
        await change()
        assert revocations.recall(token_ids, "id-ann") in {epoch + 1, None}
    assert await revocations.standing(token_ids, "id-ann") is None
    assert revocations.recall(token_ids, "id-bob") is None


async def test_a_token_of_nobody_has_no_standing(stores):
    """Whatever it says of itself; the store is not down because of it."""
    assert await stores.revocations.standing((b"jti",), "ann\0") is None
