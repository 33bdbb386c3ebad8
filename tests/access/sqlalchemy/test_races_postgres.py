"""Rows that are given away on PostgreSQL, where writers wait for one another."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from sqlalchemy import Engine, create_engine, select, text
from sqlalchemy.exc import SAWarning, SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from tests.access.row_security.shop import KEY, LOGIN, run
from tests.access.sqlalchemy.conftest import ANN
from tests.access.sqlalchemy.test_races import WAYS, Base, Tag, change, loaded, rows

from ringfence.access.ownership.acting import acting_as
from ringfence.access.ownership.escape import unscoped
from ringfence.access.row_security.functions import install_keys
from ringfence.access.sqlalchemy import Database, writing
from ringfence.errors import OwnershipRefusedError

_PATIENCE = 10.0  # seconds
SOME = (
    "update",
    "update of two",
    "update of a version",
    "delete",
    "child changed",
    "child removed",
    "child added",
    "link removed",
)


@dataclass
class Place:
    """One archive behind row-level security.

    Args:
        admin: is above it, and sees everything.
        url: of a driver, for whom it holds.
        spare: fills it.
    """

    admin: Engine
    url: Callable[[str], str]
    spare: Database

    def fill(self):
        run(self.admin, f"TRUNCATE {', '.join(Base.metadata.tables)}")
        with unscoped("fill the archive"), self.spare.session() as session:
            session.add_all(rows())
            session.commit()

    def give(self, table):
        run(self.admin, f"UPDATE {table} SET owner_id = 'bea'")

    def everything(self):
        with self.admin.connect() as connection:
            return [
                sorted(connection.execute(text(f"SELECT {name}::text FROM {name}")))
                for name in Base.metadata.tables
            ]

    @contextmanager
    def database(self, url, **options):
        engine = create_engine(url)
        made = Database(engine, Base, **options)
        made.sign_with(lambda: KEY)
        yield made
        engine.dispose()


@pytest.fixture(scope="module")
def place(postgres_server):
    with postgres_server.database() as server:
        admin = create_engine(server.url("psycopg"))
        spare = create_engine(server.url("psycopg"))
        Base.metadata.create_all(admin)
        filling = Database(spare, Base, row_security=True)
        run(
            admin,
            *filling.second_wall.wall.up(),
            *install_keys([KEY]),
            f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = "
            f"'{LOGIN}') THEN CREATE ROLE {LOGIN} LOGIN; END IF; END $$",
            f"GRANT ringfence_rows TO {LOGIN}",
        )
        spare.dispose()
        spare = create_engine(server.url("psycopg"))
        yield Place(
            admin,
            lambda driver: server.url(driver).replace("postgres@", f"{LOGIN}@"),
            Database(spare, Base),
        )
        spare.dispose()
        admin.dispose()


def tried(place, database, way):
    """Load everything, have it given away, write: return what was said."""
    table, write = WAYS[way]
    place.fill()
    with acting_as(ANN), database.session() as session:
        kept = loaded(session)
        place.give(table)
        before = place.everything()
        said = None
        try:
            write(session)
            session.commit()
        except (OwnershipRefusedError, SQLAlchemyError, SAWarning) as error:
            said = error
            session.rollback()
    assert kept
    return said, place.everything() == before


def test_the_first_wall_alone(place):
    with place.database(place.admin.url) as database:
        for way in SOME:
            said, unchanged = tried(place, database, way)
            assert unchanged, way
            assert isinstance(said, OwnershipRefusedError), way
            assert said.denial.status == 404, way


def test_the_second_wall_alone(place, monkeypatch):
    """It holds too, and what it says is an error rather than a refusal."""
    monkeypatch.setattr(writing, "_planned", lambda *_: None)
    monkeypatch.setattr(writing, "count", lambda *_: 99)
    with place.database(place.url("psycopg"), row_security=True) as database:
        for way in SOME:
            said, unchanged = tried(place, database, way)
            assert unchanged, way
            assert said is not None, way


def test_neither(place, monkeypatch):
    """The attack works where there is no wall."""
    monkeypatch.setattr(writing, "_planned", lambda *_: None)
    monkeypatch.setattr(writing, "count", lambda *_: 99)
    with place.database(place.admin.url) as database:
        for way in SOME:
            assert tried(place, database, way) == (None, False), way


def test_both_walls(place):
    """What was added below a parent that was given away is refused as with one."""
    with place.database(place.url("psycopg"), row_security=True) as database:
        for way in ("update", "delete", "child changed", "child added"):
            said, unchanged = tried(place, database, way)
            assert unchanged, way
            assert isinstance(said, OwnershipRefusedError), way
            assert said.denial.status == 404, way


def test_who_waits_for_a_gift_is_refused(place):
    """The gift is not committed yet when the old owner writes: who writes waits for it,
    and is told of the row as it is then."""
    place.fill()
    with (
        place.database(place.admin.url) as database,
        acting_as(ANN),
        database.session() as session,
        ThreadPoolExecutor() as beside,
        place.admin.connect() as giver,
    ):
        tag = session.get(Tag, "tag")
        giver.execute(text("UPDATE tags SET owner_id = 'bea', name = 'given'"))
        let = beside.submit(commit_once_awaited, place, giver)
        tag.name = "taken"
        with pytest.raises(OwnershipRefusedError):
            session.flush()
        assert let.result(), "nobody has waited"
    assert "taken" not in str(place.everything())


def commit_once_awaited(place, giver):
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    end = time.monotonic() + _PATIENCE
    awaited = False
    with place.admin.connect() as looking:
        while not awaited and time.monotonic() < end:
            awaited = looking.execute(waiting).scalar() > 0
    giver.commit()
    return awaited


@pytest.mark.anyio
@pytest.mark.parametrize("write", ["touch", "drop"])
async def test_driver_that_does_not_tell_how_many(place, write):
    """Of many rows asyncpg says nothing: they are looked for afterwards."""
    engine = create_async_engine(place.admin.url.set(drivername="postgresql+asyncpg"))
    database = Database(engine, Base)
    place.fill()
    with acting_as(ANN):
        async with database.session() as session:
            kept = (await session.scalars(select(Tag))).all()
            await session.run_sync(WRITES["touch"])
            await session.commit()
            place.give("tags")
            await session.run_sync(WRITES[write])
            with pytest.raises(OwnershipRefusedError):
                await session.commit()
            await session.rollback()
            place.fill()
            session.expire_all()
            await session.run_sync(WRITES[write])
            await session.commit()
            assert kept
    await engine.dispose()


def touch(session):
    for key in ("tag", "tag-spare"):
        change(session, Tag, key, name=f"{session.get(Tag, key).name}n")


def drop(session):
    for key in ("tag", "tag-spare"):
        session.delete(session.get(Tag, key))


WRITES = {"touch": touch, "drop": drop}
