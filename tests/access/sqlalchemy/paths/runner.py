"""Goes every path, and tells what became of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import psycopg
from sqlalchemy.exc import CompileError, DBAPIError, InvalidRequestError, NoResultFound
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import DetachedInstanceError, ObjectDeletedError, StaleDataError
from tests.access.sqlalchemy.paths import (
    connections,
    core,
    loads,
    overrides,
    ownership,
    people,
    queries,
    reloads,
    selects,
    texts,
    writes,
)
from tests.access.sqlalchemy.paths.table import PATHS, Path
from tests.access.sqlalchemy.paths.world import (
    Rows,
    World,
    leaked,
    meddled,
    nobody,
    seed,
    shown,
)

from ringfence import access
from ringfence.errors import OwnershipRefusedError

MODULES = (
    selects,
    queries,
    loads,
    reloads,
    writes,
    ownership,
    core,
    texts,
    connections,
    overrides,
    people,
)
THROUGH, FILTERED, REFUSED = "through", "filtered", "refused"

# What SQLAlchemy says where there is no such row, or none any more (of a deferred
# column: a KeyError), and what paths say that were not given one.
_MISSING = (
    AssertionError,
    KeyError,
    NoResultFound,
    ObjectDeletedError,
    StaleDataError,
)
# What the database declines, or SQLAlchemy: to evaluate what the wall has added, to
# write what has left the session.
_DECLINED = (CompileError, DBAPIError, DetachedInstanceError, InvalidRequestError)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one path.

    Args:
        what: ``through``, ``filtered`` or ``refused``; or what was raised.
        detail: what has leaked or changed, or why it was refused.
        seen: what it returned, as text.
        rows: what is in the database afterwards.
    """

    what: str
    detail: str
    seen: str
    rows: Rows


def all_paths(dialect: str, *, plain: bool = True) -> list[Path]:
    """Return the table, as far as it exists for a kind of database.

    Args:
        dialect: ``sqlite`` or ``postgresql``.
        plain: also what there is only without an event loop.
    """
    assert MODULES
    return [
        path
        for path in PATHS.values()
        if dialect in path.dialects and (plain or not path.plain)
    ]


def attempt(path: Path, world: World, eye: Eye) -> Outcome:
    """Go a path, as whoever goes it.

    Args:
        path: which.
        world: where.
        eye: sees all rows, on a connection of its own: ``read()``.
    """
    before = eye.read()
    seen = ""
    refusal: Exception | None = None
    with nobody() if path.actor is None else access.acting_as(path.actor):
        session = world.open()
        try:
            seen = shown(path.run(session, world))
            session.commit()
        except Exception as error:  # noqa: BLE001 - judged below
            refusal = error
            _carry_on(session)
        finally:
            session.close()
    after = eye.read()
    told = leaked(f"{seen} {_own_words(refusal)}", path.actor)
    done = meddled(before, after, path.actor)
    if told or done:
        return Outcome(THROUGH, "; ".join([*sorted(told), *done]), seen, after)
    return Outcome(_kind(refusal), repr(refusal or ""), seen, after)


def _carry_on(session: Session) -> None:
    """An application that swallows what was raised, and commits what it has done."""
    try:
        session.commit()
    except Exception:  # noqa: BLE001 - a session that was refused is done with
        session.rollback()


def _own_words(error: Exception | None) -> str:
    """What the database itself has said. A refusal quotes the statement, which the
    application knows."""
    return str(error.orig) if isinstance(error, DBAPIError) else ""


def _kind(error: Exception | None) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OwnershipRefusedError):
            return REFUSED
        cause = cause.__cause__ or cause.__context__
    if error is None or isinstance(error, _MISSING) or "refresh" in str(error):
        return FILTERED
    if isinstance(error, _DECLINED):
        return REFUSED
    return f"{type(error).__name__}: {error}"


class Eye(Protocol):
    """Sees and sets all rows of a database, past everything."""

    def fill(self) -> None:
        """Make the database hold its rows, and no others."""

    def read(self) -> Rows:
        """Return all rows."""


class SQLiteEye:
    """Sees and sets all rows of a file, past everything.

    Args:
        file: the database.
        rows: what it holds before each path.
    """

    def __init__(self, file: str, rows: Rows) -> None:
        self.file = file
        self._raw = sqlite3.connect(file, isolation_level=None)
        self._raw.row_factory = sqlite3.Row
        self._raw.execute("PRAGMA synchronous=OFF")
        self._rows: Rows = {}
        self._version = 0
        self._first = ordered(rows)
        self.fill()

    def fill(self) -> None:
        """Make the database hold its rows, and no others."""
        held = self.read()
        if held == self._first:
            return
        self._raw.execute("BEGIN")
        for statement in refilling(held, self._first, "?"):
            self._raw.execute(*statement)
        self._raw.execute("COMMIT")
        self._rows = self._first

    def read(self) -> Rows:
        """Return all rows."""
        # Changes with every commit of another connection.
        version = self._raw.execute("PRAGMA data_version").fetchone()[0]
        if version != self._version:
            self._version = version
            self._rows = ordered(
                {
                    table: [
                        dict(row) for row in self._raw.execute(f"SELECT * FROM {table}")
                    ]
                    for table in seed()
                }
            )
        return self._rows

    def close(self) -> None:
        self._raw.close()


class PostgresEye:
    """The same for PostgreSQL.

    Args:
        dsn: of the database, for psycopg.
        rows: what it holds before each path.
    """

    def __init__(self, dsn: str, rows: Rows) -> None:
        self._raw = psycopg.connect(dsn, autocommit=True)
        self._raw.execute("SET session_replication_role = replica")
        self._first = ordered(rows)
        self._rows = rows
        each = " UNION ALL ".join(
            f"SELECT '{table}', coalesce(json_agg(t), '[]') FROM {table} AS t"
            for table in rows
        )
        self._all = each

    def fill(self) -> None:
        """Make the database hold its rows, and no others."""
        held = self.read()
        changed = {
            table: listed
            for table, listed in self._rows.items()
            if held[table] != self._first[table]
        }
        with self._raw.transaction():
            for told, values in refilling({}, changed, "%s"):
                self._raw.execute(told, values)  # type: ignore[arg-type] # our own text

    def read(self) -> Rows:
        """Return all rows."""
        return ordered(dict(self._raw.execute(self._all).fetchall()))  # type: ignore[arg-type] # our own text

    def close(self) -> None:
        self._raw.close()


def refilling(held: Rows, rows: Rows, mark: str) -> Iterator[tuple[str, list[Any]]]:
    """Yield the statements, with their values, that make the one of the other."""
    for table, listed in rows.items():
        if held.get(table) == listed:
            continue
        yield f"DELETE FROM {table}", []
        for row in listed:
            marks = ", ".join(mark for _ in row)
            told = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})"
            yield told, list(row.values())


def plain(value: Any) -> Any:
    """SQLite has no booleans."""
    return int(value) if isinstance(value, bool) else value


def ordered(rows: Rows) -> Rows:
    """Return the same rows in an order that depends on them alone."""
    return {
        table: sorted(
            ({name: plain(row[name]) for name in sorted(row)} for row in listed),
            key=lambda row: [str(value) for value in row.values()],
        )
        for table, listed in rows.items()
    }
