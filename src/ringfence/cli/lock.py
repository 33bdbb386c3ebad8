"""``ringfence lock``: learn which statements an application puts together."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from ringfence.cli.target import load_target
from ringfence.errors import SettingsError
from ringfence.interpreters.sql.lock import (
    Entry,
    StatementLock,
    read_lock,
    render,
)
from ringfence.interpreters.sql.shapes import shape_of

_FILE = "statements.lock"
_FINDINGS = 1
_MODE = "RINGFENCE_INTERPRETERS_SQL_LOCK_MODE"
_PATH = "RINGFENCE_INTERPRETERS_SQL_LOCK"


def lock(target: str, *, learn: str = "", check: bool = False) -> int:
    """Learn, check or print the statement lock of a guard.

    Args:
        target: the guard.
        learn: a command that runs the tests.
        check: only say whether the file is in order.

    Raises:
        SettingsError: there is no such guard, or the file cannot be read.
    """
    path = load_target(target).settings.interpreters.sql_lock or Path(_FILE)
    if learn:
        return _learn(path, learn)
    if check:
        return _check(path)
    _print_entries(read_lock(path))
    _say(f"{path}: {_how_many(read_lock(path))}. {_NEXT}")
    return 0


_NEXT = (
    "Enforce it in production with RINGFENCE_INTERPRETERS_SQL_LOCK_MODE=enforce and"
    f" {_PATH} set to the file."
)


def _learn(path: Path, command: str) -> int:
    before = read_lock(path) if path.exists() else StatementLock()
    environ = {**os.environ, _MODE: "learn", _PATH: str(path.absolute())}
    words = shlex.split(command)
    try:
        done = subprocess.run(words, env=environ, check=False)  # noqa: S603 - the user's own command
    except OSError as error:
        raise SettingsError(f"{words[0]} cannot be run: {error.strerror}") from error
    if not path.exists():
        _say(
            f"{command} has put no statement together: there is nothing to lock. If it"
            " should have, does the guard in the tests read its settings from the"
            " environment?"
        )
        return done.returncode
    after = read_lock(path)
    new = StatementLock(
        {key: value for key, value in after.places.items() if key not in before.places}
    )
    _print_entries(new)
    _say(f"{path}: {_how_many(after)}, {len(new.places)} of them new.")
    if done.returncode:
        _say(
            f"The tests failed ({done.returncode}): what they did not reach is missing."
        )
    _say(
        "Now read each new one: could what it is made of come from outside? Then commit"
        f" the file. {_NEXT}"
    )
    return _FINDINGS if done.returncode else 0


def _check(path: Path) -> int:
    """Say what is wrong with the file: nothing, after an honest review."""
    found = read_lock(path)
    problems = [
        f"not in the form of a shape, so that no statement matches it: {entry.shape}"
        for entry in sorted(found.places)
        if not _is_shape(entry)
    ]
    if path.read_text("utf-8") != render(found):
        problems.append("not as it was written: learn again, and it will be sorted")
    for problem in problems:
        _say(f"{path}: {problem}")
    if not problems:
        _say(f"{path}: {_how_many(found)}, in order.")
    return _FINDINGS if problems else 0


def _is_shape(entry: Entry) -> bool:
    return shape_of(entry.shape, entry.dialect) == entry.shape


def _print_entries(lock: StatementLock) -> None:
    for entry, places in sorted(lock.places.items()):
        _say(f"{entry.dialect}: {entry.shape}")
        for place in sorted(places):
            _say(f"    {place}")


def _how_many(lock: StatementLock) -> str:
    number = len(lock.places)
    return f"{number} statement" if number == 1 else f"{number} statements"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
