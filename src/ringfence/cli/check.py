"""``ringfence check``: what about an application should be looked at."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from ringfence.audit.redact import escape_controls
from ringfence.check.blind import find_blind
from ringfence.check.row_security import find_open_rows, second_walls
from ringfence.cli.rls import signing_keys
from ringfence.cli.target import load_target
from ringfence.errors import SettingsError
from ringfence.findings import Finding
from ringfence.guard.asgi import Guard

FOUND = 1
_FORMAT_VERSION = 1
_ONE_WALL = (
    "Rows with owners have one wall here, in the application: row-level security is "
    "PostgreSQL's, and switched on by Database(..., row_security=True)."
)


def check(target: str, *, as_json: bool) -> int:
    """Print what should be looked at; return 1 if there is anything, else 0.

    Databases with row-level security are asked whether it is in force.

    Raises:
        PlanError: a route cannot be guarded as it stands.
        SettingsError: there is no such guard, or its settings are wrong.
    """
    guard = load_target(target)
    _ = guard.plan  # what it imports is what is looked at
    walls = second_walls(guard.data)
    findings = [*find_blind(), *find_open_rows(walls, _keys(guard, walls))]
    if as_json:
        rows = [asdict(finding) for finding in findings]
        text = json.dumps({"version": _FORMAT_VERSION, "findings": rows}, indent=2)
    elif findings:
        text = "\n".join(
            f"{finding.code}  {_place(finding)}{escape_controls(finding.what)}\n"
            f"    {finding.instead}"
            for finding in findings
        )
    else:
        text = (
            "Nothing found: this application uses nothing that the guards at "
            "interpreters cannot see.\nNext: ringfence plan " + target
        )
    if len(walls) < len(guard.data) and not as_json:
        text += f"\n{_ONE_WALL}"
    sys.stdout.write(text + "\n")
    return FOUND if findings else 0


def _place(finding: Finding) -> str:
    """Return where it is, where the sentence does not say so itself."""
    if not finding.code.startswith("access."):
        return ""
    return f"{escape_controls(finding.where)}: "


def _keys(guard: Guard, walls: Sequence[object]) -> tuple[bytes, ...]:
    """Return the keys that the databases should know; none where they are not here, as
    on the machine that only runs checks."""
    if not walls:
        return ()
    try:
        return signing_keys(guard.settings)
    except SettingsError:
        return ()
