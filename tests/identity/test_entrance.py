"""The one place where a session begins: what a proof is worth."""

import asyncio
from types import SimpleNamespace

import pytest
from tests.identity.gatehouse import EMAIL, PASSWORD, Clock, visit

from ringfence.denial import Denial
from ringfence.identity.entrance import Entrance, SecondFactorNeeded
from ringfence.identity.known_device import KnownDevices
from ringfence.identity.pending import PendingSignIns
from ringfence.identity.refusals import SIGN_IN_FAILED
from ringfence.stores.contracts import AccountRecord, Factor
from ringfence.stores.open import open_stores

ONE = frozenset({"password"})
UNVERIFIED = Denial(403, "identity.address_unverified", "Look into your mail.")


class Opened:
    """Notes what sessions were opened."""

    def __init__(self):
        self.begun = []

    async def begin(self, account, exchange, *, factors):
        self.begun.append((account.id, factors))


@pytest.fixture
async def entrance(anyio_backend):
    clock = Clock()
    stores = open_stores("memory://")
    await stores.start()
    account = AccountRecord(
        id="ann",
        email=EMAIL,
        email_key=EMAIL,
        password_hash=PASSWORD,
        roles=frozenset(),
        disabled=False,
        created=0.0,
    )
    await stores.accounts.add(account)

    def keys():
        return (b"k" * 32,)

    opened = Opened()
    pending = PendingSignIns(keys, stores.replays, development=False, clock=clock)

    async def unproven(account):
        return UNVERIFIED

    def make(*, asks=False):
        return Entrance(
            stores.accounts,
            stores.factors,
            opened,
            KnownDevices(keys, development=False, clock=clock),
            pending,
            unproven=unproven if asks else None,
        )

    async def give(kind, name=b"1"):
        factor = Factor(kind, name, account.id, b"secret")
        assert await stores.factors.add(factor, epoch=account.epoch)

    yield SimpleNamespace(
        account=account, give=give, make=make, opened=opened, stores=stores
    )
    await stores.stop()


@pytest.mark.anyio
async def test_a_password_alone_is_enough_without_a_second_factor(entrance):
    """Who has set nothing else up signs in as before."""
    assert await entrance.make().admit(entrance.account, visit(), ONE) is None
    assert entrance.opened.begun == [("ann", ONE)]


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["totp", "passkey"])
async def test_a_password_alone_is_half_a_sign_in_with_one(entrance, kind):
    """No session, and the browser keeps what was proved."""
    await entrance.give(kind)
    await entrance.give("recovery-code")
    exchange = visit()
    refused = await entrance.make().admit(entrance.account, exchange, ONE)
    assert isinstance(refused, SecondFactorNeeded)
    assert refused.factors == tuple(sorted({kind, "recovery-code"}))
    assert not entrance.opened.begun
    ((name, cookie),) = exchange.response_headers
    assert name == b"set-cookie"
    assert refused.pending.encode() in cookie


@pytest.mark.anyio
@pytest.mark.parametrize("first", ["password", "openid"])
async def test_whatever_came_first_the_second_is_asked_for(entrance, first):
    """Another provider is no way past it either."""
    await entrance.give("totp")
    refused = await entrance.make().weigh(entrance.account, frozenset({first}))
    assert isinstance(refused, SecondFactorNeeded)


@pytest.mark.anyio
@pytest.mark.parametrize("second", ["totp", "passkey", "recovery-code"])
async def test_both_open_a_session_once(entrance, second):
    """The half and the other half: one session, of however many requests at once."""
    await entrance.give("totp")
    door = entrance.make()
    half = await door.weigh(entrance.account, ONE)
    pending = door.pending.read(visit(), half.pending)
    account = await door.account_of(pending)
    answers = await asyncio.gather(
        *(door.complete(pending, account, visit(), second) for _ in range(50))
    )
    assert answers.count(None) == 1
    assert set(answers) == {None, SIGN_IN_FAILED}
    assert entrance.opened.begun == [("ann", ONE | {second})]


@pytest.mark.anyio
async def test_a_passkey_is_two_factors_at_once(entrance):
    """Who has unlocked one is not asked for a code."""
    await entrance.give("totp")
    factors = frozenset({"passkey"})
    assert await entrance.make().admit(entrance.account, visit(), factors) is None


@pytest.mark.anyio
async def test_recovery_codes_alone_guard_nothing(entrance):
    """They stand in for a second factor; left over, they lock nobody out."""
    await entrance.give("recovery-code")
    assert await entrance.make().weigh(entrance.account, ONE) is None


@pytest.mark.anyio
async def test_what_has_changed_meanwhile_voids_the_first_half(entrance):
    """A password that was changed, an account that was disabled: begin anew."""
    await entrance.give("totp")
    door = entrance.make()
    half = await door.weigh(entrance.account, ONE)
    pending = door.pending.read(visit(), half.pending)
    assert await door.account_of(pending)
    await entrance.stores.accounts.raise_epoch("ann")
    assert await door.account_of(pending) is None


@pytest.mark.anyio
async def test_an_address_that_must_be_proved_comes_before_all(entrance):
    """Asked only of who knows the password; a proved one is asked nothing."""
    door = entrance.make(asks=True)
    assert await door.admit(entrance.account, visit(), ONE) is UNVERIFIED
    assert not entrance.opened.begun
    await entrance.stores.accounts.verify("ann", EMAIL, 5.0)
    account = await entrance.stores.accounts.by_id("ann")
    assert await door.admit(account, visit(), ONE) is None
