"""Bringing the schema up to date, from several processes at once, with or without the
right to do so."""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import NullPool, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

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
        async with engine.connect() as connection:
            if await connection.run_sync(is_current):
                return False
        async with engine.begin() as connection:
            return await _migrated(connection)
    except SQLAlchemyError as error:
        raise _failure(error, address, dial) from error
    except dial.driver.errors as error:
        raise dial.failure(error, "cannot be migrated") from error
    finally:
        await engine.dispose()


async def _migrated(connection: AsyncConnection) -> bool:
    for statement in _PREPARE:
        await connection.execute(statement)
    if await connection.run_sync(is_current):  # another process was faster
        return False
    await connection.run_sync(migrate)
    return True


def _failure(error: Exception, address: PostgresAddress, dial: Dial) -> StoreError:
    original: Any = getattr(error, "orig", None) or error
    if getattr(original, "sqlstate", "") != _DENIED:
        return dial.failure(original, "cannot be migrated")
    return StoreError(
        f"the schema of the database {address.place} is not up to date, and this role "
        f"may not change it ({original}); run `ringfence migrate` once, with "
        "RINGFENCE_DATABASE naming this database and a role that owns its tables"
    )
