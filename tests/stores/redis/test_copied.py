"""Sessions and their copies in a real server, in whatever order things happen."""

import time
from contextlib import asynccontextmanager

import pytest
from tests.contracts.records import session
from tests.servers.valkey import running_valkey
from tests.stores.copies import keys
from tests.stores.interleaved import orders
from tests.stores.redis.keyspaces import until
from tests.stores.test_copied import (
    CHANGES,
    ONE,
    READER,
    TOKEN,
    WRITER,
    asked,
    fill,
    fresh,
    state,
)

from ringfence.errors import StoreError
from ringfence.stores.contracts import Question
from ringfence.stores.copied import CopiedStores
from ringfence.stores.memory import MemoryStores
from ringfence.stores.open import open_shared
from ringfence.stores.sqlite import SQLiteStores

pytestmark = pytest.mark.anyio

ANNS = "return #redis.call('KEYS', '*{id-ann}*')"  # a generation and a copy


@pytest.fixture(scope="module")
def victim_server():
    """A server that is killed and comes back."""
    with running_valkey() as server:
        yield server


@pytest.fixture
def victim(victim_server):
    """That server, running and empty."""
    with victim_server.client() as client:
        client.flushall()
        client.save()
    return victim_server


@asynccontextmanager
async def shared_at(server):
    shared = open_shared(server.url)
    await shared.start()
    try:
        yield shared
    finally:
        await shared.stop()


@asynccontextmanager
async def copied(shared):
    """Ann and her sessions in memory, with copies in a server."""
    database = MemoryStores()
    await database.start()
    await fill(database)
    stores = CopiedStores(database, shared.copies, keys)
    try:
        yield stores, database
    finally:
        await stores.stop()


async def answers(shared):
    """Return whether the server can be asked."""
    try:
        await shared.ask(Question((), TOKEN, "id-nobody"))
    except StoreError:
        return False
    return True


async def test_one_reader_and_one_writer(valkey):
    """In all orders."""
    async with shared_at(valkey) as shared:
        for order in orders(reader=READER, writer=WRITER):
            with valkey.client() as client:
                client.flushall()
            world = await fresh(shared.copies)
            await world.steps.start("reader", world.read())
            await world.steps.start("writer", world.end())
            for name in order:
                await world.steps.advance(name)
            assert await world.steps.ended("writer") is True
            assert await world.steps.ended("reader") in {ONE, None}
            assert await world.read() is None, order
            assert await world.read() is None, order


async def test_a_server_that_comes_back_with_old_data(victim):
    """It was killed after the session had ended, and what it last wrote to its disk
    has the session's copy."""
    async with shared_at(victim) as shared, copied(shared) as (stores, _):
        assert await asked(stores, shared.copies) == ONE
        with victim.client() as client:
            client.save()
            kept = client.eval(ANNS, 0)
        assert await stores.sessions.end_token(TOKEN, "id-ann") is True
        victim.restart()
        with victim.client() as client:
            assert client.eval(ANNS, 0) == kept == 2
        await until(lambda: answers(shared))
        assert (await shared.copies.read(TOKEN, "id-ann")).copy is None
        assert await asked(stores, shared.copies) is None


async def test_a_lease_from_before_a_restart_is_worth_nothing(victim):
    """A reader that is on its way meanwhile keeps nothing, though the server has found
    its lease again."""
    async with shared_at(victim) as shared, copied(shared) as (stores, _):
        told = await shared.copies.read(TOKEN, "id-ann")
        assert told.lease
        with victim.client() as client:
            client.save()
        assert await stores.sessions.end_token(TOKEN, "id-ann") is True
        victim.restart()
        await until(lambda: answers(shared))
        assert await shared.copies.keep(TOKEN, told, b"late", -1) is False
        assert await asked(stores, shared.copies) is None


@pytest.mark.parametrize("change", ["end_token", "set_roles", "revoke"])
async def test_while_it_is_down_nothing_is_changed(victim, change):
    """And nobody is recognised; a second after it is back, all is as before."""
    async with shared_at(victim) as shared, copied(shared) as (stores, database):
        assert await asked(stores, shared.copies) == ONE
        before = await state(database)
        victim.kill()
        with pytest.raises(StoreError):
            await CHANGES[change](stores)
        with pytest.raises(StoreError):
            await asked(stores, shared.copies)
        assert await state(database) == before
        victim.start()
        began = time.monotonic()
        await until(lambda: answers(shared))
        assert await asked(stores, shared.copies) == ONE
        assert time.monotonic() - began < 1.0
        assert (await CHANGES[change](stores)) is not False
        assert await asked(stores, shared.copies) == await database.sessions.read(TOKEN)


async def test_two_processes_with_one_file(tmp_path, valkey):
    """What one ends is over for the other at the very next question."""
    database = [SQLiteStores(tmp_path / "both.db") for _ in range(2)]
    async with shared_at(valkey) as one, shared_at(valkey) as other:
        mine = CopiedStores(database[0], one.copies, keys)
        others = CopiedStores(database[1], other.copies, keys)
        await mine.start()
        await others.start()
        await fill(database[0])
        for number in range(10):
            record = session(f"round {number}")
            await mine.sessions.add(record, epoch=0, replaces=None)
            for stores, shared in ((mine, one), (others, other)) * 2:
                assert await asked(stores, shared.copies, record.token_hash) == record
            assert await mine.sessions.end_token(record.token_hash, "id-ann")
            assert await asked(others, other.copies, record.token_hash) is None
            assert await asked(mine, one.copies, record.token_hash) is None
        await others.stop()
        await mine.stop()
