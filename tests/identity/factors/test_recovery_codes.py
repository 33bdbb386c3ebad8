"""Recovery codes: random, hashed, used once, and replaced as a whole."""

import re

import pytest
from tests.identity.factors.setting_up import TwoKeys, opened, with_app

from ringfence.identity.factors.recovery_codes import normalised

pytestmark = pytest.mark.anyio

READABLE = re.compile(r"[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){3}")


async def used(setup, code):
    held = await setup.factors.held(setup.ann.id)
    return await setup.factors.recovery_codes.use(held.recovery_codes, normalised(code))


async def test_there_are_ten_of_eighty_bits(setup):
    codes = await setup.factors.recovery_codes.make(setup.ann)
    assert len(set(codes)) == 10
    assert all(READABLE.fullmatch(code) for code in codes)
    assert 32**16 == 2**80


async def test_nothing_of_them_is_stored(setup):
    codes = await setup.factors.recovery_codes.make(setup.ann)
    stored = repr(await setup.stores.factors.of_account(setup.ann.id))
    for code in codes:
        assert code not in stored
        assert normalised(code) not in stored


async def test_each_is_good_once(setup):
    codes = await setup.factors.recovery_codes.make(setup.ann)
    assert await used(setup, codes[3])
    assert not await used(setup, codes[3])
    assert await used(setup, codes[4])
    assert len((await setup.factors.held(setup.ann.id)).recovery_codes) == 8


async def test_they_are_read_as_people_write_them(setup):
    codes = await setup.factors.recovery_codes.make(setup.ann)
    assert await used(setup, f" {codes[0].lower().replace('-', ' ')}\t")
    assert await used(setup, codes[1].replace("0", "o").replace("1", "l"))
    assert normalised("oil") == "011"


async def test_anothers_code_is_worth_nothing(setup):
    """The hash belongs to the account: a row that is copied to another is no code."""
    codes = await setup.factors.recovery_codes.make(setup.bob)
    assert not await used(setup, codes[0])
    kept = await setup.stores.factors.of_account(setup.bob.id)
    moved = [factor._replace(account_id=setup.ann.id) for factor in kept]
    use = setup.factors.recovery_codes.use
    assert not await use(moved, normalised(codes[0]))


async def test_new_ones_end_the_old_ones(setup):
    old = await setup.factors.recovery_codes.make(setup.ann)
    new = await setup.factors.recovery_codes.make(setup.ann)
    assert not await used(setup, old[0])
    assert await used(setup, new[0])


async def test_none_are_made_for_an_account_that_has_changed(setup):
    await setup.stores.accounts.set_password(setup.ann.id, "new", epoch=0)
    assert await setup.factors.recovery_codes.make(setup.ann) == ()


async def test_they_outlive_a_rotation_of_keys(setup):
    codes = await setup.factors.recovery_codes.make(setup.ann)
    rotated = opened(setup.stores, keys=TwoKeys("two", "one"))
    assert await used(rotated, codes[0])
    assert not await used(opened(setup.stores, keys=TwoKeys("two")), codes[1])


async def test_they_come_with_the_first_factor_and_not_with_the_next(setup):
    _, first = await with_app(setup)
    _, second = await with_app(setup)
    assert (len(first), second) == (10, ())
    assert await used(setup, first[0])
