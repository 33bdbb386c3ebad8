"""What every store of linked identities promises."""

import asyncio

import pytest
from tests.contracts.records import NOW, link

from ringfence.errors import StoreError

pytestmark = pytest.mark.anyio

ISSUER = link().issuer


@pytest.fixture
def stores(databases):
    return databases


async def test_a_link_comes_back_as_it_was_added(stores):
    """By its issuer and subject, byte for byte."""
    for one in (link("two", created=NOW + 1), link(), link("bobs", "bob")):
        assert await stores.links.add(one, epoch=0)
    assert await stores.links.find(ISSUER, "subject-one") == link()
    for other in ("SUBJECT-ONE", "subject-one ", "subject-on\u0435", ""):
        assert await stores.links.find(ISSUER, other) is None
    assert await stores.links.find(ISSUER + "/", "subject-one") is None
    both = [link(), link("two", created=NOW + 1)]
    assert await stores.links.of_account("id-ann") == both
    await stores.accounts.set_disabled("id-ann", disabled=True)
    assert await stores.links.find(ISSUER, "subject-one") == link()


async def test_an_identity_is_linked_once(stores):
    """To one account, of however many that ask at once."""
    adding = [
        stores.links.add(link(owner=owner), epoch=0) for owner in ("ann", "bob") * 10
    ]
    assert (await asyncio.gather(*adding)).count(True) == 1
    mine = await stores.links.of_account("id-ann")
    assert len(mine + await stores.links.of_account("id-bob")) == 1


async def test_a_link_is_added_to_an_account_as_it_was_seen(stores):
    """So many, and no more."""
    assert not await stores.links.add(link(), epoch=1)
    assert not await stores.links.add(link(owner="nobody"), epoch=0)
    adding = [
        stores.links.add(link(f"{number}"), epoch=0, most=3) for number in range(8)
    ]
    assert (await asyncio.gather(*adding)).count(True) == 3
    await stores.accounts.set_disabled("id-bob", disabled=True)
    assert not await stores.links.add(link(owner="bob"), epoch=1)


async def test_a_link_is_removed_by_its_owner(stores):
    """Or with the account."""
    for name in ("one", "two"):
        await stores.links.add(link(name), epoch=0)
    assert not await stores.links.remove("id-bob", ISSUER, "subject-one")
    assert await stores.links.remove("id-ann", ISSUER, "subject-one")
    assert not await stores.links.remove("id-ann", ISSUER, "subject-one")
    await stores.accounts.remove("id-ann")
    assert await stores.links.find(ISSUER, "subject-two") is None
    assert await stores.links.add(link("two", "bob"), epoch=0)


@pytest.mark.parametrize(
    "identity",
    [("a\0b", "x"), ("x", "a\ud800"), ("x" * 5000, "x"), ("x", "s" * 5000), ("x", "")],
    ids=["nul", "surrogate", "long issuer", "long subject", "nobody"],
)
async def test_what_no_database_can_hold_is_not_there(stores, identity):
    """A provider that says so is not told that the store is down."""
    issuer, subject = identity
    assert await stores.links.find(issuer, subject) is None
    assert not await stores.links.remove("id-ann", issuer, subject)
    assert not await stores.links.add(link(issuer=issuer, subject=subject), epoch=0)


async def test_a_closed_store_raises_store_error(stores):
    await stores.stop()
    for call in (
        stores.links.add(link(), epoch=0),
        stores.links.find(ISSUER, "x"),
        stores.links.of_account("id-ann"),
        stores.links.remove("id-ann", ISSUER, "x"),
    ):
        with pytest.raises(StoreError):
            await call
