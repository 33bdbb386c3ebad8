"""Exports: a customer's orders as a spreadsheet, packed by a real program.

The customer chooses the file's name. It meets three interpreters: the file system, the
command line of a program, and whatever opens the spreadsheet.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from examples.shop import orders
from examples.shop.problems import ShopError, not_found
from examples.shop.shapes import NewExport, Window
from examples.shop.storage.tables import Order
from ringfence import paths, shell, spreadsheets

MOST = 20  # exports that a customer keeps
_HEADER = ("Order", "Product", "Quantity", "Each (cents)", "Together (cents)", "Placed")
_PACK = shell.command("gzip --force --no-name -- {file}", timeout=20)


@dataclass(frozen=True, slots=True)
class Export:
    """A packed spreadsheet of a customer's."""

    name: str
    size: int


class Exports:
    """The shelf on which exports are kept, a folder a customer.

    Args:
        folder: of all of them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def make(self, db: AsyncSession, owner_id: str, new: NewExport) -> Export:
        """Write the customer's orders under the name that they chose, and pack it."""
        mine = await orders.mine(db, Window(limit=100))
        return await self._pack(owner_id, new.name, mine)

    async def _pack(self, owner_id: str, name: str, mine: list[Order]) -> Export:
        shelf = paths.join_below(self._folder, owner_id)
        path = paths.join_below(shelf, f"{name}.csv")
        if path.parent != shelf:  # a folder of its own, where nobody counts
            raise ShopError(
                400, "shop.no_file_name", "The name of a file has no slash in it."
            )
        await asyncio.to_thread(_write, path, mine)
        await _PACK.run(file=str(path))
        packed = path.with_name(f"{path.name}.gz")
        return Export(packed.name, packed.stat().st_size)

    def of_owner(self, owner_id: str) -> list[Export]:
        """List the customer's exports by name."""
        shelf = paths.join_below(self._folder, owner_id)
        found = sorted(shelf.glob("*.gz")) if shelf.is_dir() else []
        return [Export(path.name, path.stat().st_size) for path in found]

    def read(self, owner_id: str, name: str) -> bytes:
        """Return one export; another's is not there."""
        shelf = paths.join_below(self._folder, owner_id)
        if not shelf.is_dir():
            raise not_found("export")
        try:
            with paths.open_below(shelf, name) as file:
                return file.read()
        except FileNotFoundError:
            raise not_found("export") from None


def _write(path: Path, mine: list[Order]) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    packed = path.with_name(f"{path.name}.gz")
    if not packed.exists() and len(list(path.parent.glob("*.gz"))) >= MOST:
        raise ShopError(
            409, "shop.too_many_exports", f"No more than {MOST} exports are kept."
        )
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = spreadsheets.writer(file)
        rows.writerow(_HEADER)
        rows.writerows(map(_row, mine))


def _row(order: Order) -> tuple[str | int, ...]:
    placed = datetime.fromtimestamp(order.placed, UTC).isoformat(timespec="seconds")
    name = order.product.name
    return order.id, name, order.quantity, order.unit_price, order.total, placed
