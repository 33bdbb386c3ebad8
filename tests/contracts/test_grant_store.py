"""What every store of refresh tokens promises."""

import asyncio
from collections import Counter

import pytest
from tests.contracts.raced import raced
from tests.contracts.records import NOW, account, digest, grant

from ringfence.errors import StoreError
from ringfence.stores.contracts import Rotated, Rotation
from ringfence.stores.open import open_stores

pytestmark = pytest.mark.anyio

AT_ONCE = 50
ID = grant().id
TOKENS = [digest(f"one {number}") for number in range(6)]
GONE = Rotated("gone")
REUSED = Rotated("reused", account_id="id-ann")


@pytest.fixture
async def stores(databases):
    await databases.grants.add(grant(), epoch=0)
    return databases


def rotation(number, **changes):
    """Return what makes the token with this number the one that is good."""
    made = Rotation(
        token_hash=TOKENS[number],
        expires=NOW + 2000,
        answer=b"answer %d" % number,
        binding=b"device",
        at=NOW + 10,
        grace=10.0,
    )
    return made._replace(**changes)


async def rotate(stores, presented, to, **changes):
    return await stores.grants.rotate(ID, TOKENS[presented], rotation(to, **changes))


async def test_a_family_comes_back_as_it_was_added(stores):
    """With what its account is now."""
    await stores.grants.add(grant("two", created=NOW + 1), epoch=0)
    assert await stores.grants.find(ID) == grant()
    assert await stores.grants.find(digest("x")[:16]) is None
    await stores.accounts.set_roles("id-ann", frozenset({"staff"}))
    await stores.accounts.set_tenant("id-ann", "acme")
    held = {"roles": frozenset({"staff"}), "epoch": 2, "tenant": "acme"}
    assert await stores.grants.find(ID) == grant(**held)
    both = [grant("two", created=NOW + 1, **held), grant(**held)]
    assert await stores.grants.of_account("id-ann") == both
    assert await stores.grants.of_account("id-bob") == []


async def test_a_family_begins_with_an_account_as_it_was_seen(stores):
    """A sign-in that a change of password has overtaken gets nothing (CWE-367)."""
    assert not await stores.grants.add(grant("late"), epoch=1)
    assert not await stores.grants.add(grant("late", "nobody"), epoch=0)
    assert not await stores.grants.add(grant(owner="bob"), epoch=0)
    await stores.accounts.set_disabled("id-bob", disabled=True)
    assert not await stores.grants.add(grant("late", "bob"), epoch=1)
    assert await stores.grants.find(ID) == grant()


async def test_a_token_is_rotated(stores):
    """The family goes on with the new one, for as long as it may in all."""
    assert await rotate(stores, 0, 1) == Rotated("rotated", account_id="id-ann")
    assert await stores.grants.find(ID) == grant(
        token_hash=TOKENS[1], generation=1, used=NOW + 10, expires=NOW + 2000
    )
    assert (await rotate(stores, 1, 2, expires=NOW + 9000)).outcome == "rotated"
    assert (await stores.grants.find(ID)).expires == NOW + 5000


async def test_of_many_rotations_at_once_one_holds(stores):
    """One other is told the same answer, and nobody gets a second new token."""
    told = await asyncio.gather(
        *(
            stores.grants.rotate(
                ID, TOKENS[0], rotation(1, token_hash=digest(f"{number}"))
            )
            for number in range(AT_ONCE)
        )
    )
    outcomes = Counter(one.outcome for one in told)
    assert outcomes == {"rotated": 1, "replayed": 1, "again": AT_ONCE - 2}
    assert {one.answer for one in told if one.outcome == "replayed"} == {b"answer 1"}
    (winner,) = [number for number in range(AT_ONCE) if told[number][0] == "rotated"]
    found = await stores.grants.find(ID)
    assert (found.token_hash, found.generation) == (digest(f"{winner}"), 1)


async def test_the_answer_is_repeated_once_and_soon(stores):
    """A response that was lost on the way is no theft: not to the same device, within
    the window."""
    await rotate(stores, 0, 1)
    again = await rotate(stores, 0, 2, at=NOW + 19.9)
    assert again == Rotated("replayed", b"answer 1", "id-ann")
    assert await rotate(stores, 0, 2, at=NOW + 19.9) == Rotated("again", b"", "id-ann")
    assert (await stores.grants.find(ID)).token_hash == TOKENS[1]
    assert (await rotate(stores, 1, 2)).outcome == "rotated"
    assert (await rotate(stores, 1, 3)).answer == b"answer 2"


@pytest.mark.parametrize(
    "changes",
    [{"at": NOW + 20}, {"binding": b"another"}, {"binding": b""}],
    ids=["late", "elsewhere", "unbound"],
)
async def test_reuse_ends_the_family(stores, changes):
    """Of two who have the same token, one is a thief: nobody keeps it (RFC 9700,
    4.14.2)."""
    await rotate(stores, 0, 1)
    assert await rotate(stores, 0, 2, **changes) == REUSED
    assert await rotate(stores, 1, 2) == GONE
    assert await stores.grants.find(ID) is None


async def test_reuse_without_a_window_ends_the_family(stores):
    """Where the answer is never repeated."""
    await rotate(stores, 0, 1, grace=0.0)
    assert await rotate(stores, 0, 2) == REUSED


async def test_an_older_token_ends_the_family(stores):
    """Whatever the window. So does what is no token of the family at all."""
    await rotate(stores, 0, 1)
    await rotate(stores, 1, 2)
    assert await rotate(stores, 0, 3) == REUSED
    await stores.grants.add(grant(), epoch=0)
    assert await stores.grants.rotate(ID, b"", rotation(1)) == REUSED


async def test_a_window_is_the_familys_own(stores):
    """What was answered before a family was ended is not told to another one."""
    await rotate(stores, 0, 1)
    await stores.grants.end("id-ann", ID)
    await stores.grants.add(grant(token_hash=TOKENS[1]), epoch=0)
    assert await rotate(stores, 0, 2) == REUSED


@pytest.mark.parametrize("late", [{"at": NOW + 1000}, {"at": NOW + 5000}])
async def test_an_expired_family_is_gone(stores, late):
    """And nothing in it is renewed."""
    assert await rotate(stores, 0, 1, **late) == GONE
    assert await stores.grants.find(ID) == grant()
    assert await rotate(stores, 1, 1, **late) == GONE


ENDINGS = {
    "password": lambda accounts: accounts.set_password("id-ann", "new", epoch=0),
    "epoch": lambda accounts: accounts.raise_epoch("id-ann"),
    "disabled": lambda accounts: accounts.set_disabled("id-ann", disabled=True),
    "removed": lambda accounts: accounts.remove("id-ann"),
}


@pytest.mark.parametrize("ending", ENDINGS)
async def test_what_ends_sessions_ends_families(stores, ending):
    """At once and for good; of nobody else (CWE-613)."""
    await stores.grants.add(grant("bobs", "bob"), epoch=0)
    assert await ENDINGS[ending](stores.accounts)
    assert await rotate(stores, 0, 1) == GONE
    await stores.accounts.set_disabled("id-ann", disabled=False)
    assert await stores.grants.find(ID) is None
    assert await stores.grants.find(grant("bobs").id) == grant("bobs", "bob")


async def test_an_overtaken_change_of_password_ends_nothing(stores):
    assert await stores.accounts.set_password("id-ann", "new", epoch=7) == 0
    assert await stores.grants.find(ID) == grant()


async def test_a_family_is_ended_by_its_owner(stores):
    """One, or all of them; what has ended by itself is forgotten."""
    grants = stores.grants
    for name in ("two", "three"):
        await grants.add(grant(name), epoch=0)
    assert not await grants.end("id-bob", ID)
    assert await grants.end("id-ann", ID)
    assert not await grants.end("id-ann", ID)
    assert await grants.end_all("id-bob") == 0
    assert await grants.end_all("id-ann") == 2
    await grants.add(grant("long", expires=NOW + 9000), epoch=0)
    await grants.add(grant("short"), epoch=0)
    assert await grants.forget_expired(NOW + 1000) == 1
    assert [one.id for one in await grants.of_account("id-ann")] == [grant("long").id]
    assert await grants.forget_expired(NOW + 5000) == 1


async def test_a_closed_store_raises_store_error(stores):
    await stores.stop()
    for call in (
        stores.grants.add(grant("new"), epoch=0),
        stores.grants.find(ID),
        rotate(stores, 0, 1),
        stores.grants.of_account("id-ann"),
        stores.grants.end("id-ann", ID),
        stores.grants.end_all("id-ann"),
        stores.grants.forget_expired(NOW),
    ):
        with pytest.raises(StoreError):
            await call


CALLS = """
import os
from ringfence.stores.contracts import Rotation

async def outcome(call):
    return (await call).outcome

def calls(stores, number):
    for index in range(10):
        rotation = Rotation(
            os.urandom(32), 2e9, b"answer", b"device", 1_000_010.5, 60.0
        )
        name = bytes([number])
        yield outcome(stores.grants.rotate(name * 16, name * 32, rotation))
"""
TWICE = 20


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_of_two_processes_one_rotates(kind, request, tmp_path):
    """Ten tokens, each raced by two processes of ten."""
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path}/contract.db"
    else:
        url = request.getfixturevalue("emptied").url("psycopg") + "&timeout=20"
    here = open_stores(url)
    await here.start()
    await here.accounts.add(account())
    for token in range(10):
        family = grant(id=bytes([token]) * 16, token_hash=bytes([token]) * 32)
        assert await here.grants.add(family, epoch=0)
    await here.stop()
    for told in await asyncio.to_thread(raced, url, CALLS, 10):
        assert Counter(told) == {"rotated": 1, "replayed": 1, "again": TWICE - 2}
