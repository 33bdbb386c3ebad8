"""What every store of second factors promises."""

import asyncio

import pytest
from tests.contracts.records import NOW, account, digest, factor

from ringfence.errors import StoreError

pytestmark = pytest.mark.anyio

AT_ONCE = 50


@pytest.fixture
def stores(databases):
    return databases


def codes(*names, owner="ann"):
    return [
        factor(name, owner, kind="recovery-code", secret=b"", label="")
        for name in names
    ]


async def test_a_factor_comes_back_as_it_was_added(stores):
    """By its name, and among its owner's, the oldest first."""
    first = factor("first", created=NOW - 1, id=b"\x00\xff" * 500, details=b'{"a":1}')
    totp = factor("totp", kind="totp", secret=b"sealed", counter=-1)
    for one in (totp, first, factor("bobs", "bob")):
        assert await stores.factors.add(one, epoch=0)
    assert await stores.factors.find("passkey", first.id) == first
    assert await stores.factors.find("totp", digest("totp")) == totp
    assert await stores.factors.find("passkey", digest("totp")) is None
    assert await stores.factors.of_account("id-ann") == [first, totp]
    assert await stores.factors.of_account("id-nobody") == []


async def test_a_factor_is_added_to_an_account_as_it_was_seen(stores):
    """Not to one that has changed since, nor under a name that is taken (CWE-367)."""
    factors = stores.factors
    assert not await factors.add(factor(), epoch=1)
    assert not await factors.add(factor(owner="nobody"), epoch=0)
    assert await factors.add(factor(), epoch=0)
    assert not await factors.add(factor(owner="bob"), epoch=0)
    assert await factors.find("passkey", digest("one")) == factor()
    await stores.accounts.set_disabled("id-ann", disabled=True)
    assert not await factors.add(factor("two"), epoch=1)
    assert await factors.find("passkey", digest("one")) is None
    assert not await factors.replace("id-ann", "passkey", [], epoch=1)


async def test_an_owner_calls_a_factor_something_else(stores):
    """And nobody else does; a use that was written down meanwhile stays."""
    await stores.factors.add(factor(), epoch=0)
    one = factor()
    assert await stores.factors.advance("passkey", one.id, counter=9, at=NOW)
    assert not await stores.factors.rename("id-bob", "passkey", one.id, "mine")
    assert not await stores.factors.rename("id-ann", "totp", one.id, "mine")
    assert await stores.factors.rename("id-ann", "passkey", one.id, "Blue key")
    renamed = one._replace(label="Blue key", counter=9, used=NOW)
    assert await stores.factors.of_account("id-ann") == [renamed]


async def test_an_account_has_so_many_and_no_more(stores):
    """Also of many that are added at once."""
    adding = [
        stores.factors.add(factor(f"{number}"), epoch=0, most=3) for number in range(8)
    ]
    assert (await asyncio.gather(*adding)).count(True) == 3
    assert len(await stores.factors.of_account("id-ann")) == 3
    for one in codes("code"):  # of another kind
        assert await stores.factors.add(one, epoch=0, most=1)


async def test_of_many_uses_of_one_code_one_counts(stores):
    """A one-time code that is raced proves something once (RFC 6238, 5.2)."""
    totp = factor("totp", kind="totp", counter=-1)
    await stores.factors.add(totp, epoch=0)
    uses = [
        stores.factors.advance("totp", totp.id, counter=57, at=NOW + 5)
        for _ in range(AT_ONCE)
    ]
    assert (await asyncio.gather(*uses)).count(True) == 1
    found = await stores.factors.find("totp", totp.id)
    assert found == totp._replace(counter=57, used=NOW + 5)
    for counter in (57, 56, 0):
        assert not await stores.factors.advance(
            "totp", totp.id, counter=counter, at=NOW + 9
        )
    assert await stores.factors.find("totp", totp.id) == found
    assert not await stores.factors.advance("totp", b"other", counter=9, at=NOW)


async def test_a_passkey_that_does_not_count_goes_on(stores):
    """Until it counts: then it counts for good."""
    await stores.factors.add(factor(counter=-1), epoch=0)
    name = ("passkey", digest("one"))
    told = [
        await stores.factors.advance(*name, counter=counter, at=NOW)
        for counter in (0, 0, 2**32 - 1, 0)
    ]
    assert told == [True, True, True, False]


async def test_of_many_uses_of_a_recovery_code_one_counts(stores):
    """It is used by being removed, by its owner alone."""
    (code,) = codes("code")
    await stores.factors.add(code, epoch=0)
    assert not await stores.factors.remove("id-bob", code.kind, code.id)
    uses = [stores.factors.remove("id-ann", code.kind, code.id) for _ in range(AT_ONCE)]
    assert (await asyncio.gather(*uses)).count(True) == 1


async def test_factors_are_replaced_together(stores):
    """New codes take the place of all old ones of their kind, or of none."""
    factors = stores.factors
    await factors.add(factor(), epoch=0)
    assert await factors.replace("id-ann", "recovery-code", codes("a", "b"), epoch=0)
    assert await factors.replace(
        "id-bob", "recovery-code", codes("c", owner="bob"), epoch=0
    )
    fresh = codes("b", "d")
    assert await factors.replace("id-ann", "recovery-code", fresh, epoch=0)
    kept = {one.id for one in await factors.of_account("id-ann")}
    assert kept == {digest(name) for name in ("one", "b", "d")}
    for taken in (codes("e", "c"), codes("f", "f")):
        assert not await factors.replace("id-ann", "recovery-code", taken, epoch=0)
    assert not await factors.replace("id-ann", "recovery-code", codes("g"), epoch=1)
    assert {one.id for one in await factors.of_account("id-ann")} == kept
    assert await factors.replace("id-ann", "recovery-code", [], epoch=0)
    assert await factors.of_account("id-ann") == [factor()]


async def test_factors_outlast_the_password(stores):
    """A reset does not take them away (ASVS 5.0 V6.4.4); removing the account does."""
    await stores.factors.add(factor(), epoch=0)
    await stores.accounts.set_password("id-ann", "new", epoch=0)
    await stores.accounts.raise_epoch("id-ann")
    assert await stores.factors.find("passkey", digest("one")) == factor()
    await stores.accounts.remove("id-ann")
    assert await stores.factors.find("passkey", digest("one")) is None
    assert await stores.factors.of_account("id-ann") == []
    await stores.accounts.add(account("ann"))
    assert await stores.factors.add(factor(), epoch=0)


async def test_a_closed_store_raises_store_error(stores):
    await stores.stop()
    for call in (
        stores.factors.add(factor(), epoch=0),
        stores.factors.find("passkey", b"x"),
        stores.factors.of_account("id-ann"),
        stores.factors.advance("passkey", b"x", counter=1, at=NOW),
        stores.factors.rename("id-ann", "passkey", b"x", "mine"),
        stores.factors.remove("id-ann", "passkey", b"x"),
        stores.factors.replace("id-ann", "passkey", [], epoch=0),
    ):
        with pytest.raises(StoreError):
            await call
