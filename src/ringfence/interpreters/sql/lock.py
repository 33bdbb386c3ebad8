"""The statement lock: the shapes of statements that an application may put together.

Stored text becomes code where a statement is made of what a table holds: no input of
the request stands in it then, and nothing else could tell it from an honest one
(second-order injection). The lock is a file that is learned from the tests, read by
people, and kept with the code.
"""

from __future__ import annotations

import functools
import inspect
import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from ringfence.errors import SettingsError
from ringfence.interpreters.sink import Here
from ringfence.interpreters.sql.constants import is_own, running
from ringfence.interpreters.sql.shapes import shape_of
from ringfence.interpreters.turns import turn_at

_VERSION = 1
_MOST = 10_000  # entries; more come from a statement that has names for its values
_LONGEST = 20_000  # characters of a shape
_MOST_FUNCTIONS = 2
# What drivers and pools say between the application's statements.
_OF_TRANSACTIONS = re.compile(
    r"(?:begin|commit|end|rollback|savepoint|release|start transaction"
    r"|set (?:session |local )?transaction|set session characteristics"
    r"|pragma read_uncommitted)\b[^();]*"
)
_HEAD = f"""\
# Statements that this application puts together while it runs, as its tests have.
# Values are written as ?. Review each: could what it is made of come from outside?
version = {_VERSION}
"""


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """A shape, for one dialect."""

    shape: str
    dialect: str


@dataclass(frozen=True, slots=True)
class StatementLock:
    """The entries of a lock file.

    Args:
        places: each entry with the functions that it came from.
    """

    places: Mapping[Entry, frozenset[str]] = field(default_factory=dict)

    def holds(self, text: str, dialect: str) -> bool:
        """Return whether the shape of a statement is in the lock."""
        return Entry(shape_of(text, dialect), dialect) in self.places

    def with_one(self, entry: Entry, place: str) -> StatementLock:
        """Return a lock that holds one more.

        Raises:
            SettingsError: there are too many.
        """
        if entry not in self.places and len(self.places) >= _MOST:
            message = (
                f"the statement lock holds {_MOST} shapes: some statement has names"
                " made from values; let it name them through an allow-list"
            )
            raise SettingsError(message)
        known = self.places.get(entry, frozenset())
        return StatementLock({**self.places, entry: known | {place}})


def read_lock(path: Path) -> StatementLock:
    """Read a lock file.

    Raises:
        SettingsError: it cannot be read, or it is none.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        message = (
            f"the statement lock {path} cannot be read ({error.strerror}); learn it"
            " with: ringfence lock TARGET --learn 'pytest'"
        )
        raise SettingsError(message) from error
    except ValueError as error:
        message = f"the statement lock {path} is not TOML: {error}"
        raise SettingsError(message) from error
    if content.get("version") != _VERSION:
        message = (
            f"the statement lock {path} is not of version {_VERSION}; learn it anew"
        )
        raise SettingsError(message)
    return StatementLock(dict(_entries(path, content.get("statement", []))))


def _entries(path: Path, found: object) -> Iterable[tuple[Entry, frozenset[str]]]:
    for number, one in enumerate(found if isinstance(found, list) else (), 1):
        match one:
            case {"shape": str(shape), "dialect": str(dialect), "places": list(places)}:
                yield Entry(shape, dialect), frozenset(map(str, places))
            case _:
                message = (
                    f"statement {number} of the statement lock {path} lacks its shape,"
                    " dialect or places"
                )
                raise SettingsError(message)


def write_lock(path: Path, lock: StatementLock) -> None:
    """Write a lock file, sorted, so that a change of the code is a small difference.

    Raises:
        SettingsError: it cannot be written.
    """
    beside = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        beside.write_text(render(lock), "utf-8")
        beside.replace(path)
    except OSError as error:
        message = f"{path} cannot be written ({error.strerror}); is its folder there?"
        raise SettingsError(message) from error


def render(lock: StatementLock) -> str:
    """Return what a lock file holds."""
    parts = [_HEAD]
    for entry in sorted(lock.places):
        places = "".join(
            f"    {_quoted(place)},\n" for place in sorted(lock.places[entry])
        )
        parts.append(
            f"\n[[statement]]\ndialect = {_quoted(entry.dialect)}\n"
            f"shape = {_quoted(entry.shape)}\nplaces = [\n{places}]\n"
        )
    return "".join(parts)


def _quoted(text: str) -> str:
    """Return a basic string of TOML: JSON's, but for one character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


@functools.lru_cache(maxsize=8)
def open_lock(path: Path) -> StatementLock:
    """Read the lock that is enforced: once."""
    return read_lock(path)


def objection_of_lock(whom: Here, text: str, dialect: str) -> str:
    """Return why the lock objects to a statement in which nothing else was found;
    empty if it does not. Where it learns, it learns this one.

    Source: ASVS 5.0 V1.2.4; CWE-89 (second order).
    """
    sinks = whom.sinks
    path = None if sinks is None else sinks.settings.sql_lock
    mode = "off" if sinks is None else sinks.settings.sql_lock_mode
    if path is None or mode == "off":
        return ""
    if _OF_TRANSACTIONS.fullmatch(shape_of(text, dialect)):
        return ""
    if mode == "learn":
        LEARNING.learn(path, text, dialect)
        return ""
    if open_lock(path).holds(text, dialect):
        return ""
    return (
        f"its shape is not in the statement lock {path.name}; if it is meant, let a"
        " test run it and learn it: ringfence lock TARGET --learn"
    )


class Learning:
    """Writes down what runs, while tests run."""

    def __init__(self) -> None:
        self._seen: set[tuple[Path, Entry, str]] = set()
        self._lock = Lock()

    def learn(self, path: Path, text: str, dialect: str) -> None:
        """Add the shape of a statement to a file, with where it came from.

        Raises:
            SettingsError: it cannot be read or written.
        """
        entry = Entry(shape_of(text, dialect)[:_LONGEST], dialect)
        place = _place()
        with self._lock:
            if (path, entry, place) in self._seen:
                return
            self._seen.add((path, entry, place))
            with turn_at(path):
                known = read_lock(path) if path.exists() else StatementLock()
                write_lock(path, known.with_one(entry, place))


LEARNING = Learning()


def _place() -> str:
    """Return which functions of the application the statement came from, the innermost
    last. Without lines, which change with every edit above them."""
    found: list[str] = []
    for frame in running(inspect.currentframe()):
        if is_own(frame) and len(found) < _MOST_FUNCTIONS:
            name = f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_qualname}"
            found.append(name)
    return " > ".join(reversed(found)) or "?"
