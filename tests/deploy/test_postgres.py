"""``roles.sql``, run by psql, and the stores under the role that it makes."""

from pathlib import Path

import anyio
import psycopg
import pytest
from psycopg import sql
from tests.contracts.records import (
    NOW,
    account,
    api_key,
    factor,
    grant,
    link,
    session,
)
from tests.deploy.described import DEPLOY
from tests.deploy.roles import as_role, run_roles

from ringfence.access.row_security.policies import APP_ROLE
from ringfence.errors import StoreError
from ringfence.stores import contracts
from ringfence.stores.contracts import Block, Charge, Rotation, Ticket, Use, counter_key
from ringfence.stores.open import open_shared, open_stores

TABLE = "ringfence.ringfence_accounts"
ROLES = ("ringfence_app", "ringfence_owner")
EXISTING = "CREATE TABLE public.of_others (secret text)"


@pytest.fixture(scope="module")
def prepared(postgres_server, tmp_path_factory):
    """A database with the roles in it, and a table that is none of theirs."""
    with postgres_server.database() as database:
        with psycopg.connect(database.dsn, autocommit=True) as connection:
            connection.execute(EXISTING)
        done = run_roles(database, tmp_path_factory.mktemp("passwords"))
        assert done.returncode == 0, done.stderr
        yield database


@pytest.fixture(scope="module")
def migrated(prepared):
    """The same, brought up to date by the owner of the tables."""

    async def migrate():
        stores = open_stores(as_role(prepared, "ringfence_owner").url("psycopg"))
        await stores.start()
        await stores.stop()

    anyio.run(migrate)
    return prepared


def test_the_log_of_the_server_shows_no_password(postgres_server, tmp_path):
    """Though it is told to log all statements (CWE-532)."""
    with postgres_server.database() as database:
        with psycopg.connect(database.dsn, autocommit=True) as connection:
            for name, value in [
                ("log_statement", "'all'"),
                ("log_min_duration_statement", "0"),
            ]:
                connection.execute(
                    sql.SQL("ALTER DATABASE {} SET {} = {}").format(
                        sql.Identifier(database.name), sql.SQL(name), sql.SQL(value)
                    )
                )
        assert run_roles(database, tmp_path).returncode == 0
    log = postgres_server.log.read_text()
    assert "may_hush" in log
    assert "$word" not in log


def execute(database, role, statement):
    with psycopg.connect(as_role(database, role).dsn, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else None


TOKEN = session().token_hash
TICKET = Ticket(kind="reset", token_hash=b"t" * 32, account_id="id-ann", epoch=0)


async def ask_for_other_proofs(stores):
    factors, grants = stores.factors, stores.grants
    keys, links = stores.api_keys, stores.links
    assert await factors.add(factor(), epoch=0)
    assert await factors.find("passkey", factor().id)
    assert await factors.advance("passkey", factor().id, counter=1, at=NOW)
    assert await factors.replace("id-ann", "passkey", [factor("two")], epoch=0)
    assert await factors.of_account("id-ann")
    assert await factors.remove("id-ann", "passkey", factor("two").id)
    assert await grants.add(grant(), epoch=0)
    assert await grants.find(grant().id)
    swap = Rotation(b"n" * 32, NOW + 90, b"answer", b"device", NOW, 10.0)
    told = [
        (await grants.rotate(grant().id, presented, swap)).outcome
        for presented in (grant().token_hash, grant().token_hash, b"old")
    ]
    assert told == ["rotated", "replayed", "reused"]
    assert await grants.of_account("id-ann") == []
    assert not await grants.end("id-ann", grant().id)
    assert await grants.end_all("id-ann") == 0
    assert await grants.forget_expired(NOW) == 0
    assert await keys.add(api_key(), epoch=0)
    assert await keys.read(api_key().token_hash)
    await keys.touch({api_key().token_hash: NOW})
    assert await keys.of_account("id-ann")
    assert await keys.end("id-ann", "public-one")
    assert await keys.end_all("id-ann") == 0
    assert await keys.forget_expired(NOW) == 0
    assert await links.add(link(), epoch=0)
    assert await links.find(link().issuer, link().subject)
    assert await links.of_account("id-ann")
    assert await links.remove("id-ann", link().issuer, link().subject)


async def ask_everything(stores, once):
    """Call every method of every store; ``once`` is a key that was not seen."""
    accounts, sessions = stores.accounts, stores.sessions
    tickets, replays, revocations = stores.tickets, stores.replays, stores.revocations
    assert await accounts.add(account())
    assert not await accounts.add(account())
    assert await accounts.by_id("id-ann")
    assert await accounts.by_email("ann@example.com")
    assert await accounts.page(after="", limit=10)
    await accounts.upgrade_hash("id-ann", "hash of ann", "better")
    assert await sessions.add(session(), epoch=0, replaces=None)
    assert await sessions.add(session("two"), epoch=0, replaces=session())
    assert await sessions.add(session(), epoch=0, replaces=None)
    assert await sessions.read(TOKEN)
    sessions.recall(TOKEN)
    assert await sessions.read_many([TOKEN])
    use = Use(NOW + 90, "203.0.113.1", "Firefox")
    await sessions.touch({TOKEN: use})
    assert await sessions.mark_moved(TOKEN, use)
    assert len(await sessions.of_account("id-ann")) == 2
    assert await sessions.end("id-ann", "public-two")
    assert await sessions.end_token(TOKEN, "id-ann")
    assert await sessions.end_all("id-ann", keep=None) == 0
    await sessions.forget_expired(created_before=NOW, seen_before=NOW)
    assert await tickets.issue(TICKET, 60.0)
    assert await tickets.redeem("reset", TICKET.token_hash)
    assert await tickets.withdraw("id-ann", "reset") == 0
    assert await replays.first(once, 60.0)
    await revocations.revoke(b"token", "id-ann", 60.0)
    assert await revocations.standing((b"another",), "id-ann") == 0
    assert await accounts.epoch("id-ann") == 0
    assert await accounts.verify("id-ann", "ann@example.com", NOW)
    await ask_for_other_proofs(stores)
    assert await accounts.raise_epoch("id-ann") == 1
    assert await accounts.set_password("id-ann", "new", epoch=1) == 2
    assert await accounts.set_roles("id-ann", frozenset({"operator"}))
    assert await accounts.set_tenant("id-ann", "north")
    assert await accounts.set_disabled("id-ann", disabled=True)
    assert await accounts.remove("id-ann")


@pytest.mark.anyio
@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
async def test_the_role_of_the_application_may_do_all_that_it_does(migrated, driver):
    stores = open_stores(as_role(migrated, "ringfence_app").url(driver))
    await stores.start()
    try:
        await ask_everything(stores, counter_key("test", driver))
    finally:
        await stores.stop()


@pytest.mark.anyio
async def test_it_may_count_and_block_there_too(migrated):
    """For RINGFENCE_STORE, where there is no Redis."""
    store = open_shared(as_role(migrated, "ringfence_app").url("psycopg"))
    charges = [Charge(counter_key("test", "role"), amount=1, period=60.0, holds=(9.0,))]
    await store.start()
    try:
        counters = store.counters("identity")
        verdict = await counters.take(charges)
        assert verdict.refused == -1
        assert (await counters.take(charges)).held
        await counters.lift([charges[0].key])
        await counters.give_back(charges, verdict.at)
        assert await counters.distinct(b"key", b"member", 60.0) == 1
        version = await store.blocks.put(Block("203.0.113.0/24", 60.0, "a test"))
        assert (await store.blocks.since(0)).version == version
        await store.blocks.put(Block("203.0.113.0/24", 0.0, "over"))
    finally:
        await store.stop()


def test_nothing_that_the_stores_do_is_left_out():
    text = Path(__file__).read_text()
    for protocol in ("Account", "Session", "Ticket", "Replay", "Revocation"):
        for name in vars(getattr(contracts, f"{protocol}Store")):
            if not name.startswith("_"):
                assert f".{name}(" in text, name


@pytest.mark.anyio
async def test_a_start_without_tables_says_who_makes_them(postgres_server, tmp_path):
    """The application cannot make them, and must not go on without."""
    with postgres_server.database() as database:
        done = run_roles(database, tmp_path)
        assert done.returncode == 0, done.stderr
        stores = open_stores(as_role(database, "ringfence_app").url("psycopg"))
        with pytest.raises(StoreError, match="ringfence migrate"):
            await stores.start()


REFUSED = [
    "CREATE TABLE mine (x int)",
    "CREATE TABLE public.mine (x int)",
    "CREATE TEMPORARY TABLE mine (x int)",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE ROLE mine",
    "CREATE DATABASE mine",
    "CREATE EXTENSION pg_trgm",
    "ALTER ROLE ringfence_app SUPERUSER",
    "ALTER ROLE ringfence_app CONNECTION LIMIT -1",
    "SET ROLE ringfence_owner",
    "SET ROLE postgres",
    f"ALTER TABLE {TABLE} ADD COLUMN x int",
    f"ALTER TABLE {TABLE} DISABLE TRIGGER ALL",
    f"CREATE INDEX ON {TABLE} (created)",
    f"CREATE TRIGGER t AFTER INSERT ON {TABLE} EXECUTE FUNCTION f()",
    f"DROP TABLE {TABLE}",
    f"TRUNCATE {TABLE} CASCADE",
    "SELECT * FROM public.of_others",
    "SELECT * FROM pg_authid",
    "SELECT pg_read_file('/etc/passwd')",
    "COPY ringfence_accounts TO '/tmp/accounts'",
    "COPY ringfence_accounts TO PROGRAM 'cat'",
    "SELECT lo_import('/etc/passwd')",
    "SELECT pg_reload_conf()",
    "SET session_replication_role = replica",
]


@pytest.mark.parametrize("statement", REFUSED)
def test_injected_statements_reach_nothing_else(migrated, statement):
    """What the application's role can do bounds what an injection can (CWE-89)."""
    with pytest.raises(psycopg.Error) as refused:
        execute(migrated, "ringfence_app", statement)
    told = (psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidSchemaName)
    assert isinstance(refused.value, told)


def test_names_mean_the_schema_of_the_guard(migrated):
    ((path,),) = execute(migrated, "ringfence_app", "SHOW search_path")
    assert path == "ringfence"
    rows = execute(migrated, "ringfence_app", "SELECT count(*) FROM ringfence_accounts")
    assert rows == [(0,)]


def test_statements_end_where_their_client_has_died(migrated):
    said = {
        name: execute(migrated, "ringfence_app", f"SHOW {name}")[0][0]
        for name in (
            "statement_timeout",
            "lock_timeout",
            "idle_in_transaction_session_timeout",
        )
    }
    assert said == {
        "statement_timeout": "5s",
        "lock_timeout": "2s",
        "idle_in_transaction_session_timeout": "10s",
    }


def test_roles_are_no_more_than_they_say(migrated):
    rows = execute(
        migrated,
        "postgres",
        "SELECT rolname, rolconnlimit, rolsuper OR rolcreaterole OR rolcreatedb OR"
        " rolreplication OR rolbypassrls, rolcanlogin,"
        " (SELECT count(*) FROM pg_auth_members WHERE roleid = oid OR member = oid)"
        f" FROM pg_roles WHERE rolname IN {ROLES} ORDER BY rolname",
    )
    assert rows == [
        ("ringfence_app", 200, False, True, 0),
        ("ringfence_owner", 4, False, True, 0),
    ]


def test_passwords_are_kept_as_salted_hashes(migrated):
    rows = execute(
        migrated,
        "postgres",
        f"SELECT rolpassword FROM pg_authid WHERE rolname IN {ROLES}",
    )
    assert len(rows) == 2
    assert all(kept.startswith("SCRAM-SHA-256$") for (kept,) in rows)


def test_it_may_be_run_again_over_tables(migrated, tmp_path):
    done = run_roles(migrated, tmp_path)
    assert done.returncode == 0, done.stderr
    assert execute(migrated, "ringfence_app", f"SELECT count(*) FROM {TABLE}")


@pytest.mark.parametrize("content", ["", None])
def test_a_role_without_a_password_is_not_made(prepared, tmp_path, content):
    """PostgreSQL would take an empty one for none."""
    done = run_roles(prepared, tmp_path, {"app": content})
    assert done.returncode == 3
    assert "a password file is empty or missing" in done.stderr


def lines(name):
    text = (DEPLOY / "postgres" / name).read_text()
    return [it.split() for it in text.splitlines() if it and not it.startswith("#")]


def test_nobody_connects_without_tls_and_password():
    """First match wins, and what no line names is refused."""
    rules = lines("pg_hba.conf")
    assert [rule[0] for rule in rules] == ["local", "hostssl", "hostnossl", "host"]
    assert rules[0] == ["local", "all", "postgres", "peer"]
    assert rules[1][-1] == "scram-sha-256"
    assert rules[1][2] == "ringfence_app,ringfence_owner"
    assert rules[2][-1] == rules[3][-1] == "reject"


def test_the_rows_of_an_application_have_a_role_of_their_own():
    """Who is granted it for an application's rows must not read the guard's tables."""
    assert APP_ROLE not in ROLES
