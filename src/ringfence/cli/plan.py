"""``ringfence plan``: every entry point, who may use it, and whose the rows are."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from itertools import chain
from pathlib import Path

from ringfence.access.ownership.conditions import TableRule
from ringfence.access.roles import expand
from ringfence.audit.redact import escape_controls
from ringfence.cli.target import load_target
from ringfence.errors import SettingsError
from ringfence.guard.asgi import Guard
from ringfence.guard.describe import describe, describe_json, describe_roles
from ringfence.guard.escapes import find_escapes
from ringfence.guard.fields import find_fields
from ringfence.guard.matrix import matrix
from ringfence.guard.modules import reached
from ringfence.guard.tables import changes

_CHANGED = 1


def show(target: str, *, as_json: bool) -> int:
    """Print the plan of a guard.

    Raises:
        PlanError: a route cannot be guarded as it stands.
        SettingsError: there is no such guard, or its settings are wrong.
    """
    guard = load_target(target)
    plans = guard.plan
    what = (plans, _rules(guard), find_escapes(), find_fields(plans, guard.data))
    hierarchy = expand(guard.settings.access.hierarchy)
    if as_json:
        roles = {role: sorted(below) for role, below in hierarchy.items()}
        text = json.dumps({**describe_json(*what), "roles": roles}, indent=2)
    else:
        width = _width()
        parts = (describe(*what, width=width), describe_roles(hierarchy, width))
        said = "\n\n".join(filter(None, parts))
        text = "\n".join(map(escape_controls, said.split("\n")))
    sys.stdout.write(text + "\n")
    return 0


def _width() -> int:
    """Return how wide lines may be: as a terminal is, or as ``COLUMNS`` says; 0 for any
    width, where programs read them."""
    if sys.stdout.isatty() or "COLUMNS" in os.environ:
        return shutil.get_terminal_size().columns
    return 0


def show_matrix(target: str, file: Path, *, compare: bool) -> int:
    """Write the role matrix of a guard, or compare it with what was written.

    Args:
        target: the guard.
        file: of the matrix.
        compare: write nothing, and return 1 if it has changed.

    Raises:
        PlanError: a route cannot be guarded as it stands.
        SettingsError: there is no such guard, or the file cannot be read or written.
    """
    guard = load_target(target)
    hierarchy = expand(guard.settings.access.hierarchy)
    plans = guard.plan
    made = matrix(
        plans,
        _rules(guard),
        hierarchy,
        find_fields(plans, guard.data),
        find_escapes(reached(plans)),
    )
    try:
        if compare:
            return _compare(file, made, target)
        file.write_text(made, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the matrix {file} cannot be used: {error}") from error
    sys.stdout.write(
        f"{file} written. Commit it, and have CI compare: "
        f"ringfence plan {shlex.quote(target)} --matrix {shlex.quote(str(file))} "
        "--compare\n"
    )
    return 0


def _compare(file: Path, made: str, target: str) -> int:
    kept = file.read_text(encoding="utf-8")
    if kept == made:
        sys.stdout.write(f"{file} is what the application does.\n")
        return 0
    words = f"ringfence plan {shlex.quote(target)} --matrix {shlex.quote(str(file))}"
    found = list(changes(kept, made)) or [f"{file} was written otherwise"]
    lines = (
        f"Who may do what has changed since {file} was written:",
        *(f"  {change}" for change in found),
        f"If that is meant, write it down: {words}",
    )
    sys.stdout.write("".join(f"{escape_controls(line)}\n" for line in lines))
    return _CHANGED


def _rules(guard: Guard) -> list[TableRule]:
    return list(chain.from_iterable(data.rules() for data in guard.data))
