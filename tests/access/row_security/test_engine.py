"""For whom a transaction works: said with BEGIN, signed, and gone afterwards."""

import asyncio
import hashlib
import hmac
import threading
from base64 import b64decode, b64encode

import psycopg
import pytest
from sqlalchemy import create_engine, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from tests.access.row_security.shop import (
    ALICE,
    KEY,
    LOGIN,
    MALLORY,
    connected,
    run,
    seen,
    signer,
)
from tests.servers.proxy import running_proxy

from ringfence.access.ownership.acting import acting_as
from ringfence.access.ownership.escape import unscoped
from ringfence.access.row_security.context import key_id
from ringfence.access.row_security.engine import RowSecurity
from ringfence.access.row_security.functions import install_keys
from ringfence.errors import DeclarationError, SettingsError
from ringfence.principal import Principal

IDS = "SELECT id FROM orders"
SET = text("SELECT set_config('ringfence.principal', :context, :local)")
CONTEXT = text("SELECT current_setting('ringfence.principal', true)")
PROCESS = text("SELECT pg_backend_pid()")


def ids(connection):
    return sorted(connection.scalars(text(IDS)).all())


# Forged, replayed, stale.


def forged(body, key=KEY, name=None):
    signature = hmac.digest(key, body, hashlib.sha256)
    return f"{name or key_id(key)}.{b64encode(signature + body).decode()}"


def forgeries(context):
    name, _, signed = context.partition(".")
    raw = b64decode(signed)
    other = raw[:32] + raw[32:].replace(b"mallory", b"alice")
    escape = b'{"u":true,"x":9999999999}'
    return [
        "alice",
        '{"i":"alice"}',
        raw[32:].replace(b"mallory", b"alice").decode(),
        f"{name}.{b64encode(other).decode()}",
        f"{name}.{b64encode(raw[:32] + escape).decode()}",
        f"{name}.{b64encode(raw[:32]).decode()}",
        f"{name}.",
        forged(escape, b"k" * 32),
        forged(escape, b"k" * 32, name),
        forged(escape, b"", name),
        forged(escape, name.encode(), name),
    ]


def test_forged_contexts_are_worthless(shop):
    """Injected SQL can write the setting, and gains nothing by it."""
    with connected(shop.engine, MALLORY) as connection:
        own = connection.scalar(CONTEXT)
        assert ids(connection) == [2]
        for context in forgeries(own):
            for local in (True, False):
                connection.execute(SET, {"context": context, "local": local})
                assert ids(connection) == [], context
        connection.execute(SET, {"context": own, "local": True})
        assert ids(connection) == [2]


def test_malformed_contexts_end_the_statement(shop):
    """What is no base64 is an error, and shows nothing."""
    with connected(shop.engine, MALLORY) as connection:
        connection.execute(SET, {"context": f"{key_id(KEY)}.!!!", "local": True})
        with pytest.raises(DBAPIError):
            ids(connection)


def test_forgeries_need_the_signature(shop):
    """The same forgery counts once it is signed with the key: the test would see."""
    with connected(shop.engine, MALLORY) as connection:
        signed = forged(b'{"u":true,"x":9999999999}')
        connection.execute(SET, {"context": signed, "local": True})
        assert ids(connection) == [1, 2, 3]


def test_contexts_are_of_one_connection(shop):
    """What is seen in pg_stat_activity is worthless on another connection."""
    with connected(shop.engine, ALICE) as hers:
        context = hers.scalar(CONTEXT)
        with connected(shop.engine, MALLORY) as his:
            his.execute(SET, {"context": context, "local": True})
            assert ids(his) == []
        assert ids(hers) == [1]


def test_contexts_behind_a_pooler(shop):
    """Behind a pooler the process is nobody's, and a context is not bound to one."""
    with shop.another(pooled=True) as engine:
        with connected(engine, ALICE) as hers:
            context = hers.scalar(CONTEXT)
        with connected(shop.engine, MALLORY) as his:
            his.execute(SET, {"context": context, "local": True})
            assert ids(his) == [1]


def test_contexts_end(shop):
    """A context of minutes ago begins no transaction."""
    with connected(shop.engine, MALLORY) as connection:
        process = connection.scalar(PROCESS)
        now = connection.scalar(text("SELECT extract(epoch FROM now())::float"))
        for age, rows in ((119, [1]), (125, [])):
            sign = signer(clock=lambda age=age: now - age)
            context = sign(ALICE, process)
            connection.execute(SET, {"context": context, "local": True})
            assert ids(connection) == rows


def test_the_signature_is_hmac(shop):
    """What the database computes is RFC 2104, with the vectors of RFC 4231."""
    vectors = [
        (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b"),
        (b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c7"),
        (
            b"\xaa" * 131,
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f",
        ),
    ]
    with shop.admin.connect() as connection:
        for key, message, digest in vectors:
            long_enough = hmac.digest(key, message, "sha256").hex()
            assert long_enough.startswith(digest)
        key = b"\xaa" * 131
        for statement in install_keys([key]):
            connection.exec_driver_sql(statement)
        found = connection.scalar(
            text(
                "SELECT encode(sha256(opad || sha256(ipad || :message)), 'hex') "
                "FROM ringfence.signing_keys"
            ),
            {"message": vectors[2][1]},
        )
        assert found.startswith(vectors[2][2])
        connection.rollback()


@pytest.mark.parametrize("key", [b"", b"short"])
def test_weak_keys_are_refused(key):
    """A key that can be guessed is none."""
    with pytest.raises(SettingsError, match="at least 32"):
        install_keys([key] if key else [])


# Transactions.


def test_nothing_remains_on_the_connection(shop):
    """After a commit or a rollback the connection is nobody's."""
    with shop.another(pool_size=1, max_overflow=0) as engine:
        for end in ("commit", "rollback", "close"):
            with acting_as(ALICE), engine.connect() as connection:
                assert ids(connection) == [1]
                if end != "close":
                    getattr(connection, end)()
            assert seen(engine, None, IDS) == []
            assert seen(engine, MALLORY, IDS) == [2]


def test_one_connection_in_turns(shop):
    """Each transaction of one connection works for who acts when it begins."""
    with shop.engine.connect() as connection:
        for who, rows in ((ALICE, [1]), (None, []), (MALLORY, [2]), (ALICE, [1])):
            if who is None:
                assert ids(connection) == rows
            else:
                with acting_as(who):
                    assert ids(connection) == rows
            connection.rollback()


def test_another_within_a_transaction(shop):
    """Where somebody else acts in the middle, it is said again."""
    with shop.engine.connect() as connection:
        with acting_as(ALICE):
            assert ids(connection) == [1]
            with unscoped("nightly report"):
                assert ids(connection) == [1, 2, 3]
            assert ids(connection) == [1]
        with acting_as(MALLORY):
            assert ids(connection) == [2]
        assert ids(connection) == []


@pytest.mark.parametrize("way", ["savepoint", "text"])
def test_savepoints_take_back_what_was_said(shop, way):
    """Rolled back to before somebody acted, the database hears anew who does: else an
    escape that had ended would be in force again."""
    with acting_as(ALICE), shop.engine.connect() as connection:
        with unscoped("nightly report"):
            assert ids(connection) == [1, 2, 3]
            if way == "savepoint":
                savepoint = connection.begin_nested()
            else:
                connection.execute(text("SAVEPOINT here"))
        assert ids(connection) == [1]
        if way == "savepoint":
            savepoint.rollback()
        else:
            connection.execute(text(" rollback TO SAVEPOINT here"))
        assert ids(connection) == [1]


def test_failed_transactions(shop):
    """After an error the next transaction works for who acts."""
    with acting_as(ALICE), shop.engine.connect() as connection:
        with pytest.raises(DBAPIError):
            connection.execute(text("SELECT 1/0"))
        connection.rollback()
        assert ids(connection) == [1]


def test_autocommit(shop):
    """Where each statement is its own transaction, it is said for all of them, and
    taken back when the connection goes home."""
    with shop.another(pool_size=1, max_overflow=0) as engine:
        alone = engine.execution_options(isolation_level="AUTOCOMMIT")
        with acting_as(ALICE), alone.connect() as connection:
            assert ids(connection) == [1]
            with unscoped("nightly report"):
                assert ids(connection) == [1, 2, 3]
            assert ids(connection) == [1]
        with engine.connect() as connection:
            assert connection.scalar(CONTEXT) in {"", None}
            assert ids(connection) == []
        with alone.connect() as connection:
            assert ids(connection) == []


def test_autocommit_for_long(shop):
    """It is said anew before it ends."""
    now = [0.0]
    with shop.admin.connect() as connection:
        now[0] = connection.scalar(text("SELECT extract(epoch FROM now())::float"))
    with shop.another(sign=signer(clock=lambda: now[0])) as engine:
        alone = engine.execution_options(isolation_level="AUTOCOMMIT")
        with acting_as(ALICE), alone.connect() as connection:
            first = connection.scalar(CONTEXT)
            assert connection.scalar(CONTEXT) == first
            now[0] += 61
            assert connection.scalar(CONTEXT) != first
            assert ids(connection) == [1]


def test_roles_that_are_set(shop):
    """Another role in the same transaction is under the same policies."""
    with connected(shop.engine, ALICE) as connection:
        connection.execute(text("SET LOCAL ROLE ringfence_rows"))
        assert ids(connection) == [1]


def test_many_statements_at_once(shop):
    """A pipeline of psycopg takes the context along as well."""
    with acting_as(ALICE), shop.engine.connect() as connection:
        statement = text("UPDATE orders SET note = note WHERE id = :id")
        done = connection.execute(statement, [{"id": 1}, {"id": 2}, {"id": 3}])
        assert done.rowcount == 1
        assert ids(connection) == [1]


def test_connections_of_the_driver(shop):
    """What goes past SQLAlchemy on its connections works for who acts, too."""
    with acting_as(ALICE), shop.engine.connect() as connection:
        driver = connection.connection.driver_connection
        connection.execute(select(1))
        connection.rollback()
        assert driver.execute(IDS).fetchall() == [(1,)]
        driver.rollback()
        with driver.transaction():
            assert driver.execute(IDS).fetchall() == [(1,)]


def test_threads_share_a_pool(shop):
    """Many at once on two connections; each sees their own and nothing else."""
    wrong = []

    def work(who, rows):
        found = [seen(shop.engine, who, IDS) for _ in range(20)]
        wrong.extend(one for one in found if one != rows)

    threads = [
        threading.Thread(target=work, args=args)
        for args in ((ALICE, [1]), (MALLORY, [2]), (None, []), (ALICE, [1]))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.anyio
@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_tasks_share_a_pool(shop, driver):
    """The same with tasks, on async drivers."""
    engine = shop.asynchronous(driver, pool_size=2)

    async def work(who, rows):
        with acting_as(who):
            for _ in range(10):
                async with engine.connect() as connection:
                    assert list(await connection.scalars(text(IDS))) == rows
                    with unscoped("nightly report"):
                        assert len((await connection.execute(text(IDS))).all()) == 3
                    assert list(await connection.scalars(text(IDS))) == rows

    await asyncio.gather(*(work(ALICE, [1]), work(MALLORY, [2])) * 2)
    async with engine.connect() as connection:
        assert (await connection.scalars(text(IDS))).all() == []
    alone = engine.execution_options(isolation_level="AUTOCOMMIT")
    with acting_as(ALICE):
        async with alone.connect() as connection:
            assert (await connection.scalars(text(IDS))).all() == [1]
    async with engine.connect() as connection:
        assert await connection.scalar(CONTEXT) in {"", None}
    await engine.dispose()


def test_connections_made_elsewhere(shop):
    """A connection that is not ours is told in a round trip of its own."""

    def dial():
        return psycopg.connect(
            shop.database.dsn.replace("user=postgres", f"user={LOGIN}")
        )

    engine = create_engine("postgresql+psycopg://", creator=dial)
    RowSecurity(engine, signer()).attach()
    for who, rows in ((ALICE, [1]), (None, []), (MALLORY, [2])):
        assert seen(engine, who, IDS) == rows
    with acting_as(ALICE), engine.connect() as connection:
        assert ids(connection) == [1]
        connection.rollback()
        assert ids(connection) == [1]
        with connection.begin_nested() as savepoint, unscoped("nightly report"):
            assert ids(connection) == [1, 2, 3]
            savepoint.rollback()
        assert ids(connection) == [1]
    engine.dispose()


def test_keys_rotate(restored):
    """A new key counts from when it is installed, an old one until it is removed."""
    keys = [b"n" * 32, KEY]
    signing = [KEY]
    sign = signer()
    sign._key = lambda: signing[0]
    with restored.another(sign=sign) as engine:
        run(restored.admin, *install_keys(keys))
        assert seen(engine, ALICE, IDS) == [1]
        signing[0] = keys[0]
        assert seen(engine, ALICE, IDS) == [1]
        assert seen(restored.engine, ALICE, IDS) == [1]
        run(restored.admin, *install_keys(keys[:1]))
        assert seen(restored.engine, ALICE, IDS) == []
        assert seen(engine, ALICE, IDS) == [1]
        run(restored.admin, *install_keys([KEY]))


@pytest.mark.anyio
@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_a_key_that_is_missing(shop, driver):
    """Without a key nothing begins, and the connection is as good as before."""
    sign = signer()
    keys = [b""]
    sign._key = lambda: keys[0]
    engine = create_async_engine(shop.url(driver), pool_size=1, max_overflow=0)
    RowSecurity(engine, sign).attach()
    with acting_as(ALICE):
        with pytest.raises(SettingsError, match="at least 32"):
            async with engine.connect() as connection:
                await connection.execute(text(IDS))
        keys[0] = KEY
        async with engine.connect() as connection:
            assert (await connection.scalars(text(IDS))).all() == [1]
    await engine.dispose()


def test_other_databases_are_refused():
    """SQLite has no row-level security."""
    with pytest.raises(DeclarationError, match="sqlite has none"):
        RowSecurity(create_engine("sqlite://"), signer())


def test_names_are_no_code(shop):
    """A principal may be called what they like."""
    for name in (
        "'; DROP TABLE orders; --",
        'a"b\\c',
        "é\ud83d\ude00"[:1] + "😀",
        "$1 %s :x",
    ):
        assert seen(shop.engine, Principal(name), IDS) == []


# Round trips.


@pytest.fixture
def distant(shop):
    """A shop of which the application sees a proxy that counts."""
    database = shop.database
    with running_proxy(f"{database.folder}/.s.PGSQL.{database.port}") as proxy:
        yield shop, proxy


def address(shop, proxy, driver):
    return f"postgresql+{driver}://{LOGIN}@127.0.0.1:{proxy.port}/{shop.database.name}"


def trips(engine, proxy):
    def work():
        with acting_as(ALICE), engine.connect() as connection:
            connection.scalars(text(IDS)).all()

    for _ in range(8):  # until the driver has prepared the statement
        work()
    proxy.forget()
    work()
    return proxy.round_trips


@pytest.mark.parametrize("made_elsewhere", [False, True])
def test_no_round_trip_more(distant, made_elsewhere):
    """BEGIN and the context are one message; where they cannot be, the test sees."""
    shop, proxy = distant
    plain = create_engine(address(shop, proxy, "psycopg"))
    without = trips(plain, proxy)
    plain.dispose()

    dial = {
        "creator": lambda: psycopg.connect(
            host="127.0.0.1",
            port=proxy.port,
            user=LOGIN,
            dbname=shop.database.name,
        )
    }
    engine = create_engine(
        address(shop, proxy, "psycopg"), **(dial if made_elsewhere else {})
    )
    RowSecurity(engine, signer()).attach()
    assert trips(engine, proxy) == without + made_elsewhere
    engine.dispose()


@pytest.mark.anyio
@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_no_round_trip_more_for_tasks(distant, driver):
    """The same for async drivers."""
    shop, proxy = distant
    counted = []
    for secured in (False, True):
        engine = create_async_engine(address(shop, proxy, driver))
        if secured:
            RowSecurity(engine, signer()).attach()

        async def work(engine=engine):
            with acting_as(ALICE):
                async with engine.connect() as connection:
                    return (await connection.scalars(text(IDS))).all()

        for _ in range(8):
            rows = await work()
        assert rows == ([1] if secured else [])
        proxy.forget()
        await work()
        counted.append(proxy.round_trips)
        await engine.dispose()
    assert counted[0] == counted[1]
