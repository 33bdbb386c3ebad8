"""Ways to a row on PostgreSQL: its own, and some of every group, on both drivers."""

import pytest
from sqlalchemy.orm import sessionmaker
from tests.access.sqlalchemy.models import Base
from tests.access.sqlalchemy.paths.places import (
    loose_engine,
    postgres_place,
    walk,
    walk_waiting,
)
from tests.access.sqlalchemy.paths.runner import THROUGH, all_paths, attempt
from tests.access.sqlalchemy.paths.world import World

from ringfence.access.sqlalchemy import Database

EVERY = 5  # of the paths that SQLite has too
OWN = [path for path in all_paths("postgresql") if "sqlite" not in path.dialects]
SHARED = [path for path in all_paths("postgresql") if "sqlite" in path.dialects]
PATHS = [*OWN, *SHARED[::EVERY]]


@pytest.fixture(scope="module")
def place(postgres_server):
    with (
        postgres_server.database() as database,
        postgres_place(database.url("psycopg"), database.dsn) as (engine, eye),
    ):
        yield database, engine, eye


def test_there_are_own_ones():
    assert len(OWN) >= 25


def test_each_reaches_the_row_where_there_is_no_wall(place):
    """No path is in the table that would lead nowhere anyhow."""
    _, engine, eye = place
    missed = []
    for path in PATHS:
        eye.fill()
        world = World(engine, sessionmaker(engine), path.whose, "psycopg")
        told = attempt(path, world, eye)
        if told.what != THROUGH:
            missed.append(f"{path.name}: {told.what}: {told.detail}")
    assert not missed


def test_none_gets_through_on_psycopg(place):
    database, _, eye = place
    engine = loose_engine(database.url("psycopg"))
    opened = Database(engine, models=Base).session
    found = walk(lambda whose: World(engine, opened, whose, "psycopg"), eye, PATHS)
    engine.dispose()
    assert not found


@pytest.mark.anyio
@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
async def test_none_gets_through_on_async_engines(place, driver):
    database, _, eye = place
    paths = [path for path in PATHS if not path.plain]
    assert not await walk_waiting(database.url(driver), eye, paths, driver)
