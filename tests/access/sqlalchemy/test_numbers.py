"""Owners that are whole numbers, and principals whose ids only read like one."""

import pytest
from sqlalchemy import create_engine, insert, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import StaticPool

from ringfence import Principal, access
from ringfence.access.ownership.acting import acting_as
from ringfence.access.sqlalchemy import Database
from ringfence.errors import OwnershipRefusedError

SEVEN = Principal("7", tenant="3")
READ_AS_SEVEN = ("007", " 7", "7 ", "7\n", "+7", "7.0", "7e0", "0x7", "\u0667", "07")


class Base(DeclarativeBase):
    pass


@access.rows(access.owner("account"))
class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    account: Mapped[int]


@access.rows(access.tenant("firm"))
class Bill(Base):
    __tablename__ = "bills"

    id: Mapped[int] = mapped_column(primary_key=True)
    firm: Mapped[int]


@access.rows(access.owner("author"))
class Note(Base):
    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    author: Mapped[str]


ASKED = (
    "SELECT id FROM orders WHERE account = :me",
    "SELECT id FROM orders WHERE account IN (:me)",
    "SELECT id FROM (SELECT id, account AS whose FROM orders) AS o WHERE whose = :me",
    "INSERT INTO orders (id, account) VALUES (8, :me)",
    "UPDATE orders SET id = 9 WHERE account = :me",
    "DELETE FROM orders WHERE account = :me",
    "SELECT id FROM bills WHERE firm = :firm",
    "INSERT INTO bills (id, firm) VALUES (8, :firm)",
)


@pytest.fixture(scope="module")
def database():
    engine = create_engine(
        "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
    )
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(Order.__table__), [{"id": 1, "account": 7}])
        connection.execute(insert(Bill.__table__), [{"id": 1, "firm": 3}])
        connection.execute(
            insert(Note.__table__),
            [{"id": 1, "author": "007"}, {"id": 2, "author": "7"}],
        )
    yield Database(engine, Base)
    engine.dispose()


def asked(database, principal, statement, **bound):
    with acting_as(principal), database.session() as session:
        found = session.execute(text(statement), bound)
        return found.scalars().all() if found.returns_rows else found.rowcount


@pytest.mark.parametrize("account", READ_AS_SEVEN)
@pytest.mark.parametrize("statement", ASKED)
def test_an_id_that_reads_like_a_number_is_not_that_number(
    database, statement, account
):
    """The account 007 of another issuer would have the rows of account 7."""
    firm = account.replace("7", "3").replace("\u0667", "\u0663")
    name, value = ("me", account) if ":me" in statement else ("firm", firm)
    with pytest.raises(OwnershipRefusedError):
        asked(database, Principal(account, tenant=firm), statement, **{name: value})


@pytest.mark.parametrize("statement", ASKED)
@pytest.mark.parametrize("kind", [int, str])
def test_the_number_itself_passes_as_number_and_as_text(database, statement, kind):
    bound = {"me": kind("7")} if ":me" in statement else {"firm": kind("3")}
    assert asked(database, SEVEN, statement, **bound) in ([1], 1)


def test_in_a_column_of_text_an_id_is_what_is_written(database):
    statement = "SELECT id FROM notes WHERE author = :me"
    assert asked(database, Principal("007"), statement, me="007") == [1]
    assert asked(database, SEVEN, statement, me="7") == [2]
