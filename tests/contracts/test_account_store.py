"""What every account store promises."""

import asyncio

import pytest
from tests.contracts.records import (
    NOW,
    account,
    api_key,
    factor,
    grant,
    link,
    session,
)

from ringfence.errors import StoreError
from ringfence.stores.contracts import Rotation, Use

pytestmark = pytest.mark.anyio


async def test_keeps_every_field(stores):
    ann = account(
        email="Zoë.O'Brien@EXAMPLE.com",
        roles=frozenset({"admin", "staff with spaces", '"quoted"'}),
        disabled=True,
        created=0.1 + 0.2,
        epoch=7,
    )
    assert await stores.accounts.add(ann) is True
    assert await stores.accounts.by_id(ann.id) == ann
    assert await stores.accounts.by_email(ann.email_key) == ann


async def test_unknown_accounts_are_none(stores):
    assert await stores.accounts.by_id("id-nobody") is None
    assert await stores.accounts.by_email("nobody@example.com") is None


async def test_an_address_is_taken_once(stores):
    """The second account with an address is not added, and the first is unchanged."""
    first, second = account(), account(id="id-other", password_hash="other")
    assert await stores.accounts.add(first) is True
    assert await stores.accounts.add(second) is False
    assert await stores.accounts.by_email(first.email_key) == first
    assert await stores.accounts.by_id("id-other") is None


async def test_an_address_is_compared_by_its_key_alone(stores):
    """Keys that differ are different accounts, whatever the database's collation."""
    assert await stores.accounts.add(account("ann"))
    assert await stores.accounts.add(account("zoe", email_key="ANN@EXAMPLE.COM"))
    assert await stores.accounts.add(account("zoé", email_key="ann@example.com "))


async def test_an_id_is_taken_once(stores):
    """Ids are never reused; one that is there already is refused, not overwritten."""
    assert await stores.accounts.add(account()) is True
    assert await stores.accounts.add(account("bob", id="id-ann")) is False
    assert await stores.accounts.by_id("id-ann") == account()


async def test_of_fifty_parallel_additions_one_wins(stores):
    tries = [account(id=f"id-{number}") for number in range(50)]
    added = await asyncio.gather(*map(stores.accounts.add, tries))
    assert added.count(True) == 1
    winner = tries[added.index(True)]
    assert await stores.accounts.by_email(winner.email_key) == winner
    assert len(await stores.accounts.page(after="", limit=100)) == 1


async def test_a_new_password_ends_every_session(stores):
    """The password, the epoch and the sessions change together."""
    await stores.accounts.add(account())
    await stores.accounts.add(account("bob"))
    await stores.sessions.add(session("one"), epoch=0, replaces=None)
    await stores.sessions.add(session("two"), epoch=0, replaces=None)
    await stores.sessions.add(session("bobs", "bob"), epoch=0, replaces=None)
    assert await stores.accounts.set_password("id-ann", "new", epoch=0) == 1
    ann = await stores.accounts.by_id("id-ann")
    assert (ann.password_hash, ann.epoch) == ("new", 1)
    assert await stores.sessions.of_account("id-ann") == []
    assert await stores.sessions.read(session("one").token_hash) is None
    assert await stores.sessions.read(session("bobs", "bob").token_hash) is not None


async def test_of_parallel_changes_of_a_password_one_wins(stores):
    """Two changes that the same old password allowed must not both happen."""
    await stores.accounts.add(account())
    changes = [
        stores.accounts.set_password("id-ann", f"new {number}", epoch=0)
        for number in range(20)
    ]
    epochs = await asyncio.gather(*changes)
    assert sorted(epochs) == [0] * 19 + [1]
    ann = await stores.accounts.by_id("id-ann")
    assert ann.password_hash == f"new {epochs.index(1)}"


async def test_an_overtaken_change_ends_no_session(stores):
    await stores.accounts.add(account(epoch=3))
    await stores.sessions.add(session(), epoch=3, replaces=None)
    assert await stores.accounts.set_password("id-ann", "new", epoch=2) == 0
    assert (await stores.accounts.by_id("id-ann")).password_hash == "hash of ann"
    assert await stores.sessions.read(session().token_hash) is not None
    assert await stores.accounts.set_password("id-nobody", "new", epoch=0) == 0


async def test_a_better_hash_ends_nothing(stores):
    await stores.accounts.add(account())
    await stores.sessions.add(session(), epoch=0, replaces=None)
    await stores.accounts.upgrade_hash("id-ann", "hash of ann", "better")
    ann = await stores.accounts.by_id("id-ann")
    assert (ann.password_hash, ann.epoch) == ("better", 0)
    assert await stores.sessions.read(session().token_hash) is not None


async def test_a_better_hash_of_an_older_password_is_dropped(stores):
    """An upgrade that a change of password overtook must not bring the old one back."""
    await stores.accounts.add(account())
    await stores.accounts.set_password("id-ann", "new", epoch=0)
    await stores.accounts.upgrade_hash("id-ann", "hash of ann", "better")
    assert (await stores.accounts.by_id("id-ann")).password_hash == "new"


async def test_roles_hold_at_once(stores):
    """A session carries the roles that the account has now, not those at sign-in."""
    await stores.accounts.add(account(roles=frozenset({"staff"})))
    await stores.sessions.add(session(), epoch=0, replaces=None)
    assert (await stores.sessions.read(session().token_hash)).roles == {"staff"}
    assert await stores.accounts.set_roles("id-ann", frozenset({"admin"})) is True
    assert (await stores.sessions.read(session().token_hash)).roles == {"admin"}
    assert await stores.accounts.set_roles("id-ann", frozenset()) is True
    assert (await stores.sessions.read(session().token_hash)).roles == frozenset()
    assert (await stores.accounts.by_id("id-ann")).epoch == 2
    assert await stores.accounts.set_roles("id-nobody", frozenset()) is False


async def test_the_tenant_holds_at_once(stores):
    """For the sessions that are open, like a role, wherever they are read. Nobody
    else's account moves with it, and what was decided in the old tenant is void."""
    await stores.accounts.add(account(tenant="acme"))
    await stores.accounts.add(account("bob", tenant="acme"))
    await stores.sessions.add(session(), epoch=0, replaces=None)
    token = session().token_hash
    for epoch, tenant in enumerate(("A.b_c:d-" + "9" * 56, ""), start=1):
        assert (await stores.sessions.read(token)).tenant != tenant
        assert await stores.accounts.set_tenant("id-ann", tenant) is True
        assert (await stores.sessions.read(token)).tenant == tenant
        assert (await stores.sessions.read_many([token]))[token].tenant == tenant
        (listed,) = await stores.sessions.of_account("id-ann")
        assert listed.tenant == tenant
        ann = await stores.accounts.by_id("id-ann")
        assert (ann.tenant, ann.epoch) == (tenant, epoch)
    late = session("late")
    assert await stores.sessions.add(late, epoch=1, replaces=None) is False
    assert (await stores.accounts.by_email("bob@example.com")).tenant == "acme"
    ann, bob = await stores.accounts.page(after="", limit=2)
    assert (ann.tenant, bob.tenant) == ("", "acme")
    assert await stores.accounts.set_tenant("id-nobody", "acme") is False


async def test_disabling_ends_every_session_for_good(stores):
    await stores.accounts.add(account())
    await stores.sessions.add(session(), epoch=0, replaces=None)
    assert await stores.accounts.set_disabled("id-ann", disabled=True) is True
    assert await stores.sessions.read(session().token_hash) is None
    assert await stores.accounts.set_disabled("id-ann", disabled=False) is True
    assert await stores.sessions.read(session().token_hash) is None
    assert (await stores.accounts.by_id("id-ann")).epoch == 2
    assert await stores.accounts.set_disabled("id-nobody", disabled=True) is False


async def test_raising_the_epoch_ends_every_session(stores):
    """Nothing that was decided before holds any longer: sessions, and a sign-in that
    is still on its way."""
    await stores.accounts.add(account())
    await stores.accounts.add(account("bob"))
    await stores.sessions.add(session(), epoch=0, replaces=None)
    await stores.sessions.add(session("bobs", "bob"), epoch=0, replaces=None)
    assert await stores.sessions.read(session().token_hash) is not None
    assert await stores.accounts.raise_epoch("id-ann") == 1
    assert await stores.sessions.read(session().token_hash) is None
    assert await stores.sessions.of_account("id-ann") == []
    late = session("late")
    assert await stores.sessions.add(late, epoch=0, replaces=None) is False
    assert await stores.sessions.add(late, epoch=1, replaces=None) is True
    assert (await stores.accounts.by_id("id-ann")).epoch == 1
    assert await stores.sessions.read(session("bobs", "bob").token_hash) is not None
    assert await stores.accounts.raise_epoch("id-nobody") == 0


async def test_each_raise_is_a_higher_epoch(stores):
    """Also of many at once: two that were told the same could each believe that
    nothing has happened since."""
    await stores.accounts.add(account())
    raises = [stores.accounts.raise_epoch("id-ann") for _ in range(20)]
    assert sorted(await asyncio.gather(*raises)) == list(range(1, 21))
    assert await stores.accounts.epoch("id-ann") == 20


async def test_the_epoch_of_an_account_that_may_be_used(stores):
    """Of one that is gone or disabled there is none, so that nothing fits it."""
    await stores.accounts.add(account(epoch=3))
    assert await stores.accounts.epoch("id-ann") == 3
    await stores.accounts.set_roles("id-ann", frozenset({"staff"}))
    assert await stores.accounts.epoch("id-ann") == 4
    await stores.accounts.set_disabled("id-ann", disabled=True)
    assert await stores.accounts.epoch("id-ann") is None
    await stores.accounts.set_disabled("id-ann", disabled=False)
    assert await stores.accounts.epoch("id-ann") == 6
    await stores.accounts.remove("id-ann")
    assert await stores.accounts.epoch("id-ann") is None
    assert await stores.accounts.epoch("id-nobody") is None


async def test_an_address_is_proved(stores):
    """That one, and not the one that the account has by now; nothing ends by it."""
    await stores.accounts.add(account())
    await stores.sessions.add(session(), epoch=0, replaces=None)
    assert (await stores.accounts.by_id("id-ann")).verified == 0
    assert not await stores.accounts.verify("id-ann", "old@example.com", NOW)
    assert not await stores.accounts.verify("id-bob", "ann@example.com", NOW)
    assert await stores.accounts.by_id("id-ann") == account()
    assert await stores.accounts.verify("id-ann", "ann@example.com", NOW)
    assert await stores.accounts.by_id("id-ann") == account(verified=NOW)
    assert await stores.sessions.read(session().token_hash) is not None
    assert await stores.accounts.add(account("bob", verified=NOW - 5))
    assert (await stores.accounts.by_id("id-bob")).verified == NOW - 5


async def test_each_store_keeps_what_proves_an_owner(stores):
    """Also behind copies, and beside sessions in memory; the suites of each shelf run
    on the databases themselves."""
    await stores.accounts.add(account())
    assert await stores.factors.add(factor(), epoch=0)
    assert await stores.grants.add(grant(), epoch=0)
    assert await stores.api_keys.add(api_key(), epoch=0)
    assert await stores.links.add(link(), epoch=0)
    swap = Rotation(b"new", NOW + 99, b"answer", b"device", NOW, 10.0)
    told = [
        (await stores.grants.rotate(grant().id, grant().token_hash, swap))[:2]
        for _ in range(3)
    ]
    assert told == [("rotated", b""), ("replayed", b"answer"), ("again", b"")]
    assert await stores.factors.advance("passkey", factor().id, counter=1, at=NOW)
    assert await stores.api_keys.read(api_key().token_hash) == api_key()
    assert await stores.accounts.set_password("id-ann", "new", epoch=0) == 1
    assert await stores.grants.find(grant().id) is None
    assert await stores.api_keys.read(api_key().token_hash) is not None
    assert await stores.accounts.raise_epoch("id-ann") == 2
    assert await stores.api_keys.read(api_key().token_hash) is None
    assert await stores.links.find(link().issuer, link().subject) == link()
    assert await stores.accounts.remove("id-ann")
    assert await stores.links.find(link().issuer, link().subject) is None
    assert await stores.factors.of_account("id-ann") == []


async def test_pages_follow_each_other(stores):
    for number in range(7):
        await stores.accounts.add(account(f"a{number}"))
    pages, after = [], ""
    while page := await stores.accounts.page(after=after, limit=3):
        pages.append([found.id for found in page])
        after = page[-1].id
    assert pages == [
        ["id-a0", "id-a1", "id-a2"],
        ["id-a3", "id-a4", "id-a5"],
        ["id-a6"],
    ]


async def test_removing_takes_the_sessions_along(stores):
    await stores.accounts.add(account())
    await stores.sessions.add(session(), epoch=0, replaces=None)
    assert await stores.accounts.remove("id-ann") is True
    assert await stores.accounts.remove("id-ann") is False
    assert await stores.accounts.by_email("ann@example.com") is None
    assert await stores.sessions.read(session().token_hash) is None
    assert await stores.accounts.add(account(id="id-again")) is True
    assert await stores.sessions.of_account("id-ann") == []


@pytest.mark.parametrize("text", ["' OR '1'='1", "'; DROP TABLE users; --", "O'Brien"])
async def test_values_stay_values(stores, text):
    """The guide's injections are addresses that nobody has, and names that anybody
    may have."""
    await stores.accounts.add(account())
    assert await stores.accounts.by_email(text) is None
    assert await stores.accounts.remove(text) is False
    assert await stores.accounts.add(account("other", email_key=text, email=text))
    assert (await stores.accounts.by_email(text)).email == text
    assert await stores.accounts.by_id("id-ann") == account()


async def test_a_closed_store_raises_store_error(stores):
    await stores.stop()
    with pytest.raises(StoreError):
        await stores.accounts.by_id("id-ann")
    with pytest.raises(StoreError):
        await stores.accounts.add(account())
    with pytest.raises(StoreError):
        await stores.sessions.read(session().token_hash)
    with pytest.raises(StoreError):
        await stores.sessions.touch({session().token_hash: Use(1.0, "", "")})


async def test_a_store_can_be_opened_again(stores):
    await stores.accounts.add(account())
    await stores.sessions.add(session(), epoch=0, replaces=None)
    await stores.stop()
    await stores.stop()
    await stores.start()
    assert await stores.accounts.by_id("id-ann") == account()
    assert await stores.sessions.read(session().token_hash) == session()


@pytest.mark.parametrize("name", ["ann\0", "\0", "ann\ud800", "\udc00"])
async def test_what_no_database_can_hold_is_not_there(stores, name):
    """A sign-in with such an address is a wrong one, and not a store that is down."""
    await stores.accounts.add(account("ann"))
    assert await stores.accounts.by_email(name) is None
    assert await stores.accounts.by_id(name) is None
    assert await stores.accounts.epoch(name) is None
    assert await stores.sessions.end("id-ann", name) is False
