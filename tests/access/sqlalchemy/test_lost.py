"""Rows that are given away, or removed, while a request holds them."""

import pytest
from sqlalchemy import create_engine, insert, text
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import StaticPool
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from ringfence import Guard, Settings, access, current, unscoped
from ringfence.access.sqlalchemy import Database
from ringfence.access.sqlalchemy.lost import is_about_a_lost_row


class Base(DeclarativeBase):
    pass


@access.rows(access.matching(shown=True), write=access.nobody)
class Note(Base):
    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    shown: Mapped[bool]


def _hide(session):
    with unscoped("somebody else, at the same time"):
        session.execute(text("UPDATE notes SET shown = 0"))


@access.require(access.public)
def read_again(request):
    session = current.blocking_database()
    note = access.found(session.get(Note, request.path_params["id"]))
    _hide(session)
    session.expire(note)
    return PlainTextResponse(str(note.id))


@access.require(access.public)
def refresh(request):
    session = current.blocking_database()
    note = access.found(session.get(Note, request.path_params["id"]))
    _hide(session)
    session.refresh(note)
    return PlainTextResponse("shown")


@pytest.fixture
def client(tmp_path):
    engine = create_engine(
        "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
    )
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(Note.__table__), [{"id": 7, "shown": True}])
    settings = Settings.load(
        environ={}, env="development", data=tmp_path, identity={"enabled": False}
    )
    routes = [Route("/again/{id:int}", read_again), Route("/refresh/{id:int}", refresh)]
    guard = Guard(Starlette(routes=routes), settings, data=Database(engine, Base))
    address, here = "http://127.0.0.1:8000", ("127.0.0.1", 50000)
    with TestClient(guard, base_url=address, client=here) as client:
        yield client


@pytest.mark.parametrize("way", ["again", "refresh"])
def test_a_row_that_went_away_answers_as_one_that_never_was(client, way, caplog):
    gone = client.get(f"/{way}/7")
    missing = client.get(f"/{way}/8")
    assert (gone.status_code, gone.json()["code"]) == (404, "access.not_found")
    left_out = {"request_id": "", "instance": ""}
    assert gone.json() | left_out == missing.json() | left_out
    assert "Note" in caplog.text  # the developer finds the trace


def test_other_failures_of_sessions_stay_failures():
    assert not is_about_a_lost_row(InvalidRequestError("Instance is not persistent"))
    assert not is_about_a_lost_row(KeyError("Could not refresh instance "))
    assert not is_about_a_lost_row(None)
