"""What every store of copies promises."""

import asyncio

import pytest
from tests.contracts import shared_stores

pytestmark = pytest.mark.anyio

OWNER, NAME = "Zm9vYmFyYmF6cXV4cXV1eA", b"n" * 32

STORES = {
    kind: (shared_stores.in_redis, needed)
    for kind, needed in shared_stores.REDIS.items()
}
"""A new store adds a line here: how it is opened, and the fixture that it needs."""


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module", params=STORES)
async def make_store(request, anyio_backend):
    opened, needed = STORES[request.param]
    async with opened(request.getfixturevalue(needed)) as make:
        yield make


@pytest.fixture
def copies(make_store):
    return make_store().copies


async def keep(copies, copy=b"copy", *, name=NAME, owner=OWNER, epoch=1):
    told = await copies.read(name, owner)
    return await copies.keep(name, told, copy, epoch)


async def kept(copies, *, name=NAME, owner=OWNER):
    return (await copies.read(name, owner)).copy


async def test_what_is_kept_is_told(copies):
    told = await copies.read(NAME, OWNER)
    assert (told.owner, told.copy, told.epoch) == (OWNER, None, -1)
    assert told.lease
    assert await copies.keep(NAME, told, b"the\0database\nsays", 7)
    told = await copies.read(NAME, OWNER)
    assert (told.copy, told.epoch) == (b"the\0database\nsays", 7)
    assert not told.lease


async def test_nothing_is_a_copy_too(copies):
    """An empty answer of the database is told from no answer."""
    assert await keep(copies, b"", epoch=0)
    told = await copies.read(NAME, OWNER)
    assert (told.copy, told.epoch) == (b"", 0)


async def test_names_and_owners_do_not_touch_each_other(copies):
    await keep(copies)
    assert await kept(copies, name=b"m" * 32) is None
    assert await kept(copies, owner="somebody-else") is None
    await copies.hold("somebody-else")
    await copies.drop(b"m" * 32, OWNER)
    assert await kept(copies) == b"copy"


async def test_no_copy_without_a_lease(copies):
    told = await copies.read(NAME, OWNER)
    await copies.hold(OWNER)
    held = await copies.read(NAME, OWNER)
    await copies.release(OWNER)
    await copies.read(NAME, OWNER)
    assert not await copies.keep(NAME, held, b"copy", 1)
    present = await copies.read(NAME, OWNER)
    forged = present._replace(lease=bytes(16))
    assert not await copies.keep(NAME, forged, b"copy", 1)
    forged = told._replace(lease=present.lease)
    assert not await copies.keep(NAME, forged, b"copy", 1)
    assert await kept(copies) is None


async def test_a_lease_is_for_one_name_of_one_owner(copies):
    told = await copies.read(NAME, OWNER)
    assert not await copies.keep(b"m" * 32, told, b"copy", 1)
    await copies.read(NAME, "other")
    assert not await copies.keep(NAME, told._replace(owner="other"), b"copy", 1)


async def test_who_misses_at_the_same_time_shares(copies):
    """A session that is asked for all the time is kept by whoever has its answer first;
    leases that displace each other would never be used."""
    told = [await copies.read(NAME, OWNER) for _ in range(3)]
    said = [await copies.keep(NAME, one, b"%d" % n, 1) for n, one in enumerate(told)]
    assert said == [True, False, False]
    assert await kept(copies) == b"0"


async def test_a_dropped_copy_is_asked_for_again(copies):
    await keep(copies)
    await copies.drop(NAME, OWNER)
    assert await kept(copies) is None
    assert await keep(copies, b"newer")
    assert await kept(copies) == b"newer"


async def test_an_answer_from_before_a_drop_is_not_kept(copies):
    told = await copies.read(NAME, OWNER)
    await copies.drop(NAME, OWNER)
    assert not await copies.keep(NAME, told, b"older", 1)
    newer = await copies.read(NAME, OWNER)
    assert not await copies.keep(NAME, told, b"older", 1), "the lease is another's"
    assert await copies.keep(NAME, newer, b"newer", 1)


async def test_while_somebody_changes_something_there_is_nothing(copies):
    """Neither the copy of a session that is about to end, nor leave to make one."""
    await keep(copies)
    await copies.hold(OWNER)
    told = await copies.read(NAME, OWNER)
    assert (told.copy, told.lease) == (None, b"")
    assert not await keep(copies)
    await copies.release(OWNER)
    assert await kept(copies) is None, "what was kept before is void"
    assert await keep(copies, b"after")
    assert await kept(copies) == b"after"


async def test_a_change_voids_all_copies_of_the_owner(copies):
    """Those too that are asked for only after others were kept anew."""
    for name in (b"a" * 32, b"b" * 32, b"c" * 32):
        await keep(copies, b"before", name=name)
    leased = await copies.read(b"d" * 32, OWNER)
    await copies.hold(OWNER)
    await copies.release(OWNER)
    assert await keep(copies, b"after", name=b"a" * 32)
    assert await kept(copies, name=b"b" * 32) is None
    assert not await copies.keep(b"d" * 32, leased, b"late", 1)
    assert await keep(copies, b"after", name=b"d" * 32)
    assert await kept(copies, name=b"c" * 32) is None
    assert await kept(copies, name=b"a" * 32) == b"after"


@pytest.mark.parametrize("is_over", [False, True], ids=["during", "after"])
async def test_an_answer_from_before_a_change_is_not_kept(copies, is_over):
    """A reader that is slow must not bring back a session that has ended meanwhile
    (CWE-613)."""
    told = await copies.read(NAME, OWNER)
    await copies.hold(OWNER)
    if is_over:
        await copies.release(OWNER)
        assert (await copies.read(NAME, OWNER)).lease, "somebody else may"
    assert not await copies.keep(NAME, told, b"revoked", 1)
    assert await kept(copies) is None


async def test_of_two_changes_the_last_one_releases(copies):
    """Else whoever is done first lets a reader keep what the other will revoke."""
    await copies.hold(OWNER)
    await copies.hold(OWNER)
    await copies.release(OWNER)
    assert not (await copies.read(NAME, OWNER)).lease
    await copies.release(OWNER)
    assert (await copies.read(NAME, OWNER)).lease


async def test_a_release_without_a_hold_voids(copies):
    await keep(copies)
    await copies.release(OWNER)
    assert await kept(copies) is None


async def test_whatever_the_order_nothing_revoked_is_told(copies):
    """Readers and one who revokes, at the same time: once the change is over nobody is
    told what was true before."""
    database = {"says": b"0"}

    async def read():
        told = await copies.read(NAME, OWNER)
        if told.copy is not None:
            return told.copy
        says = database["says"]
        await asyncio.sleep(0)
        await copies.keep(NAME, told, says, 1)
        return says

    async def change(number):
        await copies.hold(OWNER)
        database["says"] = b"%d" % number
        await copies.release(OWNER)

    for number in range(1, 30):
        readers = [asyncio.ensure_future(read()) for _ in range(5)]
        await change(number)
        assert await read() == b"%d" % number
        await asyncio.gather(*readers)
        assert await read() == b"%d" % number
