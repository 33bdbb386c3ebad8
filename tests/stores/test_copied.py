"""No revoked session comes back by a copy, in whatever order things happen."""

import asyncio
import time
from hashlib import sha256
from types import SimpleNamespace

import msgspec
import pytest
from tests.contracts.records import NOW, account, session
from tests.identity.gatehouse import Clock
from tests.stores.copies import KEY, DictCopies, keys
from tests.stores.interleaved import COPY_STEPS, Steps, gated, orders

from ringfence.errors import StoreError
from ringfence.stores import copied_sessions
from ringfence.stores.contracts import Told, Use
from ringfence.stores.copied import CopiedStores
from ringfence.stores.memory import MemoryStores
from ringfence.stores.seal import CopySeal
from ringfence.stores.sqlite import SQLiteStores

pytestmark = pytest.mark.anyio

ONE = session("one")
TOKEN = ONE.token_hash
TOKEN_ID = sha256(b"token").digest()
USE = Use(NOW + 60, "192.0.2.9", "Safari on iPhone")
STAFF = frozenset({"staff"})
DATABASE_STEPS = ("read", "read_many", "end_token", "set_roles", "set_disabled")


@pytest.fixture
def copies():
    return DictCopies()


@pytest.fixture
async def database(anyio_backend):
    """Ann, with two sessions, in a database."""
    opened = MemoryStores()
    await opened.start()
    await fill(opened)
    yield opened
    await opened.stop()


async def fill(database):
    await database.accounts.add(account())
    for record in (ONE, session("two")):
        await database.sessions.add(record, epoch=0, replaces=None)


@pytest.fixture
async def stores(database, copies):
    opened = CopiedStores(database, copies, keys)
    yield opened
    await opened.stop()


async def asked(stores, copies, token=TOKEN):
    """Read a session as a request does: first what the copies say."""
    told = await copies.read(token, "id-ann")
    return stores.sessions.recall(token, told) or await stores.sessions.read(
        token, told
    )


def named(copies, *names):
    return [call[0] for call in copies.asked if call[0] in names]


class Interleaved:
    """A database with copies, each call to either a step."""

    def __init__(self, database, kept=None):
        self.steps = Steps()
        self.kept = kept or DictCopies()
        self.copies = gated(self.kept, self.steps, *COPY_STEPS)
        shelves = SimpleNamespace(
            accounts=gated(database.accounts, self.steps, *DATABASE_STEPS),
            sessions=gated(database.sessions, self.steps, *DATABASE_STEPS),
            revocations=gated(database.revocations, self.steps, "standing", "revoke"),
            tickets=database.tickets,
            replays=database.replays,
            factors=database.factors,
            grants=database.grants,
            api_keys=database.api_keys,
            links=database.links,
            clock=database.clock,
            stop=self._nothing,
        )
        self.shelves = shelves
        self.stores = self.another_process()

    async def _nothing(self):
        pass

    def another_process(self):
        return CopiedStores(self.shelves, self.copies, keys)

    async def read(self):
        return await asked(self.stores, self.copies)

    async def end(self):
        return await self.another_process().sessions.end_token(TOKEN, "id-ann")

    async def set_roles(self):
        return await self.another_process().accounts.set_roles("id-ann", STAFF)


async def fresh(kept=None):
    database = MemoryStores()
    await database.start()
    await fill(database)
    return Interleaved(database, kept)


READER = WRITER = 3  # steps: ask, read, keep; hold, commit, release
FAULTS = {
    "none": lambda _: None,
    "expired": lambda kept: setattr(kept, "now", kept.now + 31),
    "restarted empty": lambda kept: kept.restart(),
    "restarted with old data": lambda kept: kept.restart(data=kept.before),
    "restarted with its data": lambda kept: kept.restart(data=kept.saved()),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("copied", [False, True])
async def test_one_reader_and_one_writer(fault, copied):
    """In all orders, the copies failing in each way between any two steps."""
    for order in orders(reader=READER, writer=WRITER):
        for when in range(len(order) + 1 if fault != "none" else 1):
            world = await fresh()
            if copied:
                assert await world.read() == ONE
            world.kept.before = world.kept.saved()
            await world.steps.start("reader", world.read())
            await world.steps.start("writer", world.end())
            for name in order[:when]:
                await world.steps.advance(name)
            FAULTS[fault](world.kept)
            for name in order[when:]:
                await world.steps.advance(name)
            assert await world.steps.ended("writer") is True
            assert await world.steps.ended("reader") in {ONE, None}
            assert await world.read() is None, (order, when)
            assert await world.read() is None, (order, when)


async def test_two_readers_and_a_writer():
    """Whoever asks after the release sees that the session has ended, though others
    that asked before it are still on their way."""
    for order in orders(reader=READER, late=READER, writer=WRITER):
        world = await fresh()
        for name in ("reader", "late"):
            await world.steps.start(name, world.read())
        await world.steps.start("writer", world.end())
        begun, after, steps_left = set(), set(), WRITER
        for name in order:
            if name == "writer":
                steps_left -= 1
            elif name not in begun:
                begun.add(name)
                after |= {name} if not steps_left else set()
            await world.steps.advance(name)
        for name in ("reader", "late"):
            found = await world.steps.ended(name)
            assert found is None if name in after else found in {ONE, None}, order
        assert await world.read() is None, order


async def test_two_writers_of_one_account():
    """Also where the release of the one that ends the session is lost: that of the
    other must not let a reader keep what is about to be revoked."""
    for order in orders(reader=READER, other=WRITER, writer=WRITER - 1):
        world = await fresh()
        await world.steps.start("reader", world.read())
        await world.steps.start("other", world.set_roles())
        await world.steps.start("writer", world.end())
        for name in order:
            await world.steps.advance(name)
        await world.steps.ended("other")
        # The writer has committed and stands before its release, which never comes.
        assert await world.read() is None, order
        assert await world.read() is None, order


async def test_roles_change_for_readers_on_their_way():
    """What was kept meanwhile is not the old role."""
    for order in orders(reader=READER, writer=WRITER):
        world = await fresh()
        await world.steps.start("reader", world.read())
        await world.steps.start("writer", world.set_roles())
        for name in order:
            await world.steps.advance(name)
        assert await world.steps.ended("writer") is True
        await world.steps.ended("reader")
        assert (await world.read()).roles == STAFF, order


async def test_tokens_are_revoked_in_every_order():
    """The same for what is signed and was taken back."""
    for order in orders(reader=READER, writer=WRITER):
        world = await fresh()
        tokens = world.stores.revocations

        async def stands(tokens=tokens):
            return await tokens.standing((TOKEN_ID,), "id-ann")

        await world.steps.start("reader", stands())
        revoking = world.another_process().revocations
        await world.steps.start("writer", revoking.revoke(TOKEN_ID, "id-ann", 60.0))
        for name in order:
            await world.steps.advance(name)
        await world.steps.ended("writer")
        assert await world.steps.ended("reader") in {0, None}
        assert await stands() is None, order


async def test_a_copy_spares_the_database(stores, copies, database):
    """And is the same record every time, so that nothing is examined anew."""
    found = await asked(stores, copies)
    assert found == ONE
    await database.stop()
    assert await asked(stores, copies) is found
    told = await copies.read(TOKEN, "id-ann")
    assert stores.sessions.recall(TOKEN, told) is found
    with pytest.raises(StoreError):
        await asked(stores, copies, session("two").token_hash)


async def test_another_process_reads_the_copy(stores, copies, database):
    await asked(stores, copies)
    await database.stop()
    other = CopiedStores(database, copies, keys)
    found = await asked(other, copies)
    assert found == ONE
    assert await asked(other, copies) is found


CHANGES = {
    "end": lambda to: to.sessions.end("id-ann", "public-one"),
    "end_all": lambda to: to.sessions.end_all("id-ann", keep=session("two").token_hash),
    "end_token": lambda to: to.sessions.end_token(TOKEN, "id-ann"),
    "replace": lambda to: to.sessions.add(session("new"), epoch=0, replaces=ONE),
    "mark_moved": lambda to: to.sessions.mark_moved(TOKEN, USE),
    "set_password": lambda to: to.accounts.set_password("id-ann", "new", epoch=0),
    "set_roles": lambda to: to.accounts.set_roles("id-ann", STAFF),
    "set_tenant": lambda to: to.accounts.set_tenant("id-ann", "acme"),
    "set_disabled": lambda to: to.accounts.set_disabled("id-ann", disabled=True),
    "remove": lambda to: to.accounts.remove("id-ann"),
    "raise_epoch": lambda to: to.accounts.raise_epoch("id-ann"),
    "revoke": lambda to: to.revocations.revoke(TOKEN_ID, "id-ann", 60.0),
}


async def state(database):
    """Return all that the changes could change."""
    return (
        await database.accounts.by_id("id-ann"),
        await database.sessions.of_account("id-ann"),
        await database.revocations.standing((TOKEN_ID,), "id-ann"),
    )


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_holds_at_once(stores, copies, database, change):
    """For this process and for any other, which has a copy of its own in memory."""
    other = CopiedStores(database, copies, keys)
    for each in (stores, other):
        assert await asked(each, copies) == ONE
        assert await each.revocations.standing((TOKEN_ID,), "id-ann") == 0
    copies.asked.clear()
    assert (await CHANGES[change](stores)) is not False
    assert named(copies, "hold", "release") == ["hold", "release"]
    for each in (stores, other):
        assert await asked(each, copies) == await database.sessions.read(TOKEN)
        assert await each.revocations.standing(
            (TOKEN_ID,), "id-ann"
        ) == await database.revocations.standing((TOKEN_ID,), "id-ann")


@pytest.mark.parametrize("change", CHANGES)
async def test_without_the_copies_nothing_is_changed(stores, copies, database, change):
    """Else a session would go on from a copy that its owner has seen ended."""
    before = await state(database)
    copies.down = True
    with pytest.raises(StoreError):
        await CHANGES[change](stores)
    assert await state(database) == before
    with pytest.raises(StoreError):
        await asked(stores, copies)
    copies.down = False
    assert await asked(stores, copies) == ONE


async def test_what_changes_no_copy_needs_none(stores, copies):
    """A sign-in, an account that is new, a better hash of the same password."""
    copies.down = True
    assert await stores.sessions.add(session("new"), epoch=0, replaces=None)
    assert await stores.accounts.add(account("bob"))
    await stores.accounts.upgrade_hash("id-ann", "hash of ann", "better")
    assert (await stores.accounts.by_id("id-ann")).password_hash == "better"
    assert copies.asked == []


async def test_a_sign_in_over_anothers_session_voids_their_copy(
    stores, copies, database
):
    await database.accounts.add(account("bob"))
    assert await asked(stores, copies) == ONE
    await stores.sessions.add(session("bobs", "bob"), epoch=0, replaces=ONE)
    assert await asked(stores, copies) is None


async def test_a_lost_release_leaves_the_hold(stores, copies, monkeypatch, caplog):
    """Until it runs out the database is asked; nothing old is ever kept."""
    assert await asked(stores, copies) == ONE

    async def lost(_):
        raise StoreError("the reply was lost")

    with monkeypatch.context() as patch:
        patch.setattr(copies, "release", lost)
        assert await stores.sessions.end_token(TOKEN, "id-ann") is True
    assert "will be voided" in caplog.text
    copies.asked.clear()
    assert await asked(stores, copies) is None
    two = session("two")
    assert await asked(stores, copies, two.token_hash) == two
    assert named(copies, "keep") == []  # without a lease nobody tries
    assert not (await copies.read(TOKEN, "id-ann")).lease
    copies.now += 31
    assert (await copies.read(TOKEN, "id-ann")).lease
    assert await asked(stores, copies) is None


async def test_without_an_owner_the_database_is_asked_alone(stores, copies):
    """A cookie from before there were hints."""
    copies.down = True
    for told in (None, Told("")):
        assert await stores.sessions.read(TOKEN, told) == ONE
        assert await stores.sessions.read(b"unknown", told) is None
    assert stores.sessions.recall(TOKEN) == ONE
    assert copies.asked == []


async def test_a_known_owner_is_looked_up_in_the_copies(stores, copies, database):
    """For whoever has not asked for it together with other things."""
    found = await asked(stores, copies)
    copies.asked.clear()
    await database.stop()
    assert await stores.sessions.read(TOKEN) is found
    assert stores.sessions.recall(TOKEN) is None
    assert named(copies, "read") == ["read"]


async def test_no_other_copy_passes_for_this_one(stores, copies, database):
    """One of another session, another owner, another time, or cut off."""
    await asked(stores, copies)
    told = await copies.read(TOKEN, "id-ann")
    other = CopiedStores(database, copies, keys)
    for sessions in (stores.sessions, other.sessions):
        assert sessions.recall(TOKEN, told) == ONE
        assert sessions.recall(session("two").token_hash, told) is None
        for changes in (
            {"owner": "id-bob"},
            {"generation": b"another"},
            {"epoch": 7},
            {"copy": told.copy[1:]},
            {"copy": told.copy[:-1]},
            {"copy": told.copy[:16]},
            {"copy": told.copy[:9]},
            {"copy": b""},
            {"copy": None},
        ):
            changed = told._replace(**changes)
            assert sessions.recall(TOKEN, changed) in {None, *known(sessions, changes)}
    standing = other.revocations
    assert await standing.standing((TOKEN,), "id-ann", told._replace(epoch=7)) == 0


def known(sessions, changes):
    """What was opened before is known: its epoch says nothing of a session."""
    return {ONE} if "epoch" in changes else set()


async def test_a_forged_copy_is_none(stores, copies):
    """Whoever can write to the store of the copies, and has an account, does not give
    it the role of an operator (CWE-345)."""
    await asked(stores, copies)
    mallory = b"session 2 " + msgspec.msgpack.encode(ONE._replace(roles=STAFF))
    forger = CopySeal(lambda: (b"a key of their own".ljust(32),), time.time)
    told = await copies.read(TOKEN, "id-ann")
    for forged in (
        told.copy[:16] + mallory,
        mallory,
        forger.seal(TOKEN, told, mallory, -1),
    ):
        copies.entries["id-ann", TOKEN].copy = forged
        assert await asked(stores, copies) == ONE
    # With the key it would have been believed.
    sealed = CopySeal(keys, time.time).seal(TOKEN, told, mallory, -1)
    copies.entries["id-ann", TOKEN].copy = sealed
    assert (await asked(stores, copies)).roles == STAFF


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_copy_that_was_put_aside_is_none(copies, is_known):
    """Whoever can read and write the store of the copies, and puts back what stood
    there before the sign-out, is signed in for no longer than a copy lasts (CWE-294):
    neither where it was seen before nor where it was not."""
    clock = Clock(NOW)
    database = MemoryStores(clock=clock)
    await database.start()
    await fill(database)
    stores = CopiedStores(database, copies, keys)
    await asked(stores, copies)
    told = await copies.read(TOKEN, "id-ann")
    await stores.sessions.end_token(TOKEN, "id-ann")
    if not is_known:
        stores = CopiedStores(database, copies, keys)
    for later, found in [(0, ONE), (290, ONE), (310, None), (36_000, None)]:
        clock.now = NOW + later
        assert stores.sessions.recall(TOKEN, told) == found
        assert await stores.sessions.read(TOKEN, told) == found
    clock.now = NOW - 60  # nor one of a time that is still to come
    assert stores.sessions.recall(TOKEN, told) is None


WITHOUT_TENANT = b"session 1 " + msgspec.msgpack.encode(ONE[:-1])


@pytest.mark.parametrize(
    "content", [b"", b"session 0 \x90", b"session 2 \x90", WITHOUT_TENANT]
)
async def test_a_copy_of_another_version_is_none(stores, copies, database, content):
    """While versions change, both are running. One that has no room for the tenant
    would take the account out of its own."""
    await database.accounts.set_tenant("id-ann", "acme")
    told = await copies.read(TOKEN, "id-ann")
    sealed = CopySeal(keys, time.time).seal(TOKEN, told, content, -1)
    await copies.keep(TOKEN, told, sealed, -1)
    assert await asked(stores, copies) == ONE._replace(tenant="acme")


async def test_keys_of_copies_rotate(stores, copies, database):
    """What the last key has sealed is still good."""
    found = await asked(stores, copies)
    newer = CopiedStores(database, copies, lambda: (bytes(32), KEY))
    newest = CopiedStores(database, copies, lambda: (bytes(32),))
    told = await copies.read(TOKEN, "id-ann")
    assert newer.sessions.recall(TOKEN, told) == found
    assert newest.sessions.recall(TOKEN, told) is None


async def test_a_token_that_stands_is_copied_with_its_epoch(stores, copies, database):
    await database.accounts.raise_epoch("id-ann")
    assert await stores.revocations.standing((TOKEN_ID,), "id-ann") == 1
    await database.stop()
    told = await copies.read(TOKEN_ID, "id-ann")
    assert await stores.revocations.standing((TOKEN_ID,), "id-ann", told) == 1
    with pytest.raises(StoreError):
        await stores.revocations.standing((b"other",), "id-ann", told)
    for other in (told._replace(epoch=2), Told("")):
        with pytest.raises(StoreError):
            await stores.revocations.standing((TOKEN_ID,), "id-ann", other)


async def test_a_copy_of_anothers_token_says_nothing(stores, copies, database):
    """What stands for Bob is not what was revoked for Ann."""
    await database.accounts.add(account("bob"))
    await stores.revocations.revoke(TOKEN_ID, "id-ann", 60.0)
    assert await stores.revocations.standing((TOKEN_ID,), "id-bob") == 0
    bobs = await copies.read(TOKEN_ID, "id-bob")
    assert bobs.copy is not None
    assert await stores.revocations.standing((TOKEN_ID,), "id-bob", bobs) == 0
    assert await stores.revocations.standing((TOKEN_ID,), "id-ann", bobs) is None


async def test_an_answer_that_cannot_be_copied_is_an_answer(
    stores, copies, monkeypatch, caplog
):
    async def full(*_):
        raise StoreError("out of memory")

    monkeypatch.setattr(copies, "keep", full)
    assert await asked(stores, copies) == ONE
    assert await stores.revocations.standing((TOKEN_ID,), "id-ann") == 0
    assert caplog.text.count("out of memory") == 2


async def test_touching_drops_what_is_touched(stores, copies, database):
    """Whether this process knows whose it is or not, and no more than that."""
    two = session("two").token_hash
    other = CopiedStores(database, copies, keys)
    for token in (TOKEN, two):
        await asked(other, copies, token)
    copies.asked.clear()
    await stores.sessions.touch({TOKEN: USE, b"gone": USE})
    assert copies.asked == [("drop", TOKEN, "id-ann")]
    assert (await asked(other, copies)).last_seen == USE.at
    assert (await copies.read(two, "id-ann")).copy is not None
    await other.sessions.touch({TOKEN: USE._replace(at=NOW + 120)})
    assert (await asked(stores, copies)).last_seen == NOW + 120


async def test_touching_waits_for_no_copies(stores, copies, database, caplog):
    """The time is written down; copies that are older end the session no later."""
    copies.down = True
    await stores.sessions.touch({TOKEN: USE})
    assert (await database.sessions.read(TOKEN)).last_seen == USE.at
    assert "could not be dropped" in caplog.text


async def test_touching_with_nothing_to_touch(stores, copies):
    await stores.sessions.touch({})
    assert copies.asked == []


async def test_what_fails_otherwise_is_not_swallowed(stores, copies, monkeypatch):
    async def broken(*_):
        raise RuntimeError("a mistake")

    monkeypatch.setattr(copies, "drop", broken)
    with pytest.raises(RuntimeError):
        await stores.sessions.touch({TOKEN: USE})


async def test_a_move_of_nobodys_session_is_none(stores, copies):
    assert await stores.sessions.mark_moved(b"gone", USE) is False
    assert copies.asked == []


async def test_what_is_remembered_is_bounded(stores, copies, monkeypatch):
    """Forgetting costs a look at the copy, and no more."""
    monkeypatch.setattr(copied_sessions, "_REMEMBERED", 2)
    tokens = [session(f"more {number}").token_hash for number in range(5)]
    for number in range(5):
        added = session(f"more {number}")
        await stores.sessions.add(added, epoch=0, replaces=None)
    for token in tokens * 2:
        assert (await asked(stores, copies, token)).token_hash == token
        assert 0 < len(stores.sessions._known) <= 2


async def test_a_copy_is_never_of_what_sqlite_has_read_before(tmp_path, copies):
    """What a process has read it keeps for five milliseconds, unless it sees a change;
    as a copy it would stay for five minutes."""
    database = [SQLiteStores(tmp_path / "both.db") for _ in range(2)]
    for each in database:
        await each.start()
    await fill(database[0])
    mine, other = (CopiedStores(each, copies, keys) for each in database)
    database[1].sessions._reader.monotonic = lambda: 0.0  # within the five
    try:
        assert await other.sessions.read(TOKEN) == ONE
        assert await mine.sessions.end_token(TOKEN, "id-ann") is True
        assert await other.sessions.read(TOKEN) == ONE  # nobody asked the copies
        assert await asked(other, copies) is None
        assert await asked(mine, copies) is None
    finally:
        for each in (mine, other):
            await each.stop()


async def test_a_change_ends_before_the_database_is_closed(
    stores, copies, database, monkeypatch
):
    """Also one that nobody waits for any more."""
    begun, may_go_on = asyncio.Event(), asyncio.Event()
    hold = copies.hold

    async def slow_hold(owner):
        begun.set()
        await may_go_on.wait()
        await hold(owner)

    monkeypatch.setattr(copies, "hold", slow_hold)
    change = asyncio.create_task(stores.sessions.end_token(TOKEN, "id-ann"))
    await begun.wait()
    change.cancel()
    stopping = asyncio.create_task(stores.stop())
    await asyncio.wait((change,))
    may_go_on.set()
    await stopping
    assert named(copies, "hold", "release") == ["hold", "release"]
    await database.start()
    assert await database.sessions.read(TOKEN) is None


async def test_the_rest_is_the_databases(stores, database):
    assert stores.tickets is database.tickets
    assert stores.replays is database.replays
    assert stores.clock is database.clock
    await stores.start()
    assert await stores.sessions.read_many([TOKEN]) == {TOKEN: ONE}
    assert len(await stores.sessions.of_account("id-ann")) == 2
    forgotten = stores.sessions.forget_expired
    assert await forgotten(created_before=NOW + 1, seen_before=NOW) == 2


async def test_many_at_once(stores, copies, database):
    """A hundred readers in two processes while the session ends: none afterwards."""
    other = CopiedStores(database, copies, keys)
    readers = [asked(each, copies) for each in (stores, other) for _ in range(50)]
    ending = stores.sessions.end_token(TOKEN, "id-ann")
    await asyncio.gather(*readers[:40], ending, *readers[40:])
    assert await asked(stores, copies) is None
    assert await asked(other, copies) is None


async def test_a_token_is_recalled_from_its_copy(stores, copies, database):
    """Without asking anybody, as long as the copy is the one that was opened."""
    token_ids = (TOKEN_ID, b"family")
    assert await stores.revocations.standing(token_ids, "id-ann") == 0
    told = await copies.read(TOKEN_ID, "id-ann")
    await database.stop()
    other = CopiedStores(database, copies, keys)
    for tokens in (stores.revocations, other.revocations, other.revocations):
        assert tokens.recall(token_ids, "id-ann", told) == 0
        for changes in (
            {"epoch": 1},
            {"generation": b"another"},
            {"copy": told.copy[:-1]},
            {"copy": None},
        ):
            assert tokens.recall(token_ids, "id-ann", told._replace(**changes)) is None


async def test_a_copy_speaks_of_all_that_a_token_was_made_from(stores, copies):
    """One that was made for the token alone, or with another family, says nothing of
    this family, which may have been ended."""
    family = (TOKEN_ID, b"family")
    for token_ids in ((TOKEN_ID,), (TOKEN_ID, b"another"), (TOKEN_ID, b"fam", b"ily")):
        copies.entries.clear()
        assert await stores.revocations.standing(token_ids, "id-ann") == 0
        told = await copies.read(TOKEN_ID, "id-ann")
        assert stores.revocations.recall(token_ids, "id-ann", told) == 0
        assert stores.revocations.recall(family, "id-ann", told) is None
    assert await stores.revocations.standing(family, "id-ann") == 0
    await stores.revocations.revoke(b"family", "id-ann", 60.0)
    fresh_told = await copies.read(TOKEN_ID, "id-ann")
    assert stores.revocations.recall(family, "id-ann", fresh_told) is None
    assert await stores.revocations.standing(family, "id-ann", fresh_told) is None


async def test_what_is_known_of_tokens_is_bounded(stores, copies, monkeypatch):
    monkeypatch.setattr("ringfence.stores.copied._REMEMBERED", 3)
    for number in range(5):
        token_ids = (b"%d" % number,)
        assert await stores.revocations.standing(token_ids, "id-ann") == 0
    assert len(stores.revocations._known) <= 3
