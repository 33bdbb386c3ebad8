"""Networks that are turned away, in a database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, delete, func, literal, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ringfence.clock import Clock
from ringfence.stores.contracts import Block, Blocks
from ringfence.stores.schema import block_versions, blocks
from ringfence.stores.sql import Database

_MOST = 100_000
_LONGEST_REASON = 500
_CLEARED = 100  # ended ones that go with each change
_TOLD_SECONDS = 3600.0
"""For so long after its end it is remembered that a network was let in again."""
_MICROSECONDS = 1e6

# Whoever changes something waits here for whoever does already: versions are seen in
# their order. Microseconds, so that a database that was lost does not use one again.
_NEXT_VERSION = text("""
    INSERT INTO ringfence_block_versions (list, version, floor) VALUES (1, :moment, 0)
    ON CONFLICT (list) DO UPDATE SET version =
        CASE WHEN ringfence_block_versions.version >= excluded.version
        THEN ringfence_block_versions.version + 1 ELSE excluded.version END
    RETURNING version
""")

_PUT = text("""
    INSERT INTO ringfence_blocks (network, until, reason, version)
    VALUES (:network, :until, :reason, :version)
    ON CONFLICT (network) DO UPDATE
    SET until = excluded.until, reason = excluded.reason, version = excluded.version
""")


class SqlBlocks:
    """Keep blocked networks in a database. Implements ``BlockStore``.

    Args:
        database: keeps them.
        clock: tells the time.
        most: networks; the one that would be free first gives place.
    """

    def __init__(self, database: Database, clock: Clock, most: int = _MOST) -> None:
        self._database = database
        self._clock = clock
        self._most = most

    async def put(self, block: Block) -> int:
        """Block a network or let it in; return the new version."""
        now = self._clock()
        values = {
            "network": block.network,
            "until": now + block.seconds if block.seconds > 0 else now,
            "reason": block.reason[:_LONGEST_REASON],
        }
        moment = {"moment": int(now * _MICROSECONDS)}
        async with self._database.writing() as connection:
            version = int(
                (await connection.execute(_NEXT_VERSION, moment)).scalar_one()
            )
            await connection.execute(_PUT, values | {"version": version})
            await self._make_room(connection, now)
        return version

    async def since(self, version: int) -> Blocks:
        """Return what has changed."""
        now = self._clock()
        async with self._database.reading() as connection:
            # The version first: what changes meanwhile is told now, and once more.
            known = (await connection.execute(select(block_versions))).one_or_none()
            newest, floor = (known.version, known.floor) if known else (0, 0)
            is_complete = version == 0 or not floor <= version <= newest
            query = select(blocks)
            if is_complete:
                query = query.where(blocks.c.until > now)
            else:
                query = query.where(blocks.c.version > version)
            rows = (await connection.execute(query)).all()
        return Blocks(newest, [_block(row, now) for row in rows], is_complete)

    async def _make_room(self, connection: AsyncConnection, now: float) -> None:
        """Forget a few that have ended, and one where there are too many."""
        ended = (
            select(blocks.c.network)
            .where(blocks.c.until <= now - _TOLD_SECONDS)
            .order_by(blocks.c.until)
            .limit(_CLEARED)
        )
        await self._forget(connection, ended)
        count = (
            await connection.execute(select(func.count()).select_from(blocks))
        ).scalar_one()
        if count > self._most:
            first = (
                select(blocks.c.network)
                .order_by(blocks.c.until)
                .limit(count - self._most)
            )
            await self._forget(connection, first)

    async def _forget(self, connection: AsyncConnection, networks: Any) -> None:
        """Who has not heard of them yet never will, and has to read everything."""
        removal = (
            delete(blocks)
            .where(blocks.c.network.in_(networks))
            .returning(blocks.c.version)
        )
        gone = (await connection.execute(removal)).scalars().all()
        if gone:
            floor = max(gone)
            raising = (
                update(block_versions)
                .where(block_versions.c.floor < floor)
                .values(floor=literal(floor))
            )
            await connection.execute(raising)


def _block(row: Row[Any], now: float) -> Block:
    return Block(row.network, max(0.0, row.until - now), row.reason)
