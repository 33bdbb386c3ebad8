"""PostgreSQL as a database: round trips, deadlines, restarts, rights."""

import asyncio
import random
import time
from contextlib import asynccontextmanager, suppress

import psycopg
import pytest
from psycopg import sql
from tests.contracts.records import account, session
from tests.servers.postgres import running_postgres
from tests.servers.proxy import running_proxy
from tests.servers.tables import empty, tables_of

from ringfence.errors import StoreBusyError, StoreError
from ringfence.stores.clock import StoreClock
from ringfence.stores.contracts import Block, Charge, Ticket, Use
from ringfence.stores.migrate import VERSION_TABLE
from ringfence.stores.open import open_shared, open_stores
from ringfence.stores.postgres.address import parse_address
from ringfence.stores.postgres.database import PostgresDatabase
from ringfence.stores.postgres.dial import Dial, open_driver

pytestmark = pytest.mark.anyio

TOKEN = session().token_hash
DRIVERS = pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])


@pytest.fixture(scope="module")
def started():
    """A server on a port, so that a proxy can stand before it."""
    with running_postgres("synchronous_commit=on", tcp=True) as server:
        yield server


@pytest.fixture(scope="module")
def migrated(started):
    with started.database() as made:
        yield made


@pytest.fixture
def database(migrated, started):
    """Empty tables. The server runs again, so that they can be emptied."""
    yield migrated
    if started._shell is None:
        started.restart()
    empty(migrated)


@pytest.fixture
def fresh(started):
    """No tables."""
    with started.database() as made:
        yield made


@pytest.fixture
def proxy(started):
    with running_proxy(started.port) as between:
        yield between


@asynccontextmanager
async def opened(url):
    stores = open_stores(url)
    await stores.start()
    try:
        yield stores
    finally:
        await stores.stop()


@asynccontextmanager
async def with_ann(url):
    """Stores with an account and its session."""
    async with opened(url) as stores:
        await stores.accounts.add(account())
        await stores.sessions.add(session(), epoch=0, replaces=None)
        yield stores


def at(database, driver, port=None):
    return database.address(port).replace("postgresql", f"postgresql+{driver}")


def through(database, proxy, driver="psycopg", more=""):
    return f"{at(database, driver, proxy.port)}?{more}"


async def run(stores, *statements, before_the_end=lambda: None):
    """Run statements in a transaction."""
    async with stores._database.writing() as connection:
        for statement in statements:
            await connection.exec_driver_sql(statement)
        before_the_end()


@asynccontextmanager
async def within(seconds):
    """The block takes no longer."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


async def comes_back(read, seconds=1.0):
    """``read`` answers again soon."""
    until = time.monotonic() + seconds
    while True:
        try:
            return await read()
        except StoreError:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.02)


# Round trips


@DRIVERS
async def test_a_session_is_read_in_one_round_trip(database, proxy, driver):
    """No ping, no BEGIN, no ROLLBACK: 20 reads are 20 bursts on the wire."""
    async with with_ann(through(database, proxy, driver)) as stores:
        for _ in range(4):
            await stores.sessions.read(TOKEN)
        proxy.forget()
        for _ in range(20):
            assert await stores.sessions.read(TOKEN) == session()
        assert proxy.round_trips == 20


async def test_reads_of_a_burst_share_round_trips(database, proxy):
    """A hundred sessions at once are read in a handful of statements, each right."""
    names = [f"session {index}" for index in range(100)]
    async with with_ann(through(database, proxy)) as stores:
        for name in names[::2]:
            await stores.sessions.add(session(name), epoch=0, replaces=None)
        await asyncio.gather(*(stores.sessions.read(TOKEN) for _ in range(4)))
        proxy.forget()
        hashes = [session(name).token_hash for name in names]
        found = await asyncio.gather(*(stores.sessions.read(one) for one in hashes))
        assert [one and one.public_id for one in found] == [
            f"public-{name}" if index % 2 == 0 else None
            for index, name in enumerate(names)
        ]
        assert proxy.round_trips <= 6


async def test_a_read_sees_what_was_committed_before(database):
    """However many reads are under way: an ended session is not found again."""
    async with with_ann(database.address()) as stores:

        async def reads():
            while not ended.is_set():
                await stores.sessions.read(TOKEN)

        ended = asyncio.Event()
        readers = [asyncio.create_task(reads()) for _ in range(20)]
        await stores.sessions.end_token(TOKEN, "id-ann")
        found = await asyncio.gather(*(stores.sessions.read(TOKEN) for _ in range(20)))
        ended.set()
        await asyncio.gather(*readers)
        assert found == [None] * 20


async def test_a_reader_that_goes_away_takes_nobody_along(database):
    """Of two requests with one session, one is cancelled."""
    async with with_ann(database.address()) as stores:
        leaving = asyncio.create_task(stores.sessions.read(TOKEN))
        staying = asyncio.create_task(stores.sessions.read(TOKEN))
        await asyncio.sleep(0)
        leaving.cancel()
        assert await staying == session()
        assert await stores.sessions.read(TOKEN) == session()


# Faults


@DRIVERS
async def test_a_restart_is_not_noticed_by_who_comes_after_it(
    started, database, driver
):
    """Neither by a read nor by a write, though their connections are gone."""
    async with with_ann(at(database, driver)) as stores:
        started.kill()
        started.restart()
        assert await stores.sessions.read(TOKEN) == session()
        assert await stores.accounts.set_roles("id-ann", frozenset({"admin"}))
        assert (await stores.accounts.by_id("id-ann")).roles == {"admin"}


@DRIVERS
async def test_a_server_that_is_down_is_a_store_error_at_once(
    started, database, driver
):
    """And it is used again within a second of its return."""
    async with with_ann(at(database, driver)) as stores:
        started.kill()
        for call in (
            lambda: stores.sessions.read(TOKEN),
            lambda: stores.accounts.by_id("id-ann"),
            lambda: stores.sessions.end_token(TOKEN, "id-ann"),
        ):
            async with within(0.5):
                with pytest.raises(StoreError):
                    await call()
        started.restart()
        assert await comes_back(lambda: stores.sessions.read(TOKEN)) == session()


@DRIVERS
async def test_a_server_that_hangs_costs_no_more_than_the_deadline(
    database, proxy, driver
):
    """Reads and writes, a hundred at once; and all is well when it goes on."""
    url = through(database, proxy, driver, "timeout=0.5")
    async with with_ann(url) as stores:
        proxy.pause()
        calls = [stores.sessions.read(TOKEN) for _ in range(50)]
        calls += [stores.accounts.by_id("id-ann") for _ in range(25)]
        calls += [stores.accounts.raise_epoch("id-ann") for _ in range(25)]
        async with within(1.0):
            results = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(one) for one in results} <= {StoreError, StoreBusyError}
        proxy.resume()
        assert await comes_back(lambda: stores.sessions.read(TOKEN)) == session()
        assert await comes_back(lambda: stores.accounts.by_id("id-ann"))


@DRIVERS
async def test_one_connection_that_is_silent_stands_for_all(database, proxy, driver):
    """A firewall that has forgotten one has forgotten all of them, and nobody else has
    to wait to find that out."""
    async with with_ann(through(database, proxy, driver, "timeout=0.3")) as stores:
        proxy.pause()
        with pytest.raises(StoreError):
            await stores.sessions.read(TOKEN)
        proxy.resume()
        before = len(proxy.links)
        assert await comes_back(lambda: stores.accounts.by_id("id-ann"))
        assert len(proxy.links) > before


@DRIVERS
async def test_an_idle_connection_shows_signs_of_life(database, proxy, driver):
    """Firewalls and load balancers forget those that show none, after some minutes."""
    async with (
        opened(through(database, proxy, driver)) as stores,
        stores._database.reading() as connection,
    ):
        shown = await connection.exec_driver_sql("SHOW tcp_keepalives_idle")
        assert int(shown.scalar_one()) == 60


@DRIVERS
async def test_calls_that_are_cancelled_lose_no_connection(database, proxy, driver):
    """Clients that hang up while the server hangs: the one connection of the pool is
    there again, and nobody waits for longer than anybody else."""
    url = through(database, proxy, driver, "timeout=0.5&pool_size=1&max_overflow=0")
    async with with_ann(url) as stores:
        for _ in range(3):
            await comes_back(lambda: stores.accounts.by_id("id-ann"))
            proxy.pause()
            call = asyncio.create_task(stores.accounts.raise_epoch("id-ann"))
            await asyncio.sleep(0.05)
            call.cancel()
            async with within(1.0):
                await asyncio.wait([call])
            proxy.resume()
        assert await comes_back(lambda: stores.accounts.by_id("id-ann"))


@DRIVERS
async def test_faults_in_any_order_leave_nothing_behind(
    database, proxy, driver, caplog
):
    """Calls that are cancelled, cut, refused, stalled or not answered end as they
    should, and no connection is lost with them."""
    url = through(database, proxy, driver, "timeout=0.3")
    async with with_ann(url) as stores:
        chance, over = random.Random(driver), asyncio.Event()
        calls = [
            lambda: stores.sessions.read(TOKEN),
            lambda: stores.accounts.by_id("id-ann"),
            lambda: stores.accounts.raise_epoch("id-ann"),
            lambda: stores.replays.first(chance.randbytes(8), 60.0),
        ]

        async def call():
            while not over.is_set():
                called = asyncio.ensure_future(chance.choice(calls)())
                if chance.random() < 0.1:
                    asyncio.get_running_loop().call_later(0.01, called.cancel)
                with suppress(StoreError, asyncio.CancelledError):
                    await called
                await asyncio.sleep(0.01)

        callers = [asyncio.create_task(call()) for _ in range(20)]
        for fault in chance.sample(range(8), 8):
            await asyncio.sleep(0.05)
            match fault % 4:
                case 0:
                    proxy.cut()
                case 1:
                    proxy.lose_replies(3)
                case 2:
                    proxy.refuse()
                    await asyncio.sleep(0.1)
                    proxy.accept()
                case 3:
                    proxy.pause()
                    await asyncio.sleep(0.4)
                    proxy.resume()
        over.set()
        await asyncio.gather(*callers)
        proxy.lose_replies(0)
        assert await comes_back(lambda: stores.accounts.by_id("id-ann"))
        await comes_back(lambda: stores.sessions.read(TOKEN))
        pool = stores._database._engine.sync_engine.pool
        assert pool.checkedout() == 0
        lanes = stores._sessions._lanes
        assert len(lanes._idle) == len(lanes._lanes) == 2
    loud = [one for one in caplog.records if one.levelname == "ERROR"]
    assert [one for one in loud if one.name.startswith("sqlalchemy")] == []


async def test_a_read_whose_connection_is_lost_is_sent_again(database, proxy):
    """Once, on a new connection; a session is not lost to a reset."""
    async with with_ann(through(database, proxy)) as stores:
        await stores.sessions.read(TOKEN)
        proxy.lose_replies(1)
        assert await stores.sessions.read(TOKEN) == session()


async def test_a_commit_without_an_answer_is_unknown(database, proxy):
    """It is not reported as done, nor as failed for certain, and not repeated."""
    async with with_ann(through(database, proxy)) as stores:
        change = "UPDATE ringfence_accounts SET epoch = epoch + 1"
        with pytest.raises(StoreError, match="may have been made"):
            await run(stores, change, before_the_end=lambda: proxy.lose_replies(1))
        assert await comes_back(lambda: stores.accounts.epoch("id-ann")) == 1


async def test_a_change_is_never_sent_twice(database, proxy):
    """A lost connection ends it, and nothing of it holds."""
    async with with_ann(through(database, proxy)) as stores:
        await stores.accounts.by_id("id-ann")
        proxy.lose_replies(1)
        with pytest.raises(StoreError):
            await stores.accounts.raise_epoch("id-ann")
        assert await comes_back(lambda: stores.accounts.epoch("id-ann")) == 0


async def test_a_lock_is_not_waited_for_longer_than_the_deadline(database):
    """Somebody forgets to end a transaction on an account."""
    async with with_ann(f"{database.address()}?timeout=0.5") as stores:
        with psycopg.connect(database.dsn) as forgetful:
            forgetful.execute("SELECT * FROM ringfence_accounts FOR UPDATE")
            async with within(0.5):
                with pytest.raises(StoreError, match="lock timeout"):
                    await stores.accounts.raise_epoch("id-ann")
        assert await stores.accounts.raise_epoch("id-ann") == 1


async def test_a_touch_waits_for_nobody(database):
    """Neither can it be waited for in a circle: a row that is locked is left out."""
    async with with_ann(database.address()) as stores:
        await stores.sessions.add(session("two"), epoch=0, replaces=None)
        use = Use(session().last_seen + 60, "192.0.2.7", "curl")
        with psycopg.connect(database.dsn) as other:
            other.execute(
                "SELECT 1 FROM ringfence_sessions WHERE token_hash = %s FOR UPDATE",
                (TOKEN,),
            )
            async with within(1.0):
                await stores.sessions.touch(
                    {TOKEN: use, session("two").token_hash: use}
                )
        seen = {one.public_id: one.last_seen for one in await listed(stores)}
        assert seen == {"public-one": session().last_seen, "public-two": use.at}


async def listed(stores):
    return await stores.sessions.of_account("id-ann")


async def test_more_calls_than_connections_are_told_to_come_again(database):
    """The pool is bounded, and so is the wait for it."""
    url = f"{database.address()}?pool_size=1&max_overflow=1&timeout=0.5"
    address = parse_address(url)
    pool = PostgresDatabase(address, Dial(open_driver(address), address), StoreClock())
    await pool.open()
    try:
        async with pool.reading(), pool.reading():
            with pytest.raises(StoreBusyError, match="in use"):
                async with pool.reading():
                    pass
    finally:
        await pool.close()


async def test_a_server_that_only_answers_reads_is_not_used(fresh):
    """It may be behind, and show a session that was ended."""
    async with with_ann(fresh.address()) as stores:
        with psycopg.connect(fresh.dsn, autocommit=True) as operator:
            name = sql.Identifier(fresh.name)
            switch = sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on")
            operator.execute(switch.format(name))
            operator.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        with pytest.raises(StoreError, match="read-only"):
            await stores.sessions.read(TOKEN)


async def test_a_server_that_begins_to_refuse_writes_is_left(database):
    """All connections are given up, the reading ones too."""
    async with with_ann(database.address()) as stores:
        generation = stores._dial.generation
        switch = "SET TRANSACTION READ ONLY"
        with pytest.raises(StoreError, match="read-only"):
            await run(stores, switch, "DELETE FROM ringfence_sessions")
        assert stores._dial.generation > generation
        assert await stores.sessions.read(TOKEN) == session()


# Starting


async def test_many_starts_at_once_migrate_once(fresh):
    """An advisory lock holds the others off; they find the work done."""
    both = [open_stores(fresh.address()) for _ in range(6)]
    await asyncio.gather(*(stores.start() for stores in both))
    await both[0].accounts.add(account())
    assert await both[1].accounts.by_id("id-ann") == account()
    await asyncio.gather(*(stores.stop() for stores in both))


@DRIVERS
async def test_a_start_without_a_server_is_a_store_error(driver):
    """It names the place, and neither user nor password."""
    stores = open_stores(f"postgresql+{driver}://ann:wonderland@127.0.0.1:1/shop")
    refused = "refused|nobody listens there; is it running"
    with pytest.raises(StoreError, match=refused) as caught:
        await stores.start()
    assert "127.0.0.1:1/shop" in str(caught.value)
    error = caught.value
    while error is not None:
        assert "wonderland" not in f"{error}{error!r}"
        error = error.__cause__
    await stores.stop()


@DRIVERS
async def test_a_start_that_has_failed_can_be_tried_again(database, proxy, driver):
    """The server was not there yet."""
    url = through(database, proxy, driver)
    for made in (open_stores(url), open_shared(url)):
        proxy.refuse()
        with pytest.raises(StoreError):
            await made.start()
        proxy.accept()
        await comes_back(made.start)
        await made.stop()


ROLE = "ringfence_app"


@pytest.fixture
def role(fresh):
    """A role that owns nothing."""
    with psycopg.connect(fresh.dsn, autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {ROLE} LOGIN")
        yield owner
        owner.execute(f"DROP OWNED BY {ROLE}")
        owner.execute(f"DROP ROLE {ROLE}")


def as_app(fresh):
    return fresh.address().replace("postgres@", f"{ROLE}@")


async def test_an_application_needs_no_more_than_rows(fresh, role):
    """SELECT, INSERT, UPDATE and DELETE on the tables are enough."""
    async with opened(fresh.address()):
        pass
    for table in tables_of(role):
        name = sql.Identifier(table)
        right = "SELECT, INSERT, UPDATE, DELETE"
        role.execute(sql.SQL(f"GRANT {right} ON {{}} TO {ROLE}").format(name))
    role.execute(f"GRANT SELECT ON {VERSION_TABLE} TO {ROLE}")
    async with with_ann(as_app(fresh)) as stores:
        assert await stores.sessions.read(TOKEN) == session()
        await stores.sessions.touch({TOKEN: Use(session().last_seen + 60, "n", "d")})
        ticket = Ticket("reset", b"1" * 32, "id-ann", 0)
        assert await stores.tickets.issue(ticket, 60.0)
        assert await stores.tickets.redeem("reset", b"1" * 32) == ticket
        assert await stores.replays.first(b"key", 60.0)
        await stores.revocations.revoke(b"jti", "id-ann", 60.0)
        assert await stores.accounts.remove("id-ann")
    shared = open_shared(as_app(fresh))
    await shared.start()
    charge = Charge(b"key", 1, 60.0)
    assert (await shared.counters("limits").take([charge])).refused == -1
    assert await shared.blocks.put(Block("192.0.2.1", 60.0, "")) > 0
    await shared.stop()


async def test_a_role_that_may_not_migrate_says_who_may(fresh, role):
    """Not a page of SQL."""
    stores = open_stores(as_app(fresh))
    with pytest.raises(StoreError, match="ringfence migrate") as caught:
        await stores.start()
    assert "\n" not in str(caught.value)


async def test_a_role_that_may_not_read_is_not_sent_to_migrate(fresh, role):
    """The tables are up to date; what is missing is a right."""
    async with opened(fresh.address()):
        pass
    with pytest.raises(StoreError, match="grant it SELECT") as caught:
        await open_stores(as_app(fresh)).start()
    assert "migrate" not in str(caught.value)


# Time


async def test_all_judge_by_the_time_of_the_database(database):
    """A machine whose clock is an hour wrong, and is set meanwhile, changes nothing."""
    async with opened(database.address()) as stores:
        clock = StoreClock(clock=lambda: 3600.0)
        stores._database._clock = clock
        await stores.sessions.touch({})
        assert abs(clock() - time.time()) < 1.0
