"""What every store of API keys promises."""

import asyncio

import pytest
from tests.contracts.records import NOW, api_key, digest

from ringfence.errors import StoreError

pytestmark = pytest.mark.anyio

KEY = digest("one")


@pytest.fixture
async def stores(databases):
    await databases.api_keys.add(api_key(), epoch=0)
    return databases


async def test_a_key_comes_back_as_it_was_added(stores):
    """With the roles that its account has now, and whether it has expired or not."""
    later = api_key("two", created=NOW + 1, expires=NOW, scopes=frozenset())
    assert await stores.api_keys.add(later, epoch=0)
    assert await stores.api_keys.read(KEY) == api_key()
    assert await stores.api_keys.read(digest("other")) is None
    await stores.accounts.set_roles("id-ann", frozenset({"staff"}))
    staff = frozenset({"staff"})
    assert await stores.api_keys.read(KEY) == api_key(roles=staff)
    assert await stores.api_keys.of_account("id-ann") == [
        later._replace(roles=staff),
        api_key(roles=staff),
    ]
    assert await stores.api_keys.of_account("id-bob") == []
    await stores.accounts.set_tenant("id-ann", "acme")
    mine = api_key(roles=staff, tenant="acme")
    assert await stores.api_keys.read(KEY) == mine
    assert mine in await stores.api_keys.of_account("id-ann")


async def test_a_key_is_added_to_an_account_as_it_was_seen(stores):
    """Nor is a key taken over by adding it again."""
    keys = stores.api_keys
    assert not await keys.add(api_key("late"), epoch=1)
    assert not await keys.add(api_key("late", "nobody"), epoch=0)
    assert not await keys.add(api_key(owner="bob"), epoch=0)
    await stores.accounts.set_disabled("id-bob", disabled=True)
    assert not await keys.add(api_key("late", "bob"), epoch=1)
    assert await keys.read(KEY) == api_key()


async def test_an_account_has_so_many_and_no_more(stores):
    """Also of many that are added at once."""
    adding = [
        stores.api_keys.add(api_key(f"{number}"), epoch=0, most=4)
        for number in range(8)
    ]
    assert (await asyncio.gather(*adding)).count(True) == 3


async def test_a_use_is_written_down(stores):
    """Never an earlier one over a later, and nothing comes back by it."""
    assert await stores.api_keys.read(KEY) == api_key()
    await stores.api_keys.touch({KEY: NOW + 60, digest("other"): NOW})
    assert await stores.api_keys.read(KEY) == api_key(used=NOW + 60)
    await stores.api_keys.touch({KEY: NOW + 30})
    await stores.api_keys.touch({})
    assert (await stores.api_keys.read(KEY)).used == NOW + 60
    await stores.api_keys.end_all("id-ann")
    await stores.api_keys.touch({KEY: NOW + 90})
    assert await stores.api_keys.read(KEY) is None


async def test_a_key_is_ended_by_its_owner(stores):
    """One, or all of them; what has expired is forgotten."""
    keys = stores.api_keys
    for name in ("two", "three"):
        await keys.add(api_key(name), epoch=0)
    assert not await keys.end("id-bob", "public-one")
    assert not await keys.end("id-ann", "public-one\0")
    assert await keys.end("id-ann", "public-one")
    assert not await keys.end("id-ann", "public-one")
    assert await keys.read(KEY) is None
    assert await keys.end_all("id-ann") == 2
    await keys.add(api_key("short", expires=NOW + 10), epoch=0)
    await keys.add(api_key("long"), epoch=0)
    assert await keys.forget_expired(NOW + 11) == 1
    assert [one.id for one in await keys.of_account("id-ann")] == ["public-long"]


@pytest.mark.parametrize(
    "ending",
    [
        lambda accounts: accounts.raise_epoch("id-ann"),
        lambda accounts: accounts.set_disabled("id-ann", disabled=True),
        lambda accounts: accounts.remove("id-ann"),
    ],
    ids=["epoch", "disabled", "removed"],
)
async def test_what_ends_all_ends_the_keys(stores, ending):
    """At once and for good (CWE-613)."""
    await stores.api_keys.add(api_key("bobs", "bob"), epoch=0)
    assert await stores.api_keys.read(KEY) is not None
    assert await ending(stores.accounts)
    assert await stores.api_keys.read(KEY) is None
    await stores.accounts.set_disabled("id-ann", disabled=False)
    assert await stores.api_keys.read(KEY) is None
    assert await stores.api_keys.read(digest("bobs")) is not None


async def test_a_new_password_leaves_the_keys(stores):
    """A program that runs at night does not stop because its owner has changed it."""
    assert await stores.accounts.set_password("id-ann", "new", epoch=0)
    assert await stores.api_keys.read(KEY) == api_key()


async def test_a_closed_store_raises_store_error(stores):
    await stores.stop()
    for call in (
        stores.api_keys.add(api_key("new"), epoch=0),
        stores.api_keys.read(KEY),
        stores.api_keys.touch({KEY: NOW}),
        stores.api_keys.of_account("id-ann"),
        stores.api_keys.end("id-ann", "public-one"),
        stores.api_keys.end_all("id-ann"),
        stores.api_keys.forget_expired(NOW),
    ):
        with pytest.raises(StoreError):
            await call
