"""Bringing the schema up to date, from several processes at once, with or without the
right to do so."""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import NullPool, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    create_async_engine,
)

from ringfence.errors import StoreError
from ringfence.stores.migrate import is_current, migrate
from ringfence.stores.postgres.address import PostgresAddress
from ringfence.stores.postgres.dial import Dial

_DENIED = "42501"
_PREPARE = (  # a start waits for another start to migrate, but not for ever
    text("SET LOCAL lock_timeout = '60s'"),
    text("SET LOCAL statement_timeout = '60s'"),
    text("SELECT pg_advisory_xact_lock(8244241983257013859)"),  # "ringfenc" in ASCII
)


async def bring_up_to_date(address: PostgresAddress, dial: Dial) -> bool:
    """Migrate if that is needed; return whether it was.

    A role that may not change the schema is as good as any other where the schema is
    up to date, so that a service needs no more rights than to read and write rows.

    Raises:
        StoreError: the server cannot be reached, or the schema cannot be changed.
    """
    # Alembic does not wait in an event loop: a loop of its own, in a thread, and what
    # belongs to that loop ends with it.
    apart = Dial(dial.driver, address)
    return await asyncio.to_thread(asyncio.run, _upgraded(address, apart))


async def _upgraded(address: PostgresAddress, dial: Dial) -> bool:
    engine = create_async_engine(
        f"postgresql+{address.driver}://",
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={"async_creator_fn": dial.connect_for_pool},
        **({"use_native_hstore": False} if address.driver == "psycopg" else {}),
    )
    try:
        if await _is_up_to_date(engine, address):
            return False
        async with engine.begin() as connection:
            return await _migrated(connection)
    except SQLAlchemyError as error:
        raise _failure(error, address, dial) from error
    except dial.driver.errors as error:
        raise dial.failure(error, "cannot be migrated") from error
    finally:
        await engine.dispose()


async def _is_up_to_date(engine: AsyncEngine, address: PostgresAddress) -> bool:
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(is_current)
    except SQLAlchemyError as error:
        if not _is_denied(error):
            raise
        message = (  # the tables are there: to migrate once more is no help
            f"this role may not use the tables of the database {address.place} "
            f"({_first_line(error)}); grant it SELECT, INSERT, UPDATE and DELETE on "
            "the tables ringfence_..., as deploy/postgres/roles.sql does"
        )
        raise StoreError(message) from error


async def _migrated(connection: AsyncConnection) -> bool:
    for statement in _PREPARE:
        await connection.execute(statement)
    if await connection.run_sync(is_current):  # another process was faster
        return False
    await connection.run_sync(migrate)
    return True


def _failure(error: Exception, address: PostgresAddress, dial: Dial) -> StoreError:
    if not _is_denied(error):
        return dial.failure(_original(error), "cannot be migrated")
    return StoreError(
        f"the schema of the database {address.place} is not up to date, and this role "
        f"may not change it ({_first_line(error)}); run `ringfence migrate` once, with "
        "RINGFENCE_DATABASE naming this database and a role that owns its tables"
    )


def _original(error: Exception) -> Any:
    """Return the driver's error, which SQLAlchemy has wrapped."""
    return getattr(error, "orig", None) or error


def _is_denied(error: Exception) -> bool:
    return getattr(_original(error), "sqlstate", "") == _DENIED


def _first_line(error: Exception) -> str:
    """Return what happened, without the statement that PostgreSQL shows below."""
    return str(_original(error)).partition("\n")[0]
