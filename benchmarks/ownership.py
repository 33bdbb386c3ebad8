"""What it costs that every statement asks for one's own rows and no others.

    python -m benchmarks.ownership            half a minute
    python -m benchmarks.ownership --quick    ten seconds

The same ORM select by key takes turns: without an owner, with the owner written by hand
into WHERE, and through ``ringfence.access.sqlalchemy`` with 10 and with 500 models. A
unit is what a request does: a session is opened, the row is loaded, the session closed.
Figures are medians of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

from benchmarks.report import Figure, Section
from sqlalchemy import Engine, String, create_engine, event, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Session, mapped_column
from tests.servers.postgres import running_postgres

from ringfence import Principal, access
from ringfence.access.sqlalchemy import Database

ROWS = 100
BATCH = 100
MOST_ADDED = 1.10
MOST_MICROSECONDS = 1.0
ANN = Principal("ann", frozenset({"customer"}))

PLAIN, BY_HAND, FEW, MANY = "no owner", "owner by hand", "10 models", "500 models"

Run = Callable[[], Awaitable[float]]


@dataclass(frozen=True, slots=True)
class World:
    """Models, the first of which has rows, and an engine that reaches them."""

    base: type[DeclarativeBase]
    model: Any
    engine: Any


def section(*, rounds: int = 40) -> Section:
    """Measure, and return tables and figures.

    Args:
        rounds: of each database.
    """
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        server = stack.enter_context(running_postgres())
        database = stack.enter_context(server.database())
        place = Path(folder) / "rows.db"
        found = {
            "SQLite, sync": asyncio.run(_lanes(f"sqlite:///{place}", rounds)),
            "SQLite, async": asyncio.run(
                _lanes(f"sqlite+aiosqlite:///{place}", rounds)
            ),
            "PostgreSQL, asyncpg": asyncio.run(_lanes(database.url("asyncpg"), rounds)),
        }
    lines = [
        f"| select by key | {PLAIN} | {BY_HAND} | {FEW} | {MANY} |",
        "|---|---|---|---|---|",
    ]
    figures = []
    for name, times in found.items():
        plain = times[PLAIN]
        ratios = {lane: _ratio(spent, plain) for lane, spent in times.items()}
        lines.append(
            f"| {name} | {median(plain):.0f} µs | "
            + " | ".join(f"{ratios[lane]:.2f} x" for lane in (BY_HAND, FEW, MANY))
            + " |"
        )
        figures.append(
            Figure(
                f"owned select by key, {name}, against one without an owner",
                f"owner by hand {ratios[BY_HAND]:.2f} x",
                f"at most {MOST_ADDED:.2f} x",
                f"{ratios[FEW]:.2f} x",
                ratios[FEW] <= MOST_ADDED,
            )
        )
        flat = _ratio(times[MANY], times[FEW])
        figures.append(
            Figure(
                f"500 owned models against 10, {name}",
                "",
                f"at most {MOST_ADDED:.2f} x",
                f"{flat:.2f} x",
                flat <= MOST_ADDED,
            )
        )
    check, sent = _check()
    figures += [
        Figure(
            "check of a statement that was seen before",
            "",
            f"at most {MOST_MICROSECONDS:g} µs",
            f"{check:.2f} µs",
            check <= MOST_MICROSECONDS,
        ),
        Figure("statements for one owned row", "", "1", str(sent), sent == 1),
    ]
    return Section("Ownership", tuple(lines), tuple(figures))


def _ratio(some: list[float], others: list[float]) -> float:
    return median(one / other for one, other in zip(some, others, strict=True))


async def _lanes(url: str, rounds: int) -> dict[str, list[float]]:
    """Return microseconds a unit, of each lane and round."""
    with _worlds(url) as (plain, few, many):
        await _fill((plain, few, many))
        lanes: dict[str, Run] = {
            PLAIN: _bare(plain, by_hand=False),
            BY_HAND: _bare(plain, by_hand=True),
            FEW: _owned(few),
            MANY: _owned(many),
        }
        times: dict[str, list[float]] = {name: [] for name in lanes}
        names = list(lanes)
        for number in range(rounds + 2):
            for place in range(len(names)):
                name = names[(place + number) % len(names)]
                spent = await lanes[name]()
                if number > 1:  # the first rounds warm up
                    times[name].append(spent)
        for world in (plain, few, many):
            await _disposed(world.engine)
    return times


@contextmanager
def _worlds(url: str) -> Iterator[tuple[World, World, World]]:
    make = create_async_engine if "+" in url else create_engine
    worlds = (_world(10, make(url)), _world(10, make(url)), _world(500, make(url)))
    yield worlds


def _world(count: int, engine: Any) -> World:
    class Base(DeclarativeBase):
        pass

    models = [
        access.rows(access.owner("owner_id"))(
            type(
                f"Model{number}",
                (Base,),
                {
                    "__tablename__": f"model_{number}",
                    "id": mapped_column(String(40), primary_key=True),
                    "owner_id": mapped_column(String(40)),
                    "name": mapped_column(String(40)),
                },
            )
        )
        for number in range(count)
    ]
    return World(Base, models[0], engine)


async def _fill(worlds: tuple[World, ...]) -> None:
    """Make the table that all of them share, and its rows."""
    base, model, engine = worlds[0].base, worlds[0].model, worlds[0].engine

    def fill(connection: Any) -> None:
        base.metadata.drop_all(connection, [model.__table__])
        base.metadata.create_all(connection, [model.__table__])
        rows = [
            {"id": f"row-{number}", "owner_id": ANN.id, "name": "a name"}
            for number in range(ROWS)
        ]
        connection.execute(model.__table__.insert(), rows)

    if isinstance(engine, Engine):
        with engine.begin() as connection:
            fill(connection)
    else:
        async with engine.begin() as connection:
            await connection.run_sync(fill)


async def _disposed(engine: Any) -> None:
    if isinstance(engine, Engine):
        engine.dispose()
    else:
        await engine.dispose()


def _bare(world: World, *, by_hand: bool) -> Run:
    model = world.model

    def asked(key: str) -> Any:
        statement = select(model).where(model.id == key)
        return statement.where(model.owner_id == ANN.id) if by_hand else statement

    def opened() -> Any:
        sync = isinstance(world.engine, Engine)
        return Session(world.engine) if sync else AsyncSession(world.engine)

    return _run(world, opened, asked)


def _owned(world: World) -> Run:
    database = Database(world.engine, world.base)
    run = _run(
        world,
        database.session,
        lambda key: select(world.model).where(world.model.id == key),
    )

    async def appointed() -> float:
        with access.acting_as(ANN):
            return await run()

    return appointed


def _run(world: World, opened: Callable[[], Any], asked: Callable[[str], Any]) -> Run:
    async def run() -> float:
        started = time.perf_counter()
        for number in range(BATCH):
            async with opened() as session:
                (await session.scalars(asked(f"row-{number % ROWS}"))).one()
        return (time.perf_counter() - started) / BATCH * 1e6

    async def run_sync() -> float:
        started = time.perf_counter()
        for number in range(BATCH):
            with opened() as session:
                session.scalars(asked(f"row-{number % ROWS}")).one()
        return (time.perf_counter() - started) / BATCH * 1e6

    return run_sync if isinstance(world.engine, Engine) else run


def _check() -> tuple[float, int]:
    """Return microseconds of one check, and the statements that one row takes."""
    engine = create_engine("sqlite://")
    world = _world(10, engine)
    world.base.metadata.create_all(engine)
    database = Database(engine, world.base)
    sent: list[Any] = []
    event.listen(engine, "after_cursor_execute", lambda *given: sent.append(given))
    with access.acting_as(ANN), database.session() as session:
        session.scalars(select(world.model).where(world.model.id == "row-1")).all()
        text = "SELECT id FROM model_0 WHERE id = ? AND owner_id = ?"
        context: Any = SimpleNamespace(
            root_connection=session.connection(), execution_options={}
        )
        judge, values = database.wall.judge, ("row-1", ANN.id)
        times = []
        for _ in range(20):
            started = time.perf_counter()
            for _ in range(1000):
                judge(None, text, values, context)
            times.append((time.perf_counter() - started) / 1000 * 1e6)
    engine.dispose()
    return median(times), len(sent)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    found = section(rounds=10 if parser.parse_args().quick else 40)
    print("\n".join(found.lines))
    for one in found.figures:
        verdict = "kept" if one.kept else "missed"
        print(f"{one.what}: {one.measured} (goal {one.goal}, {one.peers}): {verdict}")


if __name__ == "__main__":
    main()
