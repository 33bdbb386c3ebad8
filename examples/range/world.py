"""What the range's targets know: users, orders, comments, in one SQLite file.

Passwords and session ids are in clear on purpose (guide: "Incorrect approach").
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS users (
    id TEXT PRIMARY KEY, email TEXT UNIQUE, password TEXT, name TEXT,
    role TEXT NOT NULL DEFAULT 'user'
);
CREATE TABLE IF NOT EXISTS sessions (id TEXT PRIMARY KEY, user_id TEXT);
CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, user_id TEXT, item TEXT);
CREATE TABLE IF NOT EXISTS comments (text TEXT);
CREATE TABLE IF NOT EXISTS transfers (user_id TEXT, recipient TEXT, amount INTEGER);
"""

_USERS = (
    ("1", "alice@example.com", "123456", "Alice", "user"),
    ("2", "bob@example.com", "letmein", "Bob", "user"),
    ("3", "root@example.com", "hunter2", "Root", "admin"),
)
_ORDERS = (("1001", "1", "a lamp"), ("1002", "2", "a ring"))

Row = dict[str, str | int | None]


class World:
    """The range's database.

    Args:
        path: the SQLite file; made and filled if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._open() as db:
            db.executescript(_SCHEMA)
            db.executemany("INSERT OR IGNORE INTO users VALUES (?, ?, ?, ?, ?)", _USERS)
            db.executemany("INSERT OR IGNORE INTO orders VALUES (?, ?, ?)", _ORDERS)

    def rows(self, statement: str, *values: object) -> list[Row]:
        """Run one statement and return its rows."""
        with self._open() as db:
            return [dict(row) for row in db.execute(statement, values)]

    def row(self, statement: str, *values: object) -> Row | None:
        """Run one statement and return its first row."""
        return next(iter(self.rows(statement, *values)), None)

    def count(self, table: str) -> int:
        """Return how many rows were ever added to ``table``."""
        newest = self.rows(f"SELECT max(rowid) AS newest FROM {table}")[0]["newest"]
        return int(newest or 0)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path)) as db, db:
            db.row_factory = sqlite3.Row
            yield db
