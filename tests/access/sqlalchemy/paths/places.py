"""The database that the paths lead to: everybody's rows, or one person's alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any

from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import sessionmaker
from tests.access.sqlalchemy.models import Base
from tests.access.sqlalchemy.paths.runner import (
    FILTERED,
    REFUSED,
    Eye,
    Outcome,
    PostgresEye,
    SQLiteEye,
    attempt,
)
from tests.access.sqlalchemy.paths.table import Path
from tests.access.sqlalchemy.paths.world import ANN, Rows, World, seed, seen_by

from ringfence.access.sqlalchemy import Database

VIEW = "CREATE VIEW all_orders AS SELECT * FROM orders"


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a path.

    Args:
        theirs: of another's rows: ``filtered``, ``refused`` or ``through``.
        ours: of one's own: ``same`` as in plain SQLAlchemy, ``refused``, ``gone`` where
            less is seen or done; empty where there are none of one's own to try.
        why: in words.
    """

    theirs: str
    ours: str
    why: str


@contextmanager
def sqlite_place(file: File, rows: Rows) -> Iterator[tuple[Engine, SQLiteEye]]:
    """Make a database of its own."""
    engine = create_engine(f"sqlite:///{file}", enable_from_linting=False)
    event.listen(engine, "connect", _hurry)
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(text(VIEW))
    eye = SQLiteEye(str(file), rows)
    try:
        yield engine, eye
    finally:
        eye.close()
        engine.dispose()


def _hurry(connection: Any, _: object) -> None:
    connection.execute("PRAGMA synchronous=OFF")


def walk_bare(folder: File, paths: Sequence[Path]) -> Mapping[str, Outcome]:
    """Go paths without any wall."""
    with sqlite_place(folder / "bare.db", seed()) as (engine, eye):
        found = {}
        for path in paths:
            eye.fill()
            world = World(engine, sessionmaker(engine), path.whose, file=eye.file)
            found[path.name] = attempt(path, world, eye)
    return found


def walk_guarded(folder: File, paths: Sequence[Path]) -> Mapping[str, Told]:
    """Go paths to another's rows, and to one's own: those beside plain SQLAlchemy in a
    database that holds no others."""
    with (
        sqlite_place(folder / "guarded.db", seed()) as (engine, eye),
        sqlite_place(folder / "own.db", seen_by(seed(), ANN)) as (plain, own_eye),
    ):
        database = Database(engine, models=Base)
        opened, opened_plain = database.session, sessionmaker(plain)
        found = {}
        for path in paths:
            eye.fill()
            world = World(engine, opened, path.whose, file=eye.file)
            theirs = attempt(path, world, eye)
            ours = ""
            if path.actor is ANN and path.whose == "bea":
                eye.fill()
                own_eye.fill()
                world = World(plain, opened_plain, "ann", file=own_eye.file)
                wanted = attempt(path, world, own_eye)
                world = World(engine, opened, "ann", file=eye.file)
                ours = compared(attempt(path, world, eye), wanted)
            found[path.name] = Told(theirs.what, ours, theirs.detail)
    return found


def walk(world: Callable[[str], World], eye: Eye, paths: Sequence[Path]) -> list[str]:
    """Go paths to another's rows; return what became of those that got through, or
    went wrong.

    Args:
        world: where, by whose rows are reached for.
        eye: sees and sets all rows.
        paths: which.
    """
    found = []
    for path in paths:
        eye.fill()
        told = attempt(path, world(path.whose), eye)
        if told.what not in (FILTERED, REFUSED):
            found.append(f"{path.name}: {told.what}: {told.detail}")
    return found


async def walk_waiting(
    url: str, eye: Eye, paths: Sequence[Path], driver: str
) -> list[str]:
    """Go paths on an async engine, with its own sessions and connections.

    Args:
        url: of the database.
        eye: as in ``walk``.
        paths: that exist there.
        driver: as paths call it.
    """
    engine = create_async_engine(url, enable_from_linting=False)
    sqlite = driver == "sqlite"
    event.listen(engine.sync_engine, "connect", _hurry if sqlite else _loosen)
    database = Database(engine, models=Base)

    def world(whose: str) -> World:
        opened = lambda: database.session(expire_on_commit=True).sync_session  # noqa: E731 - the one line that differs
        return World(
            engine.sync_engine, opened, whose, driver, engine.url.database or ""
        )

    try:
        async with AsyncSession(engine) as greenlet:
            return await greenlet.run_sync(lambda _: walk(world, eye, paths))
    finally:
        await engine.dispose()


@contextmanager
def postgres_place(url: str, dsn: str) -> Iterator[tuple[Engine, PostgresEye]]:
    """Make the tables in an empty database, on psycopg."""
    engine = loose_engine(url)
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(text(VIEW))
    eye = PostgresEye(dsn, seed())
    try:
        yield engine, eye
    finally:
        eye.close()
        engine.dispose()


def loose_engine(url: str) -> Engine:
    """Return an engine on PostgreSQL."""
    engine = create_engine(url, enable_from_linting=False)
    event.listen(engine, "connect", _loosen)
    return engine


def _loosen(connection: Any, _: object) -> None:
    """Have the database itself refuse nothing: foreign keys stop some of the paths."""
    cursor = connection.cursor()
    cursor.execute("SET session_replication_role = replica")
    cursor.close()
    connection.commit()


def compared(got: Outcome, wanted: Outcome) -> str:
    """Return what became of a path to one's own rows."""
    if wanted.what != FILTERED:  # there is no such thing as one's own here
        return ""
    if got.what != FILTERED:
        return got.what if got.what == REFUSED else f"{got.what}: {got.detail}"
    if got.seen == wanted.seen and seen_by(got.rows, ANN) == wanted.rows:
        return "same"
    return "gone"


def wrong(path: Path, told: Told) -> str:
    """Return what is wrong with the outcome of a path; empty for nothing."""
    if told.theirs not in (FILTERED, REFUSED):
        return f"{path.name}: {told.theirs}: {told.why}"
    allowed = ("same", "") if path.honest else ("same", "", REFUSED, "gone")
    return "" if told.ours in allowed else f"{path.name}: one's own: {told.ours}"
