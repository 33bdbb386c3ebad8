"""Numbers and texts of a request that no column can hold."""

import psycopg
import pytest
from sqlalchemy import create_engine, select, text
from sqlalchemy.exc import DataError, DBAPIError, ProgrammingError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import StaticPool
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from ringfence import Guard, Settings, access, current
from ringfence.access.sqlalchemy import Database
from ringfence.access.sqlalchemy.unstorable import is_about_a_value


class Base(DeclarativeBase):
    pass


@access.rows(access.public, write=access.nobody)
class Product(Base):
    __tablename__ = "products"

    id: Mapped[int] = mapped_column(primary_key=True)


@access.require(access.public)
def read(request):
    found = current.blocking_database().get(Product, request.path_params["id"])
    return PlainTextResponse(str(access.found(found).id))


@access.require(access.public)
def broken(request):
    current.blocking_database().execute(select(text("nothing FROM products")))


@pytest.fixture
def client(tmp_path):
    engine = create_engine(
        "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
    )
    Base.metadata.create_all(engine)
    settings = Settings.load(
        environ={}, env="development", data=tmp_path, identity={"enabled": False}
    )
    routes = [Route("/products/{id:int}", read), Route("/broken", broken)]
    guard = Guard(Starlette(routes=routes), settings, data=Database(engine, Base))
    address, here = "http://127.0.0.1:8000", ("127.0.0.1", 50000)
    with TestClient(guard, base_url=address, client=here) as client:
        yield client


def test_a_number_without_end_is_the_senders_mistake(client, caplog):
    """As is a word where a number belongs; the developer finds the trace all the
    same."""
    answer = client.get(f"/products/{10**30}")
    assert (answer.status_code, answer.json()["code"]) == (422, "guard.invalid_input")
    assert "in read" in caplog.text
    assert client.get("/products/7").status_code == 404


def test_what_else_fails_is_a_failure(client):
    assert client.get("/broken").json()["code"] == "guard.application_error"


class Told(Exception):  # noqa: N818 - stands for what a driver raises
    """What asyncpg says, as SQLAlchemy hands it on."""

    def __init__(self, words, sqlstate):
        super().__init__(words)
        self.sqlstate = sqlstate


NUL = "PostgreSQL text fields cannot contain NUL (0x00) bytes"
FAR = "invalid input for query argument $1: 2147483648 (value out of int32 range)"
OTHER = "invalid input for query argument $1: 5 (expected str, got int)"


@pytest.mark.parametrize(
    ("kind", "told", "expected"),
    [
        (
            DataError,
            psycopg.errors.NumericValueOutOfRange("integer out of range"),
            True,
        ),
        (DataError, psycopg.DataError(NUL), True),
        (DBAPIError, Told(FAR, "22000"), True),
        (DBAPIError, Told("invalid byte sequence", "22021"), True),
        (DBAPIError, Told(OTHER, "22000"), False),
        (DataError, psycopg.errors.DivisionByZero("division by zero"), False),
        (ProgrammingError, psycopg.errors.UndefinedTable("no such table"), False),
    ],
)
def test_drivers_say_it_in_their_own_way(kind, told, expected):
    assert is_about_a_value(kind("SELECT", {}, told)) is expected


def test_other_numbers_that_are_too_large_are_failures():
    assert not is_about_a_value(OverflowError("math range error"))
    assert not is_about_a_value(None)
