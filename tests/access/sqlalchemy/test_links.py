"""A label that one may read, put on an order that one may write."""

import pytest
from sqlalchemy import (
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Table,
    create_engine,
    delete,
    insert,
    select,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import StaticPool
from tests.access.row_security.shop import KEY, LOGIN, connected, run
from tests.access.sqlalchemy.conftest import ANN, BEA
from tests.access.sqlalchemy.labelled import (
    LINKS,
    Base,
    Label,
    Order,
    everybody_s,
    order_labels,
)

from ringfence import access, unscoped
from ringfence.access.ownership.rules import declared_rows
from ringfence.access.row_security.context import Signer
from ringfence.access.row_security.engine import RowSecurity
from ringfence.access.row_security.functions import install_keys
from ringfence.access.row_security.policies import wall
from ringfence.access.row_security.tables import shapes_of
from ringfence.access.sqlalchemy import Database
from ringfence.access.sqlalchemy.resolve import resolved
from ringfence.errors import DeclarationError, OwnershipRefusedError


@pytest.fixture
def opened():
    engines = []

    def opened(**more):
        engine = create_engine("sqlite://", poolclass=StaticPool)
        engines.append(engine)
        Base.metadata.create_all(engine)
        database = Database(engine, Base, **more)
        with unscoped("fill the tables"), database.session() as session:
            session.add_all(everybody_s())
            session.commit()
        return database

    yield opened
    for engine in engines:
        engine.dispose()


def put(session, order, label):
    found = session.get(Order, order)
    found.labels.append(session.get(Label, label))
    session.commit()


def labels_of(session, order):
    session.expire_all()
    found = session.get(Order, order)
    return [label.id for label in found.labels]


def test_without_a_word_both_ends_have_to_be_ones_own(opened):
    with (
        access.acting_as(ANN),
        opened().session() as session,
        pytest.raises(OwnershipRefusedError),
    ):
        put(session, "order-ann", "gift")


def test_a_declared_link_takes_what_one_may_read(opened):
    database = opened(tables=LINKS)
    with access.acting_as(ANN), database.session() as session:
        put(session, "order-ann", "gift")
        assert labels_of(session, "order-ann") == ["gift"]
        gift = session.get(Label, "gift")
        gift.shared = False
        with pytest.raises(OwnershipRefusedError):
            session.commit()  # it is not hers for that
    with access.acting_as(BEA), database.session() as session:
        assert labels_of(session, "order-bea") == []
    with access.acting_as(ANN), database.session() as session:
        order = session.get(Order, "order-ann")
        order.labels.clear()
        session.commit()
        assert labels_of(session, "order-ann") == []


def by_orm(session, order, label):
    """Objects that came from somewhere: both are Bea's."""
    with unscoped("as a cache would have them"):
        found = session.get(Order, order), session.get(Label, label)
        session.expunge_all()
    session.add_all(found)
    found[0].labels.append(found[1])
    session.commit()


def by_core(session, order, label):
    session.execute(insert(order_labels).values(order_id=order, label_id=label))
    session.commit()


def by_copy(session, order, label):
    chosen = select(Order.id, Label.id).join(Label, Label.id == label)
    chosen = chosen.where(Order.id == order)
    session.execute(insert(order_labels).from_select(["order_id", "label_id"], chosen))
    session.commit()


@pytest.mark.parametrize("put", [by_orm, by_core, by_copy])
@pytest.mark.parametrize(
    ("order", "label"), [("order-bea", "gift"), ("order-ann", "late")]
)
def test_neither_anothers_order_nor_what_is_hidden(opened, put, order, label):
    database = opened(tables=LINKS)
    with access.acting_as(ANN), database.session() as session:
        try:
            put(session, order, label)
        except OwnershipRefusedError:
            assert put is not by_copy
        else:
            assert put is by_copy  # the filter has found no rows
    with unscoped("look"), database.session() as session:
        assert session.execute(select(order_labels)).all() == []


def test_links_of_others_are_not_taken_off(opened):
    database = opened(tables=LINKS)
    with access.acting_as(BEA), database.session() as session:
        put(session, "order-bea", "gift")
    with access.acting_as(ANN), database.session() as session:
        gift = session.get(Label, "gift")
        assert gift.shared
        with pytest.raises(OwnershipRefusedError):
            session.execute(
                delete(order_labels).where(order_labels.c.label_id == "gift")
            )
    with access.acting_as(BEA), database.session() as session:
        assert labels_of(session, "order-bea") == ["gift"]


def test_the_plan_says_what_is_asked(opened):
    said = {rule.table: rule.says for rule in opened(tables=LINKS).rules()}
    assert said["order_labels"] == (
        "through(order)",
        "through(order) & sees(Label)",
    )
    both = {"order_labels": access.through("order_id") | access.through("labels")}
    rules = {rule.table: rule for rule in opened(tables=both).rules()}
    assert rules["order_labels"].says[1] == "through(order_id) | through(labels)"
    read = access.rows(access.public, write=access.through("order") | access.nobody)
    rules = {rule.table: rule for rule in opened(tables={"order_labels": read}).rules()}
    assert rules["order_labels"].says == (
        "public",
        "(through(order) | nobody) & sees(Label)",
    )
    assert rules["order_labels"].is_link


def test_what_follows_from_both_ends_is_said_alike_everywhere():
    """SQLAlchemy has foreign keys in a set: workers would not agree about the plan."""
    said = {rule.table: rule.says for rule in resolved(Base.registry)}
    assert said["order_labels"][0] == "through(Label) & through(Order)"


def test_a_link_that_leads_nowhere_stops_the_start(opened):
    with pytest.raises(DeclarationError, match="is it order_id"):
        opened(tables={"order_labels": access.through("order_i")})


def test_two_keys_to_one_table_are_told_apart_by_their_columns():
    class Own(DeclarativeBase): ...

    @access.rows(access.public, write=access.owner("id"))
    class Person(Own):
        __tablename__ = "people"
        id: Mapped[str] = mapped_column(primary_key=True)

    @access.rows(access.owner("first"))
    class Place(Own):
        __tablename__ = "places"
        first: Mapped[str] = mapped_column(primary_key=True)
        second: Mapped[str] = mapped_column(primary_key=True)

    Table(
        "follows",
        Own.metadata,
        Column("who_id", ForeignKey("people.id"), primary_key=True),
        Column("whom_id", ForeignKey("people.id"), primary_key=True),
        Column("a"),
        Column("b"),
        ForeignKeyConstraint(["a", "b"], ["places.first", "places.second"]),
    )

    def follows(policy):
        *_, found = resolved(Own.registry, {"follows": declared_rows(policy)})
        return found

    found = follows(access.through("who"))
    assert found.says[1] == "through(who) & sees(Place)"
    assert "who_id = id in people" in str(found.write)
    assert "a = first and b = second in places" in str(found.write)
    with pytest.raises(DeclarationError, match="no foreign key called so"):
        follows(access.through("people"))


# Behind row-level security


@pytest.fixture(scope="module")
def walled(postgres_server):
    """The same tables on PostgreSQL: nothing but the policies in front of them."""
    declared = {name: declared_rows(policy) for name, policy in LINKS.items()}
    rules = resolved(Base.registry, declared)
    with postgres_server.database() as database:
        admin = create_engine(database.url("psycopg"))
        Base.metadata.create_all(admin)
        run(
            admin,
            *wall(rules, shapes_of(Base.metadata.tables.values())).up(),
            *install_keys([KEY]),
            f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = "
            f"'{LOGIN}') THEN CREATE ROLE {LOGIN} LOGIN; END IF; END $$",
            f"GRANT ringfence_rows TO {LOGIN}",
            "INSERT INTO orders VALUES ('order-ann', 'ann'), ('order-bea', 'bea')",
            "INSERT INTO labels VALUES (true, 'gift', 'bea'), (false, 'late', 'bea')",
            "INSERT INTO order_labels VALUES ('order-bea', 'gift')",
        )
        url = database.url("psycopg").replace("postgres@", f"{LOGIN}@")
        engine = create_engine(url)
        RowSecurity(engine, Signer(lambda: KEY, rules, {})).attach()
        yield engine
        engine.dispose()
        admin.dispose()


ADDED = "INSERT INTO order_labels VALUES ('{}', '{}')"


def test_the_policies_say_the_same(walled):
    """One's own order and a label that is shown: put on, seen and taken off again."""
    with connected(walled, ANN) as connection:
        connection.exec_driver_sql(ADDED.format("order-ann", "gift"))
        links = connection.exec_driver_sql("SELECT * FROM order_labels").all()
        assert links == [("order-ann", "gift")]
        gone = connection.exec_driver_sql("DELETE FROM order_labels")
        assert gone.rowcount == 1


@pytest.mark.parametrize(
    ("order", "label"), [("order-bea", "gift"), ("order-ann", "late")]
)
def test_the_policies_refuse_the_same(walled, order, label):
    with (
        connected(walled, ANN) as connection,
        pytest.raises(DBAPIError, match="row-level security"),
    ):
        connection.exec_driver_sql(ADDED.format(order, label))
