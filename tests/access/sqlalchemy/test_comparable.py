"""A rule that compares a column with what it never equals stops the start-up."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from ringfence import Principal, access
from ringfence.access.sqlalchemy import Database
from ringfence.access.sqlalchemy.comparable import check_holds_ids, constant
from ringfence.errors import DeclarationError, OwnershipRefusedError


class State(Enum):
    OPEN = "o"
    DONE = "d"


class Colour(StrEnum):
    RED = "red"


class Yes(sa.TypeDecorator):
    """A flag that stands in the database as a letter."""

    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value, dialect):
        return "Y" if value else "N"


class Renamed(sa.TypeDecorator):
    """A text that converts nothing, as SQLModel's is."""

    impl = sa.String
    cache_ok = True


def values_of(enum):
    return [member.value for member in enum]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (sa.String(), 1),
        (sa.Text(), True),
        (sa.String(), State.OPEN),
        (Renamed(), 1),
        (sa.Integer(), "1"),
        (sa.Integer(), True),
        (sa.Boolean(), "true"),
        (sa.Boolean(), 2),
        (sa.Float(), "1"),
        (sa.Numeric(), True),
        (sa.Uuid(), "00000000-0000-0000-0000-000000000001"),
        (sa.Date(), "2026-01-01"),
        (sa.DateTime(), 0),
        (sa.Interval(), 3),
        (sa.LargeBinary(), "a"),
        (sa.Enum(State), "o"),
        (sa.Enum(State), 1),
        (sa.Enum("a", "b"), "c"),
    ],
)
def test_never_equal(kind, value):
    """A constant of another kind than its column's is told, with the value."""
    with pytest.raises(ValueError, match=r"enumeration|never equals") as raised:
        constant(sa.Column("x", kind), value)
    assert repr(value) in str(raised.value)
    assert "write " in str(raised.value)


@pytest.mark.parametrize(
    ("kind", "value", "held"),
    [
        (sa.String(), "a", "a"),
        (sa.String(), Colour.RED, "red"),
        (sa.Integer(), 1, 1),
        (sa.Boolean(), True, True),
        (sa.Boolean(), 1, 1),
        (mysql.TINYINT(1), True, True),
        (sa.Float(), 1, 1),
        (sa.Numeric(), Decimal(1), Decimal(1)),
        (sa.Uuid(), UUID(int=1), UUID(int=1)),
        (sa.Uuid(as_uuid=False), str(UUID(int=1)), str(UUID(int=1))),
        (sa.Date(), date(2026, 1, 1), date(2026, 1, 1)),
        (sa.Interval(), timedelta(1), timedelta(1)),
        (sa.Enum(State), State.OPEN, "OPEN"),
        (sa.Enum(State), "OPEN", "OPEN"),
        (sa.Enum(State, values_callable=values_of), State.OPEN, "o"),
        (sa.Enum(Colour), "red", "RED"),
        (sa.Enum("a", "b"), "a", "a"),
        (Yes(), True, True),
        (sa.JSON(), "a", "a"),
        (sa.types.NullType(), "a", "a"),
        (sa.DateTime(), None, None),
    ],
)
def test_may_be_equal(kind, value, held):
    """What a column can hold is taken, and members of an enumeration as they stand in
    the database."""
    assert constant(sa.Column("x", kind), value) == held


@pytest.mark.parametrize(
    ("kind", "is_fit"),
    [
        *((kind, True) for kind in (sa.String(), sa.BigInteger(), sa.Uuid(), Yes())),
        (sa.Numeric(20, 0), True),
        *((kind, False) for kind in (sa.Boolean(), sa.Float(), sa.Numeric(9, 2))),
        *((kind, False) for kind in (sa.Date(), sa.DateTime(), sa.Interval())),
    ],
)
def test_kinds_of_owners(kind, is_fit):
    """No id stands reliably in a flag, a fraction or a time."""
    column = sa.Column("owner_id", kind)
    if is_fit:
        check_holds_ids(column)
    else:
        with pytest.raises(ValueError, match="make it text, a UUID or an integer"):
            check_holds_ids(column)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (access.matching(item=1), "but item is of the type String()"),
        (access.owner("at"), "but at is of the type DateTime()"),
        (access.tenant("at"), "but at is of the type DateTime()"),
    ],
)
def test_start_stops(rule, said):
    """The message names model or table, the rule, and the column with its type."""
    for on_table in (False, True):

        class Base(DeclarativeBase):
            pass

        @access.rows(access.public if on_table else rule, write=access.nobody)
        class Order(Base):
            __tablename__ = "orders"
            id: Mapped[int] = mapped_column(primary_key=True)
            item: Mapped[str]
            at: Mapped[datetime]

        columns = sa.Column("item", sa.String), sa.Column("at", sa.DateTime)
        sa.Table("bare", Base.metadata, *columns)
        tables = {"bare": rule} if on_table else {}
        with pytest.raises(DeclarationError) as raised:
            Database(sa.create_engine("sqlite://"), Base, tables=tables)
        assert f"says {rule}, {said}" in str(raised.value)
        assert ("'bare'" if on_table else "Order") in str(raised.value)


def test_enumerations_are_compared():
    """A member and its name are one constant, in a filter, in a text and in what is
    written."""

    class Base(DeclarativeBase):
        pass

    made = {}
    for name, value in (("ones", State.OPEN), ("others", "OPEN")):
        made[name] = access.rows(
            access.owner("owner_id") & access.matching(state=value)
        )(
            type(
                name.title(),
                (Base,),
                {
                    "__tablename__": name,
                    "id": mapped_column(sa.Integer, primary_key=True),
                    "owner_id": mapped_column(sa.String),
                    "state": mapped_column(sa.Enum(State)),
                },
            )
        )
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    Base.metadata.create_all(engine)
    database = Database(engine, Base)
    for name, model in made.items():
        with access.acting_as(Principal("ann")), database.session() as session:
            session.add_all([model(state=State.OPEN), model(state="OPEN")])
            session.commit()
            assert len(session.scalars(sa.select(model)).all()) == 2
            text = f"SELECT id FROM {name} WHERE owner_id = :me AND state = 'OPEN'"
            assert len(session.execute(sa.text(text), {"me": "ann"}).all()) == 2
            session.scalars(sa.select(model)).first().state = State.DONE
            with pytest.raises(OwnershipRefusedError):
                session.flush()
