"""Code outside requests, in a process that serves none."""

import json

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.applications import Starlette
from tests.guard.conftest import running

from ringfence import Guard, Principal, Settings, access, unscoped
from ringfence.access.sqlalchemy import Database
from ringfence.errors import SettingsError


class Base(DeclarativeBase):
    """What a job works on."""


@access.rows(access.owner("owner_id"))
class Note(Base):
    """Of one."""

    __tablename__ = "notes"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner_id: Mapped[str]


nothing = Starlette()


@pytest.fixture
def settings(tmp_path):
    return Settings.load(environ={}, env="development", data=tmp_path)


@pytest.fixture
def database(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path}/notes.db")
    made = Database(engine, Base)
    with unscoped("make tables"):
        Base.metadata.create_all(engine)
    yield made
    engine.dispose()


def reasons(settings):
    lines = map(json.loads, (settings.data / "audit.jsonl").read_text().splitlines())
    return [line["reason"] for line in lines if line["event"] == "authz_unscoped"]


def test_what_is_unscoped_stands_in_the_ledger(settings, database):
    guard = Guard(nothing, settings, data=database)
    for night in ("monday", "tuesday"):
        with guard.job(), unscoped(night), database.session() as session:
            session.query(Note).all()
    assert reasons(settings) == ["monday", "tuesday"]


def test_a_job_that_fails_is_told_of_as_well(settings, database):
    guard = Guard(nothing, settings, data=database)

    def work():
        with guard.job(), unscoped("a sum"), database.session() as session:
            session.query(Note).all()
            raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - the one that work raises
        work()
    assert reasons(settings) == ["a sum"]


def test_a_job_signs_for_whom_it_works(settings):
    engine = create_engine("postgresql+psycopg://shop@127.0.0.1:1/shop")
    data = Database(engine, Base, row_security=True)
    guard = Guard(nothing, settings, data=data)
    with pytest.raises(SettingsError):
        data.second_wall.key()
    with guard.job():
        assert len(data.second_wall.key()) == 32
        assert len(guard.keys_for("orders")[0]) == 32


@pytest.mark.anyio
async def test_nothing_is_left_to_open_while_the_guard_runs(settings, database):
    guard = Guard(nothing, settings, data=database)
    async with running(guard):
        with (
            guard.job(),
            access.acting_as(Principal("ann")),
            database.session() as session,
        ):
            session.add(Note(id="one"))
            session.commit()
        with unscoped("after the job"), database.session() as session:
            assert session.get(Note, "one").owner_id == "ann"
    assert reasons(settings) == ["after the job"]
