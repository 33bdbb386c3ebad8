"""What a live database says of the second wall."""

import time
from contextlib import contextmanager

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine
from tests.access.row_security.shop import (
    HIERARCHY,
    KEY,
    LOGIN,
    METADATA,
    RULES,
    open_shop,
    run,
)

from ringfence.access.row_security.second_wall import SecondWall
from ringfence.check.row_security import find_open_rows, findings, second_walls
from ringfence.errors import DeclarationError, SettingsError


@pytest.fixture(scope="module")
def shop(postgres_server):
    with postgres_server.database() as database, open_shop(database) as shop:
        run(
            shop.admin,
            f'REVOKE TEMPORARY ON DATABASE "{database.name}" FROM PUBLIC',
        )
        yield shop


@contextmanager
def wall_of(shop, *, login=LOGIN, make=create_engine, driver="psycopg"):
    engine = make(shop.url(driver, login))
    wall = SecondWall(engine, RULES, METADATA.tables.values())
    wall.key = lambda: KEY
    wall.attach(HIERARCHY)
    yield wall
    if make is create_engine:
        engine.dispose()


def found(shop, *, login=LOGIN, keys=(KEY,)):
    with wall_of(shop, login=login) as wall:
        return {(one.code, one.where) for one in find_open_rows([wall], keys)}


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_a_wall_that_stands(shop, driver):
    """Nothing is found, with sync and async engines."""
    assert found(shop) == set()
    with wall_of(shop, make=create_async_engine, driver=driver) as wall:
        assert find_open_rows([wall], [KEY]) == []


def test_superusers(shop):
    """No policy counts for a superuser, who owns the tables besides."""
    codes = {code for code, _ in found(shop, login="postgres")}
    assert "access.rls_superuser" in codes
    assert "access.rls_bypass" in codes
    assert "access.rls_owner" in codes


# What an administrator may have done, how it is taken back, and what is found.
MISTAKES = {
    "bypass": (
        f"ALTER ROLE {LOGIN} BYPASSRLS",
        f"ALTER ROLE {LOGIN} NOBYPASSRLS",
        ("access.rls_bypass", f"role {LOGIN}"),
    ),
    "becomes": (
        f"GRANT ringfence_reader TO {LOGIN}",
        f"REVOKE ringfence_reader FROM {LOGIN}",
        ("access.rls_becomes", f"role {LOGIN}"),
    ),
    "owner without force": (
        f"ALTER TABLE tags NO FORCE ROW LEVEL SECURITY, OWNER TO {LOGIN}",
        "ALTER TABLE tags FORCE ROW LEVEL SECURITY, OWNER TO postgres",
        ("access.rls_no_force", "table tags"),
    ),
    "owner": (
        f"ALTER TABLE tags OWNER TO {LOGIN}",
        "ALTER TABLE tags OWNER TO postgres",
        ("access.rls_owner", "table tags"),
    ),
    "off": (
        "ALTER TABLE tags DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE tags ENABLE ROW LEVEL SECURITY",
        ("access.rls_off", "table tags"),
    ),
    "altered": (
        "ALTER POLICY ringfence_delete ON tags USING (true)",
        None,
        ("access.rls_policy", "table tags"),
    ),
    "dropped": (
        "DROP POLICY ringfence_delete ON tags",
        None,
        ("access.rls_policy", "table tags"),
    ),
    "widened": (
        "CREATE POLICY support ON tags USING (true)",
        "DROP POLICY support ON tags",
        ("access.rls_widened", "table tags"),
    ),
    "public": (
        "GRANT SELECT ON tags TO PUBLIC",
        "REVOKE SELECT ON tags FROM PUBLIC",
        ("access.rls_public", "table tags"),
    ),
    "rights": (
        f"GRANT TRUNCATE ON tags TO {LOGIN}",
        f"REVOKE TRUNCATE ON tags FROM {LOGIN}",
        ("access.rls_rights", "table tags"),
    ),
    "create": (
        "GRANT CREATE ON SCHEMA public TO PUBLIC",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        ("access.rls_create", "schema public"),
    ),
    "view": (
        f"CREATE VIEW seen AS SELECT * FROM tags; GRANT SELECT ON seen TO {LOGIN}",
        "DROP VIEW seen",
        ("access.rls_view", "public.seen"),
    ),
    "copy": (
        f"CREATE MATERIALIZED VIEW kept AS TABLE tags; GRANT SELECT ON kept TO {LOGIN}",
        "DROP MATERIALIZED VIEW kept",
        ("access.rls_view", "public.kept"),
    ),
    "gone": (
        "ALTER TABLE tags RENAME TO other",
        "ALTER TABLE other RENAME TO tags",
        ("access.rls_no_table", "table tags"),
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_found(shop, mistake):
    """Each is found, and gone once it is mended."""
    done, undone, finding = MISTAKES[mistake]
    with wall_of(shop) as wall:
        again = wall.wall.up()
    run(shop.admin, done)
    try:
        assert finding in found(shop)
    finally:
        run(shop.admin, *([undone] if undone else again))
    assert found(shop) == set()


def test_views_with_the_callers_rights(shop):
    """They are under the policies, and not found."""
    run(
        shop.admin,
        "CREATE VIEW seen WITH (security_invoker = true) AS SELECT * FROM tags",
        f"GRANT SELECT ON seen TO {LOGIN}",
    )
    try:
        assert found(shop) == set()
    finally:
        run(shop.admin, "DROP VIEW seen")


def test_temporary_tables(shop):
    """They hide the application's own."""
    name = shop.database.name
    run(shop.admin, f'GRANT TEMPORARY ON DATABASE "{name}" TO PUBLIC')
    try:
        assert found(shop) == {("access.rls_temporary", f"role {LOGIN}")}
    finally:
        run(shop.admin, f'REVOKE TEMPORARY ON DATABASE "{name}" FROM PUBLIC')


def test_keys(shop):
    """A key that the database does not know shows nobody anything."""
    missing = ("access.rls_key", "ringfence.signing_keys")
    assert found(shop, keys=[KEY, b"n" * 32]) == {missing}
    assert found(shop, keys=()) == set()


@pytest.mark.anyio
async def test_clocks(shop):
    """Clocks that differ are found before they shut everybody out."""
    with wall_of(shop) as wall:
        standing = await wall.standing(clock=lambda: time.time() - 60)
    assert [one.code for one in findings(standing)] == ["access.rls_clock"]


def test_a_database_without_the_migration(postgres_server):
    """Everything is missing, and said."""
    with postgres_server.database() as database:
        engine = create_engine(database.url("psycopg"))
        METADATA.create_all(engine)
        wall = SecondWall(engine, RULES, METADATA.tables.values())
        wall.attach(HIERARCHY)
        codes = {one.code for one in find_open_rows([wall], [KEY])}
        engine.dispose()
    assert {"access.rls_off", "access.rls_policy", "access.rls_key"} <= codes


def test_a_database_that_is_away(tmp_path):
    """It is a finding that nobody knows."""
    engine = create_engine(f"postgresql+psycopg://x@/x?host={tmp_path}")
    wall = SecondWall(engine, RULES, METADATA.tables.values())
    (one,) = find_open_rows([wall])
    assert one.code == "access.rls_unknown"
    assert find_open_rows([]) == []


def test_other_databases(shop):
    """SQLite has no second wall, and whoever asks for one is told so."""
    with pytest.raises(DeclarationError, match="sqlite has none"):
        SecondWall(create_engine("sqlite://"), RULES, METADATA.tables.values())
    assert second_walls([object()]) == []


def test_nobody_gave_a_key(shop):
    """Whoever has no key is told where it comes from."""
    engine = create_engine(shop.url())
    wall = SecondWall(engine, RULES, METADATA.tables.values())
    with pytest.raises(SettingsError, match="sign_with"):
        wall.key()
    engine.dispose()
