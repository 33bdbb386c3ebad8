"""A shop whose rows have owners, on a real PostgreSQL that keeps them apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Engine,
    ForeignKey,
    Integer,
    MetaData,
    Table,
    Text,
    Uuid,
    create_engine,
    text,
)
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ringfence.access.ownership.acting import acting_as
from ringfence.access.ownership.conditions import (
    ALWAYS,
    All,
    Any,
    Condition,
    Has,
    Holds,
    Is,
    Linked,
    Subject,
    TableRule,
)
from ringfence.access.policy import Nobody, Role, SignedIn
from ringfence.access.roles import expand
from ringfence.access.row_security.context import Signer
from ringfence.access.row_security.engine import RowSecurity
from ringfence.access.row_security.functions import install_keys
from ringfence.access.row_security.policies import Wall, wall
from ringfence.access.row_security.tables import shapes_of
from ringfence.principal import Principal

KEY = bytes(range(32))
HIERARCHY = expand({"admin": ["operator"]})
LOGIN = "shop_login"
RAW = {"no_parameters": True}

METADATA = MetaData()
ORDERS = Table(
    "orders",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("owner_id", Text, nullable=False),
    Column("tenant_id", Text),
    Column("note", Text, unique=True),
)
LINES = Table(
    "order_lines",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("order_id", ForeignKey("orders.id", ondelete="CASCADE"), nullable=False),
    Column("what", Text),
)
TAGS = Table(
    "tags",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", Text),
)
ORDER_TAGS = Table(
    "order_tags",
    METADATA,
    Column("order_id", ForeignKey("orders.id"), primary_key=True),
    Column("tag_id", ForeignKey("tags.id"), primary_key=True),
)
REVIEWS = Table(
    "reviews",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("author_id", Text),
    Column("published", Boolean),
)
PROJECTS = Table(
    "projects", METADATA, Column("id", Integer, primary_key=True), Column("name", Text)
)
MEMBERS = Table(
    "members",
    METADATA,
    Column("project_id", ForeignKey("projects.id"), primary_key=True),
    Column("account_id", Text, primary_key=True),
)
FOLDERS = Table(
    "folders",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("parent_id", ForeignKey("folders.id")),
    Column("account_id", Text),
)
KEYCARDS = Table(
    "keycards",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("holder", Uuid),
    Column("badge", Integer),
)

MINE = Is("owner_id", Subject.ID)
OF_OPERATOR = All(
    (Holds(Role(frozenset({"operator"}))), Is("tenant_id", Subject.TENANT))
)
OF_ORDER = Any((MINE, OF_OPERATOR))
THROUGH_ORDER = Linked("orders", (("order_id", "id"),), OF_ORDER)
OF_MEMBER = Linked("members", (("id", "project_id"),), Is("account_id", Subject.ID))
OF_PROJECT = Linked("projects", (("project_id", "id"),), OF_MEMBER)
OF_FOLDER = Any(
    (
        Is("account_id", Subject.ID),
        Linked("folders", (("parent_id", "id"),), Is("account_id", Subject.ID)),
    )
)
OF_HOLDER = Any((Is("holder", Subject.ID), Is("badge", Subject.ID)))
OF_REVIEW = Any((Has("published", value=True), Is("author_id", Subject.ID)))


def rule(table: str, read: Condition, write: Condition | None = None) -> TableRule:
    return TableRule(table, table, read, read if write is None else write, ("", ""))


RULES = (
    rule("orders", OF_ORDER),
    rule("order_lines", THROUGH_ORDER),
    rule("tags", ALWAYS, Holds(Nobody())),
    rule("order_tags", THROUGH_ORDER),
    rule("reviews", OF_REVIEW, All((Is("author_id", Subject.ID), Holds(SignedIn())))),
    rule("projects", OF_MEMBER),
    rule("members", OF_PROJECT),
    rule("folders", OF_FOLDER),
    rule("keycards", OF_HOLDER),
)
ALICE = Principal("alice", tenant="north")
MALLORY = Principal("mallory", tenant="south")
OPERATOR = Principal("olga", frozenset({"admin"}), tenant="north")
HOLDER = Principal("6d3f1a52-8b1e-4a52-9f0c-0d3d3a4f1b11")
BADGE = Principal("4711")

ROWS = """
INSERT INTO orders VALUES (1, 'alice', 'north', 'a'), (2, 'mallory', 'south', 'm'),
  (3, 'zoe', 'north', 'z');
INSERT INTO order_lines VALUES (1, 1, 'book'), (2, 2, 'knife');
INSERT INTO tags VALUES (1, 'gift');
INSERT INTO order_tags VALUES (1, 1), (2, 1);
INSERT INTO reviews VALUES (1, 'alice', false), (2, 'mallory', false),
  (3, 'zoe', true);
INSERT INTO projects VALUES (1, 'ours'), (2, 'theirs');
INSERT INTO members VALUES (1, 'alice'), (1, 'zoe'), (2, 'mallory');
INSERT INTO folders VALUES (1, NULL, 'alice'), (2, 1, NULL), (3, NULL, 'mallory');
INSERT INTO keycards VALUES (1, '6d3f1a52-8b1e-4a52-9f0c-0d3d3a4f1b11', NULL),
  (2, NULL, 4711), (3, NULL, NULL);
SELECT setval(pg_get_serial_sequence('orders', 'id'), 100);
SELECT setval(pg_get_serial_sequence('order_lines', 'id'), 100);
SELECT setval(pg_get_serial_sequence('reviews', 'id'), 100);
SELECT setval(pg_get_serial_sequence('folders', 'id'), 100);
"""


def the_wall() -> Wall:
    return wall(RULES, shapes_of(METADATA.tables.values()))


def signer(**more) -> Signer:
    return Signer(lambda: KEY, RULES, HIERARCHY, **more)


def run(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement, execution_options=RAW)


@dataclass(frozen=True)
class Shop:
    """A database behind the second wall alone.

    Args:
        admin: the engine of a superuser.
        engine: of the application's role; nothing but the context is attached to it.
    """

    database: object
    admin: Engine
    engine: Engine

    def url(self, driver: str = "psycopg", login: str = LOGIN) -> str:
        return self.database.url(driver).replace("postgres@", f"{login}@")

    @contextmanager
    def another(self, *, pooled: bool = False, sign=None, **more) -> Iterator[Engine]:
        engine = create_engine(self.url(), **more)
        RowSecurity(engine, sign or signer(), pooled=pooled).attach()
        try:
            yield engine
        finally:
            engine.dispose()

    def asynchronous(self, driver: str, **more) -> AsyncEngine:
        engine = create_async_engine(self.url(driver), **more)
        RowSecurity(engine, signer()).attach()
        return engine

    def everything(self) -> dict[str, list[tuple]]:
        """Return all rows, as a superuser sees them."""
        with self.admin.connect() as connection:
            return {
                table.name: sorted(
                    map(tuple, connection.execute(table.select())), key=repr
                )
                for table in METADATA.sorted_tables
            }

    def restore(self) -> None:
        names = ", ".join(METADATA.tables)
        run(self.admin, f"TRUNCATE {names}", *filter(str.strip, ROWS.split(";\n")))


@contextmanager
def open_shop(database) -> Iterator[Shop]:
    admin = create_engine(database.url("psycopg"))
    METADATA.create_all(admin)
    run(admin, *the_wall().up(), *install_keys([KEY]))
    run(
        admin,
        f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{LOGIN}') "
        f"THEN CREATE ROLE {LOGIN} LOGIN; END IF; END $$",
        f"GRANT ringfence_rows TO {LOGIN}",
    )
    engine = create_engine(
        database.url("psycopg").replace("postgres@", f"{LOGIN}@"), pool_size=2
    )
    RowSecurity(engine, signer()).attach()
    shop = Shop(database, admin, engine)
    shop.restore()
    try:
        yield shop
    finally:
        engine.dispose()
        admin.dispose()


@contextmanager
def connected(engine: Engine, who: Principal | None) -> Iterator[Connection]:
    if who is None:
        with engine.connect() as connection:
            yield connection
        return
    with acting_as(who), engine.connect() as connection:
        yield connection


def seen(engine: Engine, who: Principal | None, statement: str) -> list:
    with connected(engine, who) as connection:
        return sorted(connection.scalars(text(statement)).all())
