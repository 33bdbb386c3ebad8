"""What SQLite adds to the contract: the file, the reader, other processes."""

import asyncio
import gc
import sqlite3
import stat
import threading
from contextlib import closing, suppress
from itertools import count

import pytest
from sqlalchemy import create_engine, inspect
from tests.contracts.records import NOW, account, api_key, digest, session

from ringfence.errors import StoreError
from ringfence.stores.contracts import Use
from ringfence.stores.migrate import VERSION_TABLE, migrate
from ringfence.stores.open import open_stores
from ringfence.stores.schema import metadata
from ringfence.stores.sqlite import READ_SESSION, _switch_to_wal

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def from_nothing(prepare, monkeypatch):
    """Here each file is migrated as users' are."""
    monkeypatch.setattr("ringfence.stores.sqlite.prepare", prepare)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "store.db"


@pytest.fixture
async def stores(path, anyio_backend):
    """Open stores with one account and one session."""
    opened = open_stores(f"sqlite:///{path}")
    await opened.start()
    await opened.accounts.add(account())
    await opened.sessions.add(session(), epoch=0, replaces=None)
    yield opened
    await opened.stop()


def run_sql(path, sql):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(sql).fetchall()


async def test_the_file_is_the_owners_alone(stores, path):
    """It holds password hashes; so do the files that SQLite makes beside it."""
    files = sorted(path.parent.iterdir())
    assert [file.name for file in files] == ["store.db", "store.db-shm", "store.db-wal"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


async def test_every_commit_is_durable(stores, path):
    """WAL, so that readers never wait; FULL, so that no revocation is lost with the
    power."""
    assert run_sql(path, "PRAGMA journal_mode") == [("wal",)]
    async with stores._file.writing() as connection:
        full = await connection.exec_driver_sql("PRAGMA synchronous")
        assert full.scalar_one() == 2
        keys = await connection.exec_driver_sql("PRAGMA foreign_keys")
        assert keys.scalar_one() == 1


async def test_what_another_process_ends_is_ended_here_within_5_ms(stores, path):
    now = 1000.0
    stores.sessions._reader.monotonic = lambda: now
    token = session().token_hash
    assert await stores.sessions.read(token) is not None
    run_sql(path, "DELETE FROM ringfence_sessions")
    now += 0.0051
    assert await stores.sessions.read(token) is None


@pytest.mark.parametrize(
    "revoke",
    [
        lambda stores: stores.sessions.end("id-ann", "public-one"),
        lambda stores: stores.sessions.end_all("id-ann", keep=None),
        lambda stores: stores.sessions.end_token(session().token_hash, "id-ann"),
        lambda stores: stores.accounts.remove("id-ann"),
        lambda stores: stores.accounts.set_disabled("id-ann", disabled=True),
        lambda stores: stores.accounts.set_password("id-ann", "new hash", epoch=0),
    ],
)
async def test_what_this_process_ends_is_ended_at_once(stores, revoke):
    """Whatever is kept from earlier reads, on a clock that stands still."""
    stores.sessions._reader.monotonic = lambda: 1000.0
    token = session().token_hash
    assert await stores.sessions.read(token) is not None
    await revoke(stores)
    assert await stores.sessions.read(token) is None


async def test_a_change_of_role_holds_at_once(stores):
    stores.sessions._reader.monotonic = lambda: 1000.0
    token = session().token_hash
    assert (await stores.sessions.read(token)).roles == frozenset()
    await stores.accounts.set_roles("id-ann", frozenset({"staff"}))
    assert (await stores.sessions.read(token)).roles == {"staff"}


async def test_a_change_of_tenant_holds_at_once(stores):
    stores.sessions._reader.monotonic = lambda: 1000.0
    token = session().token_hash
    assert (await stores.sessions.read(token)).tenant == ""
    await stores.accounts.set_tenant("id-ann", "acme")
    assert (await stores.sessions.read(token)).tenant == "acme"


async def test_what_is_kept_of_sessions_is_bounded(stores, monkeypatch):
    monkeypatch.setattr("ringfence.stores.sqlite._SESSIONS_KNOWN", 2)
    for name in ("two", "three", "four"):
        await stores.sessions.add(session(name), epoch=0, replaces=None)
    for name in ("one", "two", "three", "four"):
        assert await stores.sessions.read(session(name).token_hash) is not None
    assert len(stores.sessions._known) <= 2


async def test_reading_does_not_wait_for_a_writer(stores, path):
    """The event loop is never held up by another process's transaction."""
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM ringfence_sessions")
        assert await stores.sessions.read(session().token_hash) is not None
        writer.execute("ROLLBACK")


async def test_the_reader_leaves_no_transaction_open(stores, path):
    """An open one would keep the log from ever being cut, so that it grows for ever."""
    assert await stores.sessions.read(session().token_hash) is not None
    assert await stores.sessions.read(b"unknown") is None
    await stores.sessions.touch({session().token_hash: Use(NOW + 100, "", "")})
    busy, _, _ = run_sql(path, "PRAGMA wal_checkpoint(TRUNCATE)")[0]
    assert busy == 0
    assert (path.parent / "store.db-wal").stat().st_size == 0


async def test_the_reader_cannot_write(stores):
    """Whatever reaches the connection in the event loop, it changes nothing."""
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        stores.sessions._reader.cursor.execute("DELETE FROM ringfence_sessions")


async def test_the_read_is_by_primary_key(stores, path):
    """No scan, whatever the number of sessions."""
    with closing(sqlite3.connect(path)) as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {READ_SESSION}", (b"x",))
        steps = [row[3] for row in plan]
    assert len(steps) == 2
    assert all("USING PRIMARY KEY" in step for step in steps), steps


async def test_many_role_sets_stay_within_bounds(stores):
    """The reader remembers decoded roles, but not without limit."""
    names = stores.sessions._rows._names
    for number in range(3000):
        assert names[f'["role-{number}"]']
    assert len(names._known) <= 1024
    assert names["[]"] == frozenset()


async def test_standings_and_keys_stay_within_bounds(stores, monkeypatch):
    """The readers remember what they were asked, but not without limit."""
    monkeypatch.setattr("ringfence.stores.sqlite._STANDINGS_KNOWN", 3)
    monkeypatch.setattr("ringfence.stores.sqlite._KEYS_KNOWN", 3)
    await stores.accounts.add(account())
    for number in range(5):
        await stores.api_keys.add(api_key(f"{number}"), epoch=0)
    for number in range(5):
        token_ids = (b"%d" % number,)
        assert await stores.revocations.standing(token_ids, "id-ann") == 0
        assert stores.revocations.recall(token_ids, "id-ann") == 0
        assert await stores.api_keys.read(digest(f"{number}")) is not None
    assert len(stores.revocations._known) <= 3
    assert len(stores.api_keys._known) <= 3


async def test_what_another_process_revokes_is_noticed(stores, path):
    """Within five milliseconds: a token, an account, and an API key."""
    other = open_stores(f"sqlite:///{path}")
    await other.start()
    await stores.accounts.add(account())
    await stores.api_keys.add(api_key(), epoch=0)
    assert await stores.revocations.standing((b"jti",), "id-ann") == 0
    assert await stores.api_keys.read(digest("one")) is not None
    for reader in (stores.revocations._reader, stores.api_keys._reader):
        reader.monotonic = count(1e9).__next__
    await other.revocations.revoke(b"jti", "id-ann", 3600.0)
    assert stores.revocations.recall((b"jti",), "id-ann") is None
    assert await stores.revocations.standing((b"jti",), "id-ann") is None
    await other.api_keys.end_all("id-ann")
    assert await stores.api_keys.read(digest("one")) is None
    await other.stop()


async def test_a_lock_held_too_long_is_a_store_error(stores, path, monkeypatch):
    async with stores._file.writing() as connection:
        await connection.exec_driver_sql("PRAGMA busy_timeout=1")
    stores._file._engine.sync_engine.pool._pool.maxsize = 1  # that connection only
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            await stores.sessions.end_token(session().token_hash, "id-ann")
        writer.execute("ROLLBACK")
    assert await stores.sessions.end_token(session().token_hash, "id-ann") is True


async def test_a_damaged_table_is_a_store_error(stores, path):
    run_sql(path, "DROP TABLE ringfence_sessions")
    with pytest.raises(StoreError):
        await stores.sessions.read(session().token_hash)
    with pytest.raises(StoreError):
        await stores.sessions.of_account("id-ann")


# SQLAlchemy drops a connection whose user was cancelled and leaves closing it to
# Python, which says so from 3.13 on.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_cancelled_writers_hold_nothing(stores):
    """A client that hangs up in the middle of a write leaves neither a lock nor a
    used-up connection behind."""
    for number in range(12):
        task = asyncio.create_task(
            stores.sessions.add(session(f"s{number}"), epoch=0, replaces=None)
        )
        for _ in range(number):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError, StoreError):
            await task
    await asyncio.wait_for(stores.accounts.add(account("bob")), 10)
    assert len(await stores.accounts.page(after="", limit=10)) == 2
    gc.collect()


async def test_stopping_ends_every_thread(path):
    before = threading.active_count()
    opened = open_stores(f"sqlite:///{path}")
    await opened.start()
    adding = [opened.accounts.add(account(f"a{number}")) for number in range(10)]
    await asyncio.gather(*adding)
    await opened.stop()
    gc.collect()
    assert threading.active_count() <= before + 1  # the loop's own, for the migration


async def test_the_schema_and_its_history_agree(stores, path):
    """What the migrations make is what the code expects."""
    engine = create_engine(f"sqlite:///{path}")
    inspector = inspect(engine)
    made = set(inspector.get_table_names())
    assert made == {VERSION_TABLE, *metadata.tables}
    for name, table in metadata.tables.items():
        columns = {
            column["name"]: (str(column["type"]), column["nullable"])
            for column in inspector.get_columns(name)
        }
        assert columns == {
            column.name: (column.type.compile(engine.dialect), column.nullable)
            for column in table.columns
        }
        assert {
            tuple(index["column_names"]) for index in inspector.get_indexes(name)
        } == {tuple(column.name for column in index.columns) for index in table.indexes}
        keys = inspector.get_pk_constraint(name)["constrained_columns"]
        assert keys == [column.name for column in table.primary_key]
    unique = inspector.get_unique_constraints("ringfence_accounts")
    assert [constraint["column_names"] for constraint in unique] == [["email_key"]]
    for name in ("sessions", "tickets", "factors", "grants", "api_keys", "links"):
        (foreign,) = inspector.get_foreign_keys(f"ringfence_{name}")
        assert foreign["options"] == {"ondelete": "CASCADE"}
    engine.dispose()


async def test_the_tables_can_stand_in_the_applications_database(path):
    """Its tables and its own Alembic history are left alone."""
    path.parent.mkdir()
    run_sql(path, "CREATE TABLE accounts (id INTEGER)")
    run_sql(path, "CREATE TABLE alembic_version (version_num TEXT)")
    run_sql(path, "INSERT INTO alembic_version VALUES ('theirs')")
    opened = open_stores(f"sqlite:///{path}")
    await opened.start()
    await opened.stop()
    assert run_sql(path, "SELECT * FROM alembic_version") == [("theirs",)]


async def test_a_file_that_is_no_database_stops_the_start(path):
    path.parent.mkdir()
    path.write_bytes(b"These are my tax returns of last year. " * 50)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"store\.db cannot be used") as caught:
        await open_stores(f"sqlite:///{path}").start()
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before


async def test_a_folder_in_the_way_stops_the_start(tmp_path):
    (tmp_path / "a.db").mkdir()
    with pytest.raises(StoreError, match=r"a\.db cannot be used"):
        await open_stores(f"sqlite:///{tmp_path / 'a.db'}").start()
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"b\.db cannot be used"):
        await open_stores(f"sqlite:///{tmp_path / 'file' / 'b.db'}").start()


async def test_sessions_of_the_first_schema_live_on(path):
    """They were proved at the sign-in, and last used where they began."""
    path.parent.mkdir()
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        migrate(connection, "0001")
    engine.dispose()
    run_sql(
        path,
        "INSERT INTO ringfence_accounts VALUES"
        "('id-ann', 'ann@example.com', 'ann@example.com', 'hash', '[]', 0, 1.0, 0)",
    )
    run_sql(
        path,
        "INSERT INTO ringfence_sessions VALUES"
        "(x'01', 'public', 'id-ann', '[]', 5.0, 9.0, '192.0.2.1', 'Firefox on Linux')",
    )
    opened = open_stores(f"sqlite:///{path}")
    await opened.start()
    found = await opened.sessions.read(b"\x01")
    ann = await opened.accounts.by_id("id-ann")
    await opened.stop()
    assert ann.verified == ann.created == 1.0  # whoever could sign in still can
    assert (found.created, found.last_seen, found.proved) == (5.0, 9.0, 5.0)
    assert (found.last_network, found.last_device) == ("192.0.2.1", "Firefox on Linux")
    assert (found.moved_at, found.moved_network, found.moved_device) == (0.0, "", "")


async def test_accounts_from_before_tenants_belong_to_none(path):
    """And are otherwise as they were, with their sessions."""
    path.parent.mkdir()
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        migrate(connection, "0005")
    engine.dispose()
    run_sql(
        path,
        "INSERT INTO ringfence_accounts VALUES('id-ann', 'Ann@example.com', "
        "'ann@example.com', 'hash', '[\"staff\"]', 0, 1.0, 7, 2.0)",
    )
    run_sql(
        path,
        "INSERT INTO ringfence_sessions VALUES(x'01', 'public', 'id-ann', '[]', 5.0, "
        "9.0, '192.0.2.1', 'Firefox', 5.0, '192.0.2.1', 'Firefox', 0.0, '', '')",
    )
    opened = open_stores(f"sqlite:///{path}")
    await opened.start()
    ann = await opened.accounts.by_id("id-ann")
    assert (ann.email, ann.password_hash, ann.roles) == (
        "Ann@example.com",
        "hash",
        {"staff"},
    )
    assert (ann.epoch, ann.verified, ann.tenant) == (7, 2.0, "")
    found = await opened.sessions.read(b"\x01")
    assert (found.roles, found.tenant, found.last_seen) == ({"staff"}, "", 9.0)
    assert await opened.accounts.set_tenant("id-ann", "acme")
    assert (await opened.sessions.read(b"\x01")).tenant == "acme"
    await opened.stop()


async def test_a_newer_schema_stops_the_start(path):
    """An older version must not work on tables that it does not understand."""
    opened = open_stores(f"sqlite:///{path}")
    await opened.start()
    await opened.stop()
    run_sql(path, f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(StoreError, match="newer version"):
        await opened.start()


async def test_a_file_system_without_shared_memory_is_said(path, monkeypatch):
    """Over a network, readers would see what writers have half done."""
    monkeypatch.setattr("ringfence.stores.sqlite._switch_to_wal", lambda _: "delete")
    with pytest.raises(StoreError, match="network drive"):
        await open_stores(f"sqlite:///{path}").start()


async def test_a_switch_that_another_start_is_in_the_way_of_ends(path, monkeypatch):
    """Several starts at once must try again, and not for ever."""
    path.parent.mkdir()
    monkeypatch.setattr("ringfence.stores.sqlite._BUSY_SECONDS", 0.05)
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE a (b)")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            _switch_to_wal(path)
        other.rollback()
    assert _switch_to_wal(path) == "wal"
