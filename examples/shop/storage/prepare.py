"""Makes the database ready: migrations by Alembic, then the first stock.

Run at every start. Several processes may start at once: one of them works, the others
wait for it and find nothing left to do.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, insert, select

from examples.shop.storage.tables import Product

FOLDER = Path(__file__).parent
MIGRATIONS = FOLDER / "migrations"
STOCK = FOLDER / "stock.json"


def prepare(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _one_at_a_time(path.with_name(f"{path.name}.lock")):
        path.touch(mode=0o600)
        engine = create_engine(f"sqlite:///{path}", hide_parameters=True)
        try:
            with closing(engine.raw_connection()) as connection:
                connection.cursor().execute("PRAGMA journal_mode = WAL")
            with engine.begin() as transaction:
                _upgrade(transaction)
                _stock_up(transaction)
        finally:
            engine.dispose()


@contextmanager
def _one_at_a_time(lock: Path) -> Iterator[None]:
    lock.touch(mode=0o600)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # released by closing the file
        yield


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _stock_up(connection: Connection) -> None:
    """Put the first products on the shelves, unless there are some already."""
    if connection.execute(select(Product.id).limit(1)).first() is not None:
        return
    products = json.loads(STOCK.read_text(encoding="utf-8"))
    rows = [{**product, "added": at} for at, product in enumerate(products)]
    connection.execute(insert(Product), rows)
