"""Whose account it is, where several come at once or a store fails."""

import pytest
from tests.identity.gatehouse import EMAIL, Clock, Ledger, visit

from ringfence.audit.events import IdentityLinked
from ringfence.errors import StoreError
from ringfence.identity.openid.client import OpenIdClient
from ringfence.identity.openid.id_token import Identity
from ringfence.identity.openid.identities import Identities
from ringfence.identity.openid.refusals import ADDRESS_TAKEN, LAST_WAY_IN, NO_ADDRESS
from ringfence.identity.refusals import SIGN_IN_FAILED
from ringfence.stores.contracts import Link

pytestmark = pytest.mark.anyio

ISSUER = "https://accounts.example"
EVE = Identity(ISSUER, "eve-1", "eve@example.com", email_verified=True, signed_in=0.0)


class Links:
    """The store's, with something that happens before a link is added."""

    def __init__(self, store):
        self.store = store
        self.meanwhile = None

    def __getattr__(self, name):
        return getattr(self.store, name)

    async def add(self, link, *, epoch):
        if self.meanwhile is not None:
            await self.meanwhile()
        return await self.store.add(link, epoch=epoch)


@pytest.fixture
def links(house):
    return Links(house.identity._stores.links)


@pytest.fixture
def identities(house, links):
    return Identities(
        links,
        house.accounts,
        house.identity.attempts,
        registration=True,
        issuers=[ISSUER, "https://other.example"],
        record=house.ledger.record,
        clock=Clock(),
    )


async def test_a_store_that_fails_leaves_no_half_an_account(house, identities, links):
    """Else the address would be taken, by an account that nobody can sign in to."""

    async def fail():
        raise StoreError("the disk is full")

    links.meanwhile = fail
    with pytest.raises(StoreError):
        await identities.account_of(EVE, visit())
    assert await house.accounts.by_email(EVE.email) is None
    links.meanwhile = None
    assert (await identities.account_of(EVE, visit())).email == EVE.email


async def test_who_was_connected_meanwhile_is_signed_in_there(house, identities, links):
    ann = await house.accounts.by_email(EMAIL)

    async def connect():
        await links.store.add(Link(ISSUER, "eve-1", ann.id), epoch=ann.epoch)

    links.meanwhile = connect
    assert (await identities.account_of(EVE, visit())).id == ann.id
    assert await house.accounts.by_email(EVE.email) is None
    assert not house.ledger.named(IdentityLinked)


async def test_an_address_is_taken_or_is_none(identities):
    taken = EVE._replace(email=EMAIL.upper())
    assert await identities.account_of(taken, visit()) is ADDRESS_TAKEN
    odd = EVE._replace(email="eve")
    assert await identities.account_of(odd, visit()) is NO_ADDRESS


async def test_a_disabled_account_opens_for_no_provider(house, identities):
    account = await identities.account_of(EVE, visit())
    stores = house.identity._stores
    await stores.accounts.set_disabled(account.id, disabled=True)
    assert await identities.account_of(EVE, visit()) is SIGN_IN_FAILED


async def test_a_provider_that_is_gone_is_no_way_in(identities, links):
    """It was taken out of the settings; its link does not count."""
    account = await identities.account_of(EVE, visit())
    gone = Link("https://gone.example", "x", account.id)
    assert await links.store.add(gone, epoch=account.epoch)
    assert await identities.unlink(account, ISSUER, visit()) is LAST_WAY_IN
    assert await identities.is_of(EVE, account.id)


async def test_two_at_once_leave_one_way_in(identities, links):
    """Each has counted on what the other takes away at that moment."""
    account = await identities.account_of(EVE, visit())
    other = Link("https://other.example", "x", account.id)
    assert await links.store.add(other, epoch=account.epoch)
    remove = links.store.remove

    async def both(account_id, issuer, subject):
        await remove(account_id, other.issuer, other.subject)
        return await remove(account_id, issuer, subject)

    links.remove = both
    assert await identities.unlink(account, ISSUER, visit()) is LAST_WAY_IN
    assert await identities.is_of(EVE, account.id)


@pytest.mark.parametrize(
    ("origins", "host", "expected"),
    [
        (("https://shop.example", "https://b.example"), "b.example", "b.example"),
        (("https://shop.example/",), "evil.example", "shop.example"),
    ],
)
def test_providers_lead_back_to_a_configured_origin(origins, host, expected):
    """Never to where a request says that we are (CWE-601)."""
    client = OpenIdClient(
        {}, None, counters=None, public_origins=origins, record=Ledger().record
    )
    exchange = visit()
    exchange.host = host
    assert client._origin(exchange) == f"https://{expected}"
