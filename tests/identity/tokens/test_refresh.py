"""Refresh tokens: used once each, in families."""

import asyncio
from collections import Counter

import pytest
from tests.contracts.raced import raced
from tests.contracts.records import account
from tests.identity.tokens.forge import b64, unb64
from tests.identity.tokens.programs import Key, from_device, opened_over

from ringfence.audit.events import RefreshRepeated, RefreshReused, SignedIn
from ringfence.denial import Denial
from ringfence.errors import StoreError
from ringfence.identity.cause import Cause
from ringfence.identity.tokens.refresh import Pair
from ringfence.identity.tokens.refresh_token import RefreshTokenForm
from ringfence.stores.contracts import Rotated
from ringfence.stores.open import open_stores

pytestmark = pytest.mark.anyio

ANN = account("ann", roles=frozenset({"admin"}))
PASSWORD = frozenset({"password"})
AT_ONCE = 50


@pytest.fixture
async def house(anyio_backend):
    """What hands out tokens, with Ann, in memory."""
    stores = open_stores("memory://")
    await stores.start()
    await stores.accounts.add(ANN)
    await stores.accounts.add(account("bob"))
    yield opened_over(stores)
    await stores.stop()


async def begin(house, **options):
    pair = await house.families.begin(ANN, from_device(), factors=PASSWORD, **options)
    assert isinstance(pair, Pair)
    return pair


async def rotate(house, pair, exchange=None, **options):
    return await house.families.rotate(
        pair.refresh.encode(), exchange or from_device(), **options
    )


def claims(house, pair):
    return house.check.verifier.known(pair.access.encode())


async def is_open(house, pair):
    """Return whether an access token opens anything."""
    said = claims(house, pair)
    names = (b"x", b"sid " + pair.family.encode())
    return await house.stores.revocations.standing(names, said.sub) == said.ver


async def test_a_pair_names_the_account_and_how_it_was_proved(house):
    pair = await begin(house)
    said = claims(house, pair)
    assert (said.sub, said.role, said.amr) == (ANN.id, ("admin",), ("password",))
    assert said.sid == pair.family
    assert pair.expires == said.exp
    assert house.ledger.named(SignedIn)[0].account == ANN.id


async def test_the_store_has_no_token(house):
    pair = await begin(house)
    (grant,) = await house.families.of(ANN.id)
    assert pair.refresh.encode() not in b"".join(
        value for value in grant if isinstance(value, bytes)
    )


async def test_a_token_is_taken_once_for_the_next_pair(house):
    first = await begin(house)
    house.clock.now += 100
    second = await rotate(house, first)
    assert second.refresh != first.refresh
    assert claims(house, second).jti != claims(house, first).jti
    assert second.family == first.family
    third = await rotate(house, second)
    assert isinstance(third, Pair)


async def test_reuse_ends_the_family_and_tells_the_owner(house):
    """RFC 9700, section 4.14.2: one of the two who have it is a thief."""
    stolen = await begin(house)
    second = await rotate(house, stolen)
    third = await rotate(house, second)
    refused = await rotate(house, stolen, from_device("Thief/1.0", "198.51.100.1"))
    assert refused.code == "identity.refresh_invalid"
    assert house.told == [(ANN.id, "refresh_reused")]
    assert house.ended == [(ANN.id, stolen.family)]
    (event,) = house.ledger.named(RefreshReused)
    assert (event.account, event.family, event.generation) == (ANN.id, stolen.family, 0)
    assert event.client == "198.51.100.1"
    assert isinstance(await rotate(house, third), Denial)
    for pair in (stolen, second, third):
        assert not await is_open(house, pair)


async def test_another_family_goes_on(house):
    stolen, other = await begin(house), await begin(house)
    await rotate(house, stolen)
    house.clock.now += 11
    await rotate(house, stolen)
    assert isinstance(await rotate(house, other), Pair)
    assert await is_open(house, other)


async def test_a_lost_answer_is_repeated_once(house):
    """The very same answer: no second generation comes about."""
    first = await begin(house)
    second = await rotate(house, first)
    house.clock.now += 9
    assert await rotate(house, first) == second
    assert len(house.ledger.named(RefreshRepeated)) == 1
    assert (await rotate(house, first)).code == "identity.refresh_repeated"
    assert isinstance(await rotate(house, second), Pair)


@pytest.mark.parametrize(
    ("agent", "client", "after"),
    [
        ("Thief/1.0", "203.0.113.9", 0),
        ("Program/1.0", "198.51.100.1", 0),
        ("Program/1.0", "203.0.113.9", 10),
    ],
    ids=["another program", "another network", "too late"],
)
async def test_it_is_repeated_to_nobody_else(house, agent, client, after):
    first = await begin(house)
    await rotate(house, first)
    house.clock.now += after
    refused = await rotate(house, first, from_device(agent, client))
    assert refused.code == "identity.refresh_invalid"
    assert house.told


async def test_it_is_repeated_for_the_last_token_only(house):
    """django-oauth-toolkit#1617: a grace period that took any older one."""
    first = await begin(house)
    await rotate(house, await rotate(house, first))
    assert isinstance(await rotate(house, first), Denial)
    assert house.told


async def test_no_grace_repeats_nothing(anyio_backend):
    stores = open_stores("memory://")
    await stores.start()
    await stores.accounts.add(ANN)
    house = opened_over(stores, refresh_grace=0)
    first = await begin(house)
    await rotate(house, first)
    assert isinstance(await rotate(house, first), Denial)
    assert house.told
    await stores.stop()


async def test_what_is_no_token_of_ours_is_refused(house):
    pair = await begin(house)
    text = pair.refresh
    body = unb64(text[4:].encode())
    forged = [
        "",
        "rfr_",
        "rfr_" + "A" * 91,
        text[4:],
        text + "A",
        text[:-1],
        "rfk_" + text[4:],
        text[:-1] + ("B" if text[-1] != "B" else "C"),
        "rfr_" + b64(body[:20] + bytes(32) + body[52:]).decode(),
        "rfr_" + "é" * 91,
        "rfr_" + "A" * 1_000_000,
    ]
    for one in forged:
        refused = await house.families.rotate(
            one.encode("utf-8", "replace"), from_device()
        )
        assert refused.code == "identity.refresh_invalid"
    assert house.told == []
    assert isinstance(await rotate(house, pair), Pair)


async def test_who_knows_the_family_cannot_end_it(house):
    """CWE-345: every access token names it, and services write them into logs."""
    pair = await begin(house)
    body = unb64(pair.refresh[4:].encode())
    for generation in range(3):
        made_up = body[:16] + generation.to_bytes(4, "big") + bytes(48)
        await house.families.rotate(b"rfr_" + b64(made_up), from_device())
    assert house.told == []
    assert isinstance(await rotate(house, pair), Pair)


async def test_it_ends_when_nobody_uses_it(house):
    pair = await begin(house)
    house.clock.now += 7 * 24 * 3600
    assert isinstance(await rotate(house, pair), Denial)
    assert house.told == []


async def test_it_ends_in_any_case(house):
    pair = await begin(house)
    for _ in range(5):
        house.clock.now += 6 * 24 * 3600 - 1
        pair = await rotate(house, pair)
        assert isinstance(pair, Pair)
    house.clock.now += 6
    assert isinstance(await rotate(house, pair), Denial)


async def test_a_change_of_roles_shows_in_the_next_access_token(house):
    """And one of the tenant."""
    pair = await begin(house)
    assert claims(house, pair).tenant == ""
    await house.stores.accounts.set_tenant(ANN.id, "acme")
    await house.stores.accounts.set_roles(ANN.id, frozenset({"clerk"}))
    assert not await is_open(house, pair)
    following = await rotate(house, pair)
    assert claims(house, following).role == ("clerk",)
    assert claims(house, following).tenant == "acme"
    assert await is_open(house, following)


@pytest.mark.parametrize("end", ["password", "disabled", "removed", "epoch"])
async def test_what_ends_sessions_ends_families(house, end):
    pair = await begin(house)
    accounts = house.stores.accounts
    await {
        "password": lambda: accounts.set_password(ANN.id, "new", epoch=0),
        "disabled": lambda: accounts.set_disabled(ANN.id, disabled=True),
        "removed": lambda: accounts.remove(ANN.id),
        "epoch": lambda: accounts.raise_epoch(ANN.id),
    }[end]()
    assert isinstance(await rotate(house, pair), Denial)
    assert not await is_open(house, pair)


async def test_a_sign_in_that_was_overtaken_begins_nothing(house):
    await house.stores.accounts.set_password(ANN.id, "new", epoch=0)
    refused = await house.families.begin(ANN, from_device(), factors=PASSWORD)
    assert refused.code == "identity.sign_in_failed"


async def test_a_bound_family_wants_its_key(house):
    """RFC 9449, section 5; who has only the token cannot end it either."""
    key, other = Key(), Key()
    pair = await begin(house, key=key.thumbprint)
    assert claims(house, pair).cnf.jkt == key.thumbprint
    assert (await rotate(house, pair)).code == "identity.dpop_required"
    refused = await rotate(house, pair, key=other.thumbprint)
    assert refused.code == "identity.refresh_invalid"
    assert house.told == []
    following = await rotate(house, pair, key=key.thumbprint)
    moved = from_device("Program/2.0", "198.51.100.1")
    assert await rotate(house, pair, moved, key=key.thumbprint) == following


async def test_nobody_binds_a_family_later(house):
    pair = await begin(house)
    assert isinstance(await rotate(house, pair, key=Key().thumbprint), Denial)


async def test_an_owner_ends_one_family_with_its_tokens(house):
    one, other = await begin(house), await begin(house)
    assert not await house.families.end("id-bob", one.family, Cause())
    assert not await house.families.end(ANN.id, "nonsense", Cause())
    assert not await house.families.end(ANN.id, "é", Cause())
    assert await house.families.end(ANN.id, one.family, Cause())
    assert isinstance(await rotate(house, one), Denial)
    assert not await is_open(house, one)
    assert await is_open(house, other)
    assert [grant.id for grant in await house.families.of(ANN.id)]


async def test_an_owner_ends_all_of_them(house):
    pairs = [await begin(house) for _ in range(3)]
    assert await house.families.end_all(ANN.id, Cause()) == 3
    for pair in pairs:
        assert not await is_open(house, pair)


async def test_a_proof_renews_and_ends_what_was_before(house):
    """The absolute end stays."""
    first = await begin(house)
    house.clock.now += 1000
    second = await begin(house, replaces=first.family)
    assert not await is_open(house, first)
    assert claims(house, second).auth_time == int(house.clock.now)
    (grant,) = await house.families.of(ANN.id)
    assert grant.ends == house.clock.now - 1000 + 30 * 24 * 3600


async def test_a_store_that_fails_is_told_so(house, monkeypatch):
    pair = await begin(house)

    async def fails(*_, **__):
        raise StoreError("down")

    monkeypatch.setattr(house.stores.grants, "rotate", fails)
    with pytest.raises(StoreError):
        await rotate(house, pair)
    monkeypatch.undo()
    assert isinstance(await rotate(house, pair), Pair)


async def test_who_hangs_up_does_not_save_a_stolen_token(house, monkeypatch):
    """The store has ended the family; that its access tokens end as well must not hang
    on who waits for the answer."""
    stolen = await begin(house)
    await rotate(house, await rotate(house, stolen))
    reached, go_on = asyncio.Event(), asyncio.Event()
    revoke = house.stores.revocations.revoke

    async def slowly(*said):
        reached.set()
        await go_on.wait()
        await revoke(*said)

    monkeypatch.setattr(house.stores.revocations, "revoke", slowly)
    asking = asyncio.create_task(rotate(house, stolen))
    await reached.wait()
    asking.cancel()
    await asyncio.wait((asking,))
    go_on.set()
    await house.families.stop()
    assert house.told
    assert not await is_open(house, stolen)


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def anywhere(request, anyio_backend, tmp_path):
    """The same over each kind of store."""
    url = url_of(request, tmp_path, request.param)
    stores = open_stores(url)
    await stores.start()
    await stores.accounts.add(ANN)
    yield opened_over(stores)
    await stores.stop()


def url_of(request, folder, kind):
    if kind == "memory":
        return "memory://"
    if kind == "sqlite":
        return f"sqlite:///{folder / 'identity.db'}"
    return request.getfixturevalue("postgres").url("psycopg") + "&timeout=20"


async def test_of_fifty_at_once_comes_one_generation(anywhere):
    """CVE-2026-22751's kind: each gets the identical answer, or a refusal."""
    pair = await begin(anywhere)
    answers = await asyncio.gather(*(rotate(anywhere, pair) for _ in range(AT_ONCE)))
    pairs = {one for one in answers if isinstance(one, Pair)}
    codes = Counter(one.code for one in answers if isinstance(one, Denial))
    assert len(pairs) == 1
    assert codes == {"identity.refresh_repeated": AT_ONCE - 2}
    assert anywhere.told == []
    (grant,) = await anywhere.stores.grants.of_account(ANN.id)
    assert grant.generation == 1
    assert isinstance(await rotate(anywhere, pairs.pop()), Pair)


CALLS = """
from tests.identity.tokens.programs import from_device, opened_over
from ringfence.denial import Denial

TOKENS = {tokens!r}

async def said(house, token):
    got = await house.families.rotate(token.encode(), from_device())
    return got.code if isinstance(got, Denial) else got.refresh

def calls(stores, number):
    house = opened_over(stores)
    for _ in range(10):
        yield said(house, TOKENS[number])
"""


async def test_in_two_processes_as_well(tmp_path):
    """One of them opens what the other one has sealed. That each database lets one
    rotate is the contract of the stores."""
    url = f"sqlite:///{tmp_path / 'identity.db'}"
    stores = open_stores(url)
    await stores.start()
    await stores.accounts.add(ANN)
    here = opened_over(stores)
    tokens = [(await begin(here)).refresh for _ in range(5)]
    await stores.stop()
    calls = CALLS.format(tokens=tokens)
    for told in await asyncio.to_thread(raced, url, calls, len(tokens)):
        counted = Counter(told)
        assert counted.pop("identity.refresh_repeated") == 18
        ((token, times),) = counted.items()
        assert token.startswith("rfr_")
        assert times == 2


async def test_an_answer_that_is_not_ours_is_not_told(house, monkeypatch):
    """Who can write to the database cannot have a token of theirs handed out."""
    first = await begin(house)
    await rotate(house, first)

    async def swapped(*_):
        return Rotated("replayed", b"something else", ANN.id)

    monkeypatch.setattr(house.stores.grants, "rotate", swapped)
    assert (await rotate(house, first)).code == "identity.refresh_invalid"


async def test_an_owner_is_waited_for(house):
    """Telling may be something to wait for."""
    told = []

    async def tell(*said):
        told.append(said)

    house.families._told = tell
    first = await begin(house)
    await rotate(house, await rotate(house, first))
    await rotate(house, first)
    assert told == [(ANN.id, "refresh_reused")]


def test_there_is_a_last_generation():
    form = RefreshTokenForm(lambda: (b"k" * 32,))
    assert form.read(form.write(bytes(16), 2**32 - 1).text).generation == 2**32 - 1
    with pytest.raises(ValueError, match="too often"):
        form.write(bytes(16), 2**32)


def test_codes_of_a_key_before_the_last_rotation_are_read():
    keys = [b"a" * 32]
    form = RefreshTokenForm(lambda: keys)
    old = form.write(bytes(16), 0).text
    keys.insert(0, b"b" * 32)
    assert form.read(old) is not None
    assert form.read(form.write(bytes(16), 1).text) is not None
    del keys[1]
    assert form.read(old) is None
