"""The second wall alone: no filter, no session of ours, nothing but the policies."""

import psycopg
import pytest
from sqlalchemy import create_engine, delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, registry
from tests.access.row_security.shop import (
    ALICE,
    BADGE,
    HIERARCHY,
    HOLDER,
    KEY,
    LOGIN,
    MALLORY,
    METADATA,
    OPERATOR,
    ORDER_TAGS,
    ORDERS,
    RULES,
    connected,
    rule,
    run,
    seen,
    the_wall,
)

from ringfence.access.ownership.acting import acting_as
from ringfence.access.ownership.conditions import (
    ALWAYS,
    NEVER,
    All,
    Any,
    Condition,
    Has,
    Holds,
    Is,
    Linked,
    Subject,
)
from ringfence.access.ownership.escape import unscoped
from ringfence.access.policy import AnyScope, Factor, Fresh, Public, Scope
from ringfence.access.row_security.context import Signer
from ringfence.access.row_security.expressions import implies
from ringfence.access.row_security.functions import install_keys
from ringfence.access.row_security.policies import wall
from ringfence.access.row_security.shapes import Shape
from ringfence.access.row_security.tables import shapes_of
from ringfence.errors import DeclarationError
from ringfence.principal import Principal

SHAPES = shapes_of(METADATA.tables.values())

# What each sees: table, then for alice, mallory, the operator and nobody.
SEEN = {
    "orders": ([1], [2], [1, 3], []),
    "order_lines": ([1], [2], [1], []),
    "tags": ([1], [1], [1], [1]),
    "reviews": ([1, 3], [2, 3], [3], [3]),
    "projects": ([1], [2], [], []),
    "folders": ([1, 2], [3], [], []),
    "keycards": ([], [], [], []),
}


class Order:
    pass


registry().map_imperatively(Order, ORDERS)


@pytest.mark.parametrize("table", SEEN)
def test_rows_are_their_owners(shop, table):
    """Each sees their own rows, an operator the tenant's, and nobody nothing."""
    for who, ids in zip((ALICE, MALLORY, OPERATOR, None), SEEN[table], strict=True):
        assert seen(shop.engine, who, f"SELECT id FROM {table}") == ids, who


def test_link_tables_and_circles(shop):
    """Tables that only link, and rules that lead from one to another and back."""
    tagged = "SELECT order_id FROM order_tags"
    assert seen(shop.engine, ALICE, tagged) == [1]
    assert seen(shop.engine, None, tagged) == []
    members = "SELECT account_id FROM members"
    assert seen(shop.engine, ALICE, members) == ["alice", "zoe"]
    assert seen(shop.engine, MALLORY, members) == ["mallory"]
    assert seen(shop.engine, None, members) == []


def test_columns_of_other_types(shop):
    """A UUID and a number are compared as such; what is neither owns nothing."""
    assert seen(shop.engine, HOLDER, "SELECT id FROM keycards") == [1]
    assert seen(shop.engine, BADGE, "SELECT id FROM keycards") == [2]
    for name in ("", "' OR true --", "99999999999999999999", "6d3f1a52-8b1e-4a52"):
        assert seen(shop.engine, Principal(name), "SELECT id FROM keycards") == []


def copied(cursor):
    with cursor.copy("COPY orders (id) TO STDOUT") as rows:
        return [int(bytes(row)) for row in rows]


READS = {
    "core": lambda c: c.scalars(select(ORDERS.c.id)).all(),
    "text": lambda c: c.scalars(text("SELECT id FROM orders WHERE true OR true")).all(),
    "driver": lambda c: c.exec_driver_sql("TABLE orders").scalars().all(),
    "with": lambda c: c.scalars(
        text("WITH x AS MATERIALIZED (SELECT id FROM orders) SELECT id FROM x")
    ).all(),
    "union": lambda c: c.scalars(
        text("SELECT id FROM orders WHERE false UNION SELECT id FROM orders")
    ).all(),
    "join": lambda c: c.scalars(
        text("SELECT o.id FROM tags RIGHT JOIN orders AS o ON true")
    ).all(),
    "subquery": lambda c: c.scalars(
        text("SELECT unnest((SELECT array_agg(id) FROM orders))")
    ).all(),
    "lock": lambda c: c.scalars(text("SELECT id FROM orders FOR UPDATE")).all(),
    "cursor": lambda c: (
        c.execute(text("DECLARE x CURSOR FOR SELECT id FROM orders"))
        and c.execute(text("FETCH ALL FROM x")).scalars().all()
    ),
    "copy": lambda c: copied(c.connection.cursor()),
    "session": lambda c: [one.id for one in Session(c).scalars(select(Order))],
    "identity map": lambda c: [
        one.id for one in [Session(c).get(Order, 1), Session(c).get(Order, 2)] if one
    ],
}


@pytest.mark.parametrize("way", READS)
def test_no_way_to_read_anothers(shop, way):
    """Whatever the statement, it sees what the principal may see."""
    for who, ids in ((ALICE, [1]), (MALLORY, [2]), (None, [])):
        with connected(shop.engine, who) as connection:
            assert list(READS[way](connection)) == ids


# Statements of mallory's; they change nothing, or are refused.
WRITES = {
    "update": "UPDATE orders SET note = 'stolen'||id WHERE id <> 2",
    "update by core": update(ORDERS).where(ORDERS.c.id == 1).values(note="stolen"),
    "take over": "UPDATE orders SET owner_id = 'mallory' WHERE id <> 2",
    "delete": "DELETE FROM orders WHERE id <> 2",
    "delete by core": delete(ORDERS).where(ORDERS.c.id == 1),
    "delete using": "DELETE FROM order_lines USING tags WHERE order_lines.id = 1",
    "lines": "UPDATE order_lines SET what = 'x' WHERE id = 1",
    "tags": "UPDATE tags SET name = 'x'",
    "link": "DELETE FROM order_tags WHERE order_id = 1",
    "members": "DELETE FROM members WHERE project_id = 1",
    "with": "WITH x AS (DELETE FROM orders WHERE id = 1 RETURNING *) SELECT * FROM x",
    "merge": "MERGE INTO orders AS o USING tags AS t ON o.id = t.id "
    "WHEN MATCHED THEN DELETE",
}
REFUSED = {
    "give away": "UPDATE orders SET owner_id = 'alice' WHERE id = 2",
    "insert": insert(ORDERS).values(owner_id="alice", note="planted"),
    "insert from select": "INSERT INTO orders (owner_id, note) "
    "SELECT 'alice', 'p' FROM tags",
    "insert of nobody's": "INSERT INTO orders (owner_id, note) VALUES ('', 'x')",
    "line of another": "INSERT INTO order_lines (order_id, what) VALUES (1, 'x')",
    "move a line": "UPDATE order_lines SET order_id = 1 WHERE id = 2",
    "link": insert(ORDER_TAGS).values(order_id=1, tag_id=2),
    "join in": "INSERT INTO members VALUES (1, 'mallory')",
    "upsert": "INSERT INTO orders (id, owner_id) VALUES (1, 'mallory') "
    "ON CONFLICT (id) DO UPDATE SET owner_id = 'mallory'",
    "tags": "INSERT INTO tags (name) VALUES ('x')",
    "merge": "MERGE INTO orders AS o USING tags AS t ON false "
    "WHEN NOT MATCHED THEN INSERT (owner_id) VALUES ('alice')",
    "write for another": "INSERT INTO reviews (author_id) VALUES ('alice')",
    "truncate": "TRUNCATE orders CASCADE",
    "switch off": "ALTER TABLE orders DISABLE ROW LEVEL SECURITY",
    "widen": "CREATE POLICY mine ON orders USING (true)",
    "become": "SET LOCAL ROLE postgres",
    "become the reader": "SET LOCAL ROLE ringfence_reader",
    "read the key": "SELECT ipad FROM ringfence.signing_keys",
    "plant a key": "INSERT INTO ringfence.signing_keys VALUES ('x', '', '')",
    "make a function": "CREATE FUNCTION public.f() RETURNS int RETURN 1",
    "copy": "COPY orders FROM '/etc/passwd'",
}


@pytest.mark.parametrize("way", WRITES)
def test_no_way_to_change_anothers(shop, way):
    """What another owns stays as it is."""
    before = shop.everything()
    statement = WRITES[way]
    with acting_as(MALLORY), shop.engine.begin() as connection:
        connection.execute(text(statement) if isinstance(statement, str) else statement)
    assert shop.everything() == before


@pytest.mark.parametrize("way", REFUSED)
def test_no_way_to_plant_rows_and_rights(shop, way):
    """What would end up as another's, or lift the wall, is refused aloud."""
    before = shop.everything()
    statement = REFUSED[way]
    with (
        acting_as(MALLORY),
        pytest.raises(DBAPIError),
        shop.engine.begin() as connection,
    ):
        connection.execute(text(statement) if isinstance(statement, str) else statement)
    assert shop.everything() == before


def test_owners_work_as_before(restored):
    """Owners add, change and remove their own, and what hangs on it goes along."""
    with acting_as(ALICE), restored.engine.begin() as connection:
        made = connection.scalar(
            insert(ORDERS).values(owner_id="alice", note="new").returning(ORDERS.c.id)
        )
        connection.execute(update(ORDERS).values(note=ORDERS.c.note + "!"))
        line = text("INSERT INTO order_lines (order_id) VALUES (:made) RETURNING id")
        assert connection.scalar(line, {"made": made}) > 100
        connection.execute(insert(ORDER_TAGS).values(order_id=made, tag_id=1))
        connection.execute(delete(ORDER_TAGS).where(ORDER_TAGS.c.order_id == made))
        connection.execute(delete(ORDERS).where(ORDERS.c.id == made))
        connection.execute(text("INSERT INTO reviews (author_id) VALUES ('alice')"))
        connection.execute(text("INSERT INTO folders (account_id) VALUES ('alice')"))
        connection.execute(text("INSERT INTO members VALUES (1, 'bob')"))
    rows = restored.everything()
    assert [row[3] for row in rows["orders"]] == ["a!", "m", "z"]
    assert [row[0] for row in rows["order_lines"]] == [1, 2]


def test_operator_works_for_the_tenant(restored):
    """A role that includes the one of the rule is as good."""
    with acting_as(OPERATOR), restored.engine.begin() as connection:
        changed = connection.execute(update(ORDERS).values(note=ORDERS.c.note + "!"))
        assert changed.rowcount == 2


def test_views_and_functions_see_no_more(shop):
    """A view works with its owner's rights, whom FORCE binds too."""
    run(
        shop.admin,
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'shop_owner') "
        "THEN CREATE ROLE shop_owner; END IF; END $$",
        "ALTER TABLE orders OWNER TO shop_owner",
        "CREATE VIEW seen_orders AS SELECT * FROM orders",
        "ALTER VIEW seen_orders OWNER TO shop_owner",
        f"GRANT SELECT ON seen_orders TO {LOGIN}",
        "CREATE FUNCTION all_orders() RETURNS SETOF orders LANGUAGE sql "
        "SECURITY DEFINER AS 'SELECT * FROM public.orders'",
        "ALTER FUNCTION all_orders() OWNER TO shop_owner",
    )
    try:
        for way in ("seen_orders", "all_orders()"):
            assert seen(shop.engine, ALICE, f"SELECT id FROM {way}") == [1]
            assert seen(shop.engine, None, f"SELECT id FROM {way}") == []
    finally:
        run(
            shop.admin,
            "DROP FUNCTION all_orders()",
            "DROP VIEW seen_orders",
            "ALTER TABLE orders OWNER TO postgres",
            "DROP ROLE shop_owner",
        )


def test_escape_sees_all(shop):
    """``unscoped`` is signed as such, and ends with its block."""
    with acting_as(ALICE), shop.engine.connect() as connection:
        with unscoped("nightly report"):
            assert len(connection.execute(select(ORDERS)).all()) == 3
        assert len(connection.execute(select(ORDERS)).all()) == 1


def test_scopes_and_factors(postgres_server):
    """Rules by scope and by factor hold as they do in the application."""
    named = ("scoped", "shown", "anyone", "closed", "in")
    shapes = {name: Shape("public", name, {"id": "INTEGER"}) for name in named}
    rules = (
        rule("scoped", Holds(Scope(frozenset({"read"})))),
        rule("shown", Holds(Factor(frozenset({"totp"})) & AnyScope())),
        rule("anyone", Holds(Public())),
        rule("closed", NEVER),
        rule("in", Holds(AnyScope() | Factor(frozenset({"totp"})))),
    )
    session = Principal("a")
    key = Principal("a", scopes=frozenset({"read"}), factors=frozenset({"totp"}))
    other = Principal("a", scopes=frozenset({"*", "write"}))
    sign = Signer(lambda: KEY, rules, HIERARCHY)
    with (
        postgres_server.database() as database,
        psycopg.connect(database.dsn) as admin,
    ):
        for name in named:
            admin.execute(f'CREATE TABLE "{name}" (id integer)')
            admin.execute(f'INSERT INTO "{name}" VALUES (1)')
        for statement in (*wall(rules, shapes).up(), *install_keys([KEY])):
            admin.execute(statement)
        admin.execute("SET ROLE ringfence_rows")
        process = admin.info.backend_pid
        found = {}
        for who in (session, key, other, None):
            admin.execute(
                "SELECT set_config('ringfence.principal', %s, true)",
                (sign(who, process),),
            )
            found[who] = [
                name
                for name in named
                if admin.execute(f'SELECT FROM "{name}"').fetchall()
            ]
        admin.rollback()
    assert found == {
        session: ["scoped", "anyone", "in"],
        key: ["scoped", "shown", "anyone", "in"],
        other: ["anyone", "in"],
        None: ["anyone"],
    }


def test_again_and_away(postgres_server):
    """Run again, the migration leaves the same; taken back, nothing of it."""
    state = (
        "SELECT array_agg(x ORDER BY x) FROM (SELECT concat_ws('|', polname, "
        "polrelid::regclass, obj_description(oid, 'pg_policy')) AS x FROM pg_policy "
        "UNION ALL SELECT concat_ws('|', proname, proowner, proacl::text, prosrc) "
        "FROM pg_proc WHERE pronamespace = 'ringfence'::regnamespace UNION ALL "
        "SELECT concat_ws('|', relname, relacl::text, relrowsecurity, "
        "relforcerowsecurity) FROM pg_class WHERE relnamespace = "
        "'public'::regnamespace AND relkind IN ('r', 'S')) AS s"
    )
    left = (
        "SELECT count(*) FROM pg_class WHERE relrowsecurity OR relforcerowsecurity "
        "OR relacl::text LIKE '%ringfence%'"
    )
    with postgres_server.database() as database:
        admin = create_engine(database.url("psycopg"))
        METADATA.create_all(admin)
        states = []
        for _ in range(2):
            run(admin, *the_wall().up())
            with admin.connect() as connection:
                states.append(connection.scalar(text(state)))
        assert states[0] == states[1]
        run(admin, *the_wall().down())
        with admin.connect() as connection:
            assert connection.scalar(text(left)) == 0
            gone = text("SELECT to_regnamespace('ringfence') IS NULL")
            assert connection.scalar(gone)
            assert connection.scalar(text("SELECT count(*) FROM pg_policy")) == 0
        admin.dispose()


def test_strange_names(postgres_server):
    """Names and values with quotes, backslashes and dollars stay names and values."""
    name = """a"b'c\\d$$;-- é"""
    shapes = {name: Shape(name, name, {name: "TEXT", "state": "TEXT"})}
    rules = (rule(name, All((Is(name, Subject.ID), Has("state", "x'y\\z")))),)
    quoted = '"' + name.replace('"', '""') + '"'
    with (
        postgres_server.database() as database,
        psycopg.connect(database.dsn) as admin,
    ):
        admin.execute(f"CREATE SCHEMA {quoted}")
        table = f"{quoted}.{quoted}"
        admin.execute(f"CREATE TABLE {table} ({quoted} text, state text)")
        for statement in wall(rules, shapes, role=name).up():
            admin.execute(statement)
        rows = admin.execute("SELECT tablename FROM pg_policies").fetchall()
        assert {row[0] for row in rows} == {name}
        admin.rollback()


class Unknown(Condition):
    pass


@pytest.mark.parametrize(
    ("rules", "shapes", "said"),
    [
        ([rule("lost", ALWAYS), rule("lost2", ALWAYS)], {}, "lost"),
        ([rule("tags", Is("nothing", Subject.ID))], SHAPES, "no column 'nothing'"),
        ([rule("reviews", Is("published", Subject.ID))], SHAPES, "of type BOOLEAN"),
        ([rule("tags", Unknown())], SHAPES, "no policy of PostgreSQL can say"),
        ([rule("tags", Holds(Fresh(1)))], SHAPES, "no policy of PostgreSQL can say"),
        ([rule("tags", Has("name", "\0"))], SHAPES, "no text"),
        ([rule("tags", Has("name", "$ringfence$"))], SHAPES, ""),
        ([rule("", ALWAYS)], {"": Shape("public", "", {})}, "is no name"),
    ],
)
def test_rules_that_no_policy_can_say(rules, shapes, said):
    """They are refused when the wall is made, with what is wrong."""
    if not said:
        assert wall(rules, shapes)
        return
    with pytest.raises(DeclarationError, match=said):
        wall(rules, shapes).up()


def test_what_implies_what():
    """A policy asks a table directly only where its rule changes nothing."""
    mine, tenant = Is("a", Subject.ID), Is("b", Subject.TENANT)
    either, both = Any((mine, tenant)), All((mine, tenant))
    linked = Linked("t", (("x", "y"),), mine)
    assert implies(mine, either)
    assert implies(both, mine)
    assert implies(either, Any((mine, tenant, Has("c", 1))))
    assert implies(All((mine, Has("c", None))), either)
    assert implies(NEVER, mine)
    assert implies(both, All((tenant, mine)))
    assert implies(linked, Linked("t", (("x", "y"),), either))
    assert not implies(either, mine)
    assert not implies(mine, both)
    assert not implies(linked, Linked("t", (("x", "z"),), mine))
    assert not implies(linked, mine)


def test_one_question_a_statement(shop):
    """The signature is verified once a statement and not once a row."""
    with connected(shop.engine, ALICE) as connection:
        plan = connection.execute(text("EXPLAIN SELECT * FROM orders")).scalars().all()
    assert any("InitPlan" in line for line in plan)
    assert not any("SubPlan" in line for line in plan)


def test_rules_name_all_tables():
    """The tests above leave no table out."""
    assert {one.table for one in RULES} == set(METADATA.tables)
