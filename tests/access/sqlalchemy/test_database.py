"""One engine for everybody, sync and async, on SQLite and PostgreSQL."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import create_engine, select, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import selectinload
from tests.access.sqlalchemy.conftest import ANN, BEA, rows
from tests.access.sqlalchemy.models import Base, Order, OrderLine, Report

from ringfence import Principal
from ringfence.access.ownership.acting import acting_as
from ringfence.access.ownership.escape import unscoped
from ringfence.access.sqlalchemy import Database
from ringfence.errors import OwnershipRefusedError

pytestmark = pytest.mark.anyio
REFUSED = pytest.raises(OwnershipRefusedError)
SQLITE = "sqlite+aiosqlite"


@pytest.fixture(params=[SQLITE, "postgresql+asyncpg", "postgresql+psycopg"])
def address(request, tmp_path):
    if request.param == SQLITE:
        return f"{SQLITE}:///{tmp_path}/shop.db"
    server = request.getfixturevalue("postgres")
    return server.url(request.param.partition("+")[2])


@asynccontextmanager
async def opened(address):
    engine = create_async_engine(address)
    database = Database(engine, Base)
    try:
        with unscoped("make tables"):
            async with engine.begin() as connection:
                await connection.run_sync(Base.metadata.create_all)
            async with database.transaction() as session:
                session.add_all(rows())
        yield database
    finally:
        await database.dispose()


async def test_everybody_at_once(address):
    """Many principals on one engine, each with what is theirs and nothing else."""

    async def work(database, principal, number):
        with acting_as(principal):
            async with database.transaction() as session:
                session.add(Order(id=f"{principal.id}-{number}", lines=[]))
            async with database.session() as session:
                orders = select(Order).options(selectinload(Order.lines))
                found = (await session.scalars(orders)).all()
                assert {one.owner_id for one in found} == {principal.id}
                assert len([line for one in found for line in one.lines]) == 1
                lines = (await session.scalars(select(OrderLine.id))).all()
                assert lines == [f"line-{principal.id}"]

    async with opened(address) as database:
        everybody = (ANN, BEA) * 4
        await asyncio.gather(
            *(work(database, one, number) for number, one in enumerate(everybody))
        )


async def test_ways_of_an_async_session(address):
    """Reading, refreshing, streaming, writing, and what is refused."""
    async with opened(address) as database:
        with acting_as(ANN):
            async with database.session() as session:
                assert isinstance(session, AsyncSession)
                order = await session.get(Order, "order-ann")
                assert await session.get(Order, "order-bea") is None
                await session.refresh(order)
                order.total = 8
                await session.commit()
                report = await session.get(Report, "report-ann")
                report.figures = "changed"
                await session.commit()
                streamed = await session.stream_scalars(select(Order.id))
                assert [one async for one in streamed] == ["order-ann"]
                with REFUSED:
                    await session.execute(text("SELECT * FROM orders"))
                await session.rollback()
                connection = await session.connection()
                with REFUSED:
                    await connection.get_raw_connection()
                with unscoped("look at everything"):
                    found = (await session.scalars(select(Order))).all()
                    assert len(found) == 2
                assert await session.get(Order, "order-bea") is None
                await session.rollback()
                session.add(Order(id="new", owner_id="bea"))
                with REFUSED:
                    await session.flush()


async def test_raw_connections_are_refused(tmp_path):
    """An engine hands out none of the driver's, whoever asks for it."""
    engine = create_async_engine(f"{SQLITE}:///{tmp_path}/shop.db")
    database = Database(engine, Base)
    with REFUSED:
        await engine.raw_connection()
    other = engine.execution_options(isolation_level="SERIALIZABLE")
    async with other.connect() as connection:
        with REFUSED:
            await connection.get_raw_connection()
        assert await connection.get_isolation_level() == "SERIALIZABLE"
    await database.dispose()


async def test_roles_before_and_after_a_guard():
    """Without a guard an admin is an operator; with one, what it says holds."""
    engine = create_engine("sqlite://")
    database = Database(engine, Base)
    with unscoped("make tables"):
        Base.metadata.create_all(engine)
    admin = Principal("ada", frozenset({"admin"}), tenant="t1")
    with acting_as(admin), database.session() as session:
        view = session.prepared.view.read["invoices"]
        assert "tenant_id" in str(view)
    database.bind({}, lambda event: None)
    with acting_as(admin), database.open() as session:
        assert "tenant_id" not in str(session.prepared.view.read["invoices"])
    await database.dispose()


async def test_transaction_is_for_async_engines():
    """Elsewhere there is ``session().begin()``."""
    database = Database(create_engine("sqlite://"), Base)
    with pytest.raises(TypeError, match=r"session\(\)\.begin\(\)"):
        async with database.transaction():
            pass
