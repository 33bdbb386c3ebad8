"""Hold, change, release: whatever happens in between."""

import asyncio

import pytest
from tests.stores.copies import DictCopies

from ringfence.errors import StoreError
from ringfence.stores import held
from ringfence.stores.held import HeldChanges

pytestmark = pytest.mark.anyio


@pytest.fixture
def copies():
    return DictCopies()


def called(copies):
    return [call[0] for call in copies.asked]


async def until(condition):
    """Wait, at most a few seconds, for what other tasks bring about."""
    for _ in range(5_000):
        if condition():
            return
        await asyncio.sleep(0.001)
    pytest.fail("it has not come about")


class Work:
    """A change that ends when it is told to."""

    def __init__(self):
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()
        self.ended = False

    async def __call__(self):
        self.begun.set()
        await self.may_end.wait()
        self.ended = True
        return "changed"


async def test_a_change_stands_between_hold_and_release(copies):
    async def work():
        copies.asked.append(("commit",))
        return 7

    assert await HeldChanges(copies).change(work, "ann") == 7
    assert called(copies) == ["hold", "commit", "release"]


async def test_each_owner_is_held_once(copies):
    """In one order, for whoever changes two accounts."""

    async def work():
        copies.asked.append(("commit",))

    await HeldChanges(copies).change(work, "bob", "ann", "bob")
    assert copies.asked == [
        ("hold", "ann"),
        ("hold", "bob"),
        ("commit",),
        ("release", "ann"),
        ("release", "bob"),
    ]


async def test_half_a_hold_changes_nothing(copies, monkeypatch):
    """The first owner is released again."""
    hold = copies.hold

    async def only_ann(owner):
        if owner != "ann":
            raise StoreError("gone")
        await hold(owner)

    async def work():
        pytest.fail("changed without a hold")

    monkeypatch.setattr(copies, "hold", only_ann)
    with pytest.raises(StoreError):
        await HeldChanges(copies).change(work, "ann", "bob")
    assert called(copies) == ["hold", "release"]
    assert (await copies.read(b"name", "ann")).lease


async def test_who_gives_up_does_not_stop_the_change(copies):
    """A client that hangs up: a commit that is torn off may still come about, after
    the release."""
    changes, work = HeldChanges(copies), Work()
    caller = asyncio.create_task(changes.change(work, "ann"))
    await work.begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert called(copies) == ["hold"]
    work.may_end.set()
    await changes.stop()
    assert work.ended
    assert called(copies) == ["hold", "release"]


async def test_what_has_failed_stays_held(copies):
    """Nobody knows whether it was committed, or will be in a moment."""

    async def work():
        raise StoreError("the connection was lost while it committed")

    with pytest.raises(StoreError):
        await HeldChanges(copies).change(work, "ann")
    assert called(copies) == ["hold"]
    assert not (await copies.read(b"name", "ann")).lease
    copies.now += 31
    assert (await copies.read(b"name", "ann")).lease


async def test_a_change_that_takes_too_long_stays_held(copies, monkeypatch):
    """The hold would run out while the database is still at it."""
    monkeypatch.setattr(held, "_CHANGE_SECONDS", 0.001)
    with pytest.raises(StoreError, match="longer than"):
        await HeldChanges(copies).change(Work(), "ann")
    assert called(copies) == ["hold"]


async def test_copies_that_could_not_be_released_are_voided(copies, monkeypatch):
    """The hold may have been lost with its server, and a copy made before the commit:
    it must not stay for as long as copies do."""
    changes = HeldChanges(copies, again=0.001)
    releases = 0

    async def lost(_):
        nonlocal releases
        releases += 1
        copies.down = True
        raise StoreError("gone")

    async def work():
        copies.restart()  # empty: the hold is lost
        told = await copies.read(b"name", "ann")
        await copies.keep(b"name", told, b"old", 0)

    monkeypatch.setattr(copies, "release", lost)
    await changes.change(work, "ann")
    tries = len(copies.asked)
    await until(lambda: len(copies.asked) >= tries + 2)
    copies.down = False
    await until(lambda: not changes._owed)
    assert (await copies.read(b"name", "ann")).copy is None
    assert releases == 1
    await changes.stop()


async def test_a_stop_waits_for_no_store(copies, monkeypatch):
    """Copies that cannot be voided end by themselves, in minutes."""
    changes = HeldChanges(copies)

    async def lost(_):
        raise StoreError("gone")

    async def work():
        pass

    monkeypatch.setattr(copies, "release", lost)
    await changes.change(work, "ann")
    assert changes._owed
    await asyncio.wait_for(changes.stop(), 5)
    await changes.stop()
    assert not changes._owed


async def test_nobody_tries_for_longer_than_copies_last(copies, monkeypatch):
    monkeypatch.setattr(held, "_COPY_SECONDS", 0.003)
    changes = HeldChanges(copies, again=0.001)

    async def work():
        copies.down = True

    await changes.change(work, "ann")
    await until(lambda: not changes._owed)
    assert called(copies) == ["hold", "release", "hold", "hold", "hold"]


async def test_a_failure_that_nobody_waits_for_is_no_noise(copies, caplog):
    changes, work = HeldChanges(copies), Work()

    async def fail():
        await work()
        raise StoreError("gone")

    caller = asyncio.create_task(changes.change(fail, "ann"))
    await work.begun.wait()
    caller.cancel()
    work.may_end.set()
    await changes.stop()
    assert not caplog.records
