"""Second factors in SQL: one copy for every database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from ringfence.stores.contracts import Factor
from ringfence.stores.schema import accounts, factors
from ringfence.stores.sql import Database, account_at


class SqlFactorStore:
    """Second factors in SQL. See ``contracts.FactorStore``.

    Args:
        database: keeps them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, factor: Factor, *, epoch: int, most: int = 32) -> bool:
        """See ``contracts.FactorStore``."""
        same = account_at(factor.account_id, epoch, is_counted=True)
        have = (
            select(func.count())
            .select_from(factors)
            .where(*_kind_of(factor.account_id, factor.kind))
        )
        try:
            async with self._database.writing() as connection:
                if (await connection.execute(same)).one_or_none() is None:
                    return False
                if (await connection.execute(have)).scalar_one() >= most:
                    return False
                await connection.execute(insert(factors), factor._asdict())
        except IntegrityError:  # the name is taken
            return False
        return True

    async def find(self, kind: str, factor_id: bytes) -> Factor | None:
        """See ``contracts.FactorStore``."""
        query = (
            select(factors)
            .join(accounts, accounts.c.id == factors.c.account_id)
            .where(*_named(kind, factor_id), accounts.c.disabled.is_(False))
        )
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else _factor(row)

    async def of_account(self, account_id: str) -> list[Factor]:
        """See ``contracts.FactorStore``."""
        query = (
            select(factors)
            .where(factors.c.account_id == account_id)
            .order_by(factors.c.created, factors.c.kind, factors.c.id)
        )
        async with self._database.reading() as connection:
            return [_factor(row) for row in await connection.execute(query)]

    async def advance(
        self, kind: str, factor_id: bytes, *, counter: int, at: float
    ) -> bool:
        """See ``contracts.FactorStore``."""
        # Whoever waits for another's update judges by what that has written.
        column = factors.c.counter
        rises = column < counter if counter else column <= 0  # 0 does not count
        change = (
            update(factors)
            .where(*_named(kind, factor_id), rises)
            .values(counter=counter, used=at)
        )
        async with self._database.writing() as connection:
            return bool((await connection.execute(change)).rowcount)

    async def rename(
        self, account_id: str, kind: str, factor_id: bytes, label: str
    ) -> bool:
        """See ``contracts.FactorStore``."""
        owned = (*_named(kind, factor_id), factors.c.account_id == account_id)
        change = update(factors).where(*owned).values(label=label)
        async with self._database.writing() as connection:
            return bool((await connection.execute(change)).rowcount)

    async def remove(self, account_id: str, kind: str, factor_id: bytes) -> bool:
        """See ``contracts.FactorStore``."""
        removal = delete(factors).where(
            *_named(kind, factor_id), factors.c.account_id == account_id
        )
        async with self._database.writing() as connection:
            return bool((await connection.execute(removal)).rowcount)

    async def replace(
        self, account_id: str, kind: str, factors: Sequence[Factor], *, epoch: int
    ) -> bool:
        """See ``contracts.FactorStore``."""
        rows = [one._asdict() for one in factors]
        same = account_at(account_id, epoch, is_counted=True)
        try:
            async with self._database.writing() as connection:
                if (await connection.execute(same)).one_or_none() is None:
                    return False
                await connection.execute(_removal(account_id, kind))
                if rows:
                    await connection.execute(_INSERTION, rows)
        except IntegrityError:  # one of the names is taken
            return False
        return True


_INSERTION = insert(factors)


def _removal(account_id: str, kind: str) -> Any:
    return delete(factors).where(*_kind_of(account_id, kind))


def _named(kind: str, factor_id: bytes) -> tuple[Any, ...]:
    return factors.c.kind == kind, factors.c.id == factor_id


def _kind_of(account_id: str, kind: str) -> tuple[Any, ...]:
    return factors.c.account_id == account_id, factors.c.kind == kind


def _factor(row: Row[Any]) -> Factor:
    return Factor(
        kind=row.kind,
        id=bytes(row.id),
        account_id=row.account_id,
        secret=bytes(row.secret),
        counter=row.counter,
        label=row.label,
        created=row.created,
        used=row.used,
        details=bytes(row.details),
    )
