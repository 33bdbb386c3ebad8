"""What memory adds to the contract: bounds, packing, accounts kept elsewhere."""

import asyncio
import sqlite3
import tracemalloc
from contextlib import closing
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contracts.records import NOW, account, digest, grant, session

from ringfence.errors import StoreError
from ringfence.stores.contracts import Rotation, Use
from ringfence.stores.memory import MemoryStores
from ringfence.stores.memory_sessions import (
    MOST_OF_ACCOUNT,
    MOST_SESSIONS,
    SessionTable,
)
from ringfence.stores.open import open_stores

BUDGET = 300  # bytes a session


@pytest.fixture
async def few(anyio_backend):
    """Stores that hold three sessions, with two accounts."""
    opened = MemoryStores(most=3)
    await opened.start()
    await opened.accounts.add(account("ann"))
    await opened.accounts.add(account("bob"))
    yield opened
    await opened.stop()


async def listed(stores, name="ann"):
    found = await stores.sessions.of_account(f"id-{name}")
    return {one.public_id.removeprefix("public-") for one in found}


@pytest.mark.anyio
async def test_the_longest_unused_gives_way(few):
    """A bound that refused would let a flood of sign-ins keep everybody else out."""
    for number, name in enumerate(("old", "older", "new")):
        record = session(name, last_seen=NOW + (300, 0, 600)[number])
        await few.sessions.add(record, epoch=0, replaces=None)
    late = session("late", "bob", last_seen=NOW + 900)
    assert await few.sessions.add(late, epoch=0, replaces=None) is True
    assert await listed(few) == {"old", "new"}
    assert await listed(few, "bob") == {"late"}
    assert len(few.sessions) == 3


@pytest.mark.anyio
async def test_a_replaced_session_makes_room_for_the_next(few):
    for name in ("one", "two", "three"):
        await few.sessions.add(session(name), epoch=0, replaces=None)
    replaced = session("two")
    await few.sessions.add(session("four"), epoch=0, replaces=replaced)
    assert await listed(few) == {"one", "three", "four"}


@pytest.mark.anyio
async def test_one_account_does_not_push_out_the_others(anyio_backend):
    """Whoever signs in without end ends only their own sessions."""
    stores = MemoryStores(most=MOST_OF_ACCOUNT + 1)
    await stores.start()
    await stores.accounts.add(account("ann"))
    await stores.accounts.add(account("mallory"))
    await stores.sessions.add(
        session("anns", last_seen=NOW - 9), epoch=0, replaces=None
    )
    for number in range(MOST_OF_ACCOUNT + 50):
        record = session(f"m{number}", "mallory", last_seen=NOW + number)
        await stores.sessions.add(record, epoch=0, replaces=None)
    assert await listed(stores) == {"anns"}
    left = await listed(stores, "mallory")
    assert left == {f"m{number}" for number in range(50, MOST_OF_ACCOUNT + 50)}


@pytest.mark.anyio
async def test_what_is_kept_unpacked_is_bounded(few, monkeypatch):
    monkeypatch.setattr("ringfence.stores.memory_sessions._KNOWN", 2)
    for name in ("one", "two", "three"):
        await few.sessions.add(session(name), epoch=0, replaces=None)
        assert await few.sessions.read(session(name).token_hash) == session(name)
    assert len(few.sessions._known) <= 2


@pytest.mark.anyio
async def test_a_token_that_only_begins_alike_is_another(few):
    """Places are found by a few bytes of the token; all of them are compared."""
    one = session(token_hash=b"same end" + b"1" * 24)
    await few.sessions.add(one, epoch=0, replaces=None)
    for other in (b"same end" + b"2" * 24, b"same end", b"", one.token_hash + b"x"):
        assert await few.sessions.read(other) is None
        assert await few.sessions.end_token(other, "id-ann") is False
    assert await few.sessions.read(one.token_hash) == one


@pytest.mark.anyio
async def test_accounts_that_share_a_bucket_share_nothing_else(few, monkeypatch):
    monkeypatch.setattr("ringfence.stores.memory_sessions._account_key", lambda _: 7)
    await few.sessions.add(session("anns"), epoch=0, replaces=None)
    await few.sessions.add(session("bobs", "bob"), epoch=0, replaces=None)
    assert await few.sessions.end("id-ann", "public-bobs") is False
    assert await few.sessions.end_all("id-bob", keep=None) == 1
    assert await listed(few) == {"anns"}


@pytest.mark.anyio
async def test_a_session_that_ends_while_its_account_is_read_stays_ended(few):
    """Its place may belong to another session by then."""
    await few.sessions.add(session("anns"), epoch=0, replaces=None)
    accounts = few.sessions._accounts
    standing = accounts.standing

    async def slow(account_id):
        accounts.standing = standing
        await few.sessions.end_token(session("anns").token_hash, "id-ann")
        await few.sessions.add(session("bobs", "bob"), epoch=0, replaces=None)
        return await standing(account_id)

    accounts.standing = slow
    assert await few.sessions.read(session("anns").token_hash) is None
    assert await listed(few, "bob") == {"bobs"}


@pytest.mark.anyio
async def test_expired_sessions_leave_at_once_however_many(anyio_backend):
    """In turns, so that requests are answered meanwhile."""
    stores = MemoryStores()
    await stores.start()
    for number in range(40):
        await stores.accounts.add(account(f"a{number}"))
        for one in range(100):
            record = session(f"{number}-{one}", f"a{number}", last_seen=NOW + one)
            await stores.sessions.add(record, epoch=0, replaces=None)
    turns = 0

    async def count_turns():
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counter = asyncio.create_task(count_turns())
    gone = await stores.sessions.forget_expired(
        created_before=NOW, seen_before=NOW + 90.5
    )
    counter.cancel()
    assert gone == 40 * 91
    assert len(stores.sessions) == 40 * 9
    assert turns >= 3
    assert await listed(stores, "a7") == {f"7-{one}" for one in range(91, 100)}


def test_a_million_sessions_fit():
    """With the index by account, one session each: under 300 bytes, at every size."""
    table, records = SessionTable(), []
    for number in range(20_000):
        token = sha256(b"%d" % number).digest()
        name = token.hex()[:22]
        records.append(session(token_hash=token, public_id=name, account_id=name[::-1]))
    tracemalloc.start()
    for number, record in enumerate(records, 1):
        table.add(record, 0)
        if number % 1700 == 0:
            used, _ = tracemalloc.get_traced_memory()
            assert used / number < BUDGET, number
    tracemalloc.stop()
    assert MOST_SESSIONS == 1_000_000


names = st.sampled_from("abcdefgh")
owners = st.sampled_from("xyz")
times = st.floats(0, 600)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), names, owners, times, times),
        st.tuples(st.just("remove"), names),
        st.tuples(st.just("touch"), names, times),
        st.tuples(st.just("expire"), times, times),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_the_packed_table_is_what_a_dictionary_would_be(steps):
    """Every order over the places agrees with a model after every step."""
    table, model = SessionTable(), {}
    for step, *rest in steps:
        token = sha256(str(rest[0]).encode()).digest()
        if step == "add" and token not in model:
            name, owner, created, seen = rest
            model[token] = session(name, owner, created=created, last_seen=seen)
            table.add(model[token], epoch=3)
        elif step == "remove" and token in model:
            table.remove(table.find(token))
            del model[token]
        elif step == "touch" and token in model:
            use = Use(rest[1], "net", "device")
            table.touch(table.find(token), use)
            model[token] = model[token]._replace(
                last_seen=use.at, last_network="net", last_device="device"
            )
        elif step == "expire":
            seen, created = rest
            for order, time in ((table.seen, seen), (table.created, created)):
                for slot in order.before(time, 1000):
                    table.remove(slot)
            model = {
                token: one
                for token, one in model.items()
                if one.last_seen >= seen and one.created >= created
            }
        agree(table, model)


def agree(table, model):
    assert len(table) == len(model)
    for name in "abcdefgh":
        token = sha256(name.encode()).digest()
        slot = table.find(token)
        if token in model:
            roles, tenant = model[token].roles, model[token].tenant
            assert table.unpack(slot, roles, tenant) == model[token]
            assert table.epoch(slot) == 3
        else:
            assert slot == 0
    for owner in "xyz":
        found = {table.token(slot) for slot in table.of_account(f"id-{owner}")}
        assert found == {
            token for token, one in model.items() if one.account_id == f"id-{owner}"
        }
    if model:
        oldest = min(one.last_seen for one in model.values())
        assert table.seen_at(table.oldest()) // 60 == oldest // 60
    else:
        assert table.oldest() == 0


@pytest.fixture
async def beside(tmp_path, anyio_backend):
    """Sessions in memory beside SQLite, and another process's view of the database."""
    url = f"sqlite:///{tmp_path / 'a.db'}"
    here, there = open_stores(url, sessions="memory"), open_stores(url)
    await here.start()
    await there.start()
    here.sessions._accounts._reader.monotonic = iter(range(1000)).__next__
    await here.accounts.add(account())
    await here.sessions.add(session(), epoch=0, replaces=None)
    yield here, there
    await here.stop()
    await there.stop()


CHANGES = {
    "password": lambda there: there.accounts.set_password("id-ann", "new", epoch=0),
    "disabled": lambda there: there.accounts.set_disabled("id-ann", disabled=True),
    "removed": lambda there: there.accounts.remove("id-ann"),
    "roles": lambda there: there.accounts.set_roles("id-ann", frozenset({"staff"})),
    "tenant": lambda there: there.accounts.set_tenant("id-ann", "acme"),
}


@pytest.mark.anyio
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_what_another_process_changes_ends_the_sessions(beside, change):
    """Its sessions are not in the database, so the account's epoch tells."""
    here, there = beside
    token = session().token_hash
    assert await here.sessions.read(token) is not None
    await change(there)
    assert await here.sessions.read(token) is None
    assert await here.sessions.of_account("id-ann") == []
    assert len(here.sessions) == 0


@pytest.mark.anyio
async def test_a_hash_that_another_process_upgrades_ends_nothing(beside):
    here, there = beside
    await there.accounts.upgrade_hash("id-ann", "hash of ann", "better")
    assert await here.sessions.read(session().token_hash) is not None


@pytest.mark.anyio
async def test_a_change_of_roles_here_does_not_hide_a_password_changed_there(beside):
    """Both raise the epoch; sessions are carried over one of them only."""
    here, there = beside
    await there.accounts.set_password("id-ann", "new", epoch=0)
    await here.accounts.set_roles("id-ann", frozenset({"staff"}))
    assert await here.sessions.read(session().token_hash) is None


@pytest.mark.anyio
async def test_a_request_in_the_middle_of_a_change_of_roles_is_not_signed_out(beside):
    here, _ = beside
    token = session().token_hash
    seen = []

    async def ask():
        for _ in range(200):
            seen.append(await here.sessions.read(token))
            await asyncio.sleep(0)

    asking = asyncio.create_task(ask())
    await here.accounts.set_roles("id-ann", frozenset({"staff"}))
    await asking
    assert None not in seen
    assert (await here.sessions.read(token)).roles == {"staff"}


@pytest.mark.anyio
async def test_what_is_kept_of_accounts_is_bounded(beside, monkeypatch):
    here, _ = beside
    monkeypatch.setattr("ringfence.stores.sqlite._SESSIONS_KNOWN", 2)
    for name in ("bob", "eve", "zoe"):
        await here.accounts.add(account(name))
        await here.sessions.add(session(name, name), epoch=0, replaces=None)
    for name in ("bob", "eve", "zoe"):
        assert await here.sessions.read(session(name).token_hash) is not None
    assert len(here.sessions._accounts._known) <= 2


@pytest.mark.anyio
async def test_accounts_that_cannot_be_read_are_a_store_error(beside, tmp_path):
    here, _ = beside
    with closing(sqlite3.connect(tmp_path / "a.db")) as database, database:
        database.execute("DROP TABLE ringfence_accounts")
    with pytest.raises(StoreError, match="could not be read"):
        await here.sessions.read(session().token_hash)
    here.sessions._accounts.close()
    with pytest.raises(StoreError, match=r"a\.db cannot be used"):
        here.sessions._accounts.open()


@pytest.mark.anyio
async def test_nothing_of_a_session_reaches_the_disk(beside, tmp_path):
    here, _ = beside
    await here.sessions.touch({session().token_hash: Use(NOW + 99, "", "")})
    content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert session().token_hash not in content
    assert b"public-one" not in content


async def families(stores, name="ann"):
    return {one.id for one in await stores.grants.of_account(f"id-{name}")}


@pytest.mark.anyio
async def test_the_family_that_was_unused_the_longest_gives_way(few, monkeypatch):
    """As of sessions: nobody is kept out, and nobody pushes others out."""
    monkeypatch.setattr("ringfence.stores.memory_grants._MOST_OF_ACCOUNT", 3)
    few.grants._most = 4
    assert await few.grants.add(grant("bobs", "bob"), epoch=0)
    for name in ("a", "b", "c"):
        assert await few.grants.add(grant(name), epoch=0)
    swap = Rotation(b"new", NOW + 900, b"", b"", NOW, 0.0)
    assert (await few.grants.rotate(grant("a").id, digest("a 0"), swap))[0] == "rotated"
    assert await few.grants.add(grant("d"), epoch=0)  # in place of an own one
    assert await families(few) == {grant(name).id for name in ("a", "c", "d")}
    assert await families(few, "bob") == {grant("bobs").id}
    assert await few.grants.add(grant("late", "bob"), epoch=0)  # in place of anybody's
    assert await families(few, "bob") == {grant("late").id}
    assert len(await families(few)) == 3
