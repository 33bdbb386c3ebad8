"""``ringfence check``: what about an application should be looked at."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from ringfence.audit.redact import escape_controls
from ringfence.check.blind import find_blind
from ringfence.cli.target import load_target

FOUND = 1
_FORMAT_VERSION = 1


def check(target: str, *, as_json: bool) -> int:
    """Print what should be looked at; return 1 if there is anything, else 0.

    Raises:
        PlanError: a route cannot be guarded as it stands.
        SettingsError: there is no such guard, or its settings are wrong.
    """
    _ = load_target(target).plan  # what it imports is what is looked at
    findings = find_blind()
    if as_json:
        rows = [asdict(finding) for finding in findings]
        text = json.dumps({"version": _FORMAT_VERSION, "findings": rows}, indent=2)
    elif findings:
        text = "\n".join(
            f"{finding.code}  {escape_controls(finding.what)}\n    {finding.instead}"
            for finding in findings
        )
    else:
        text = (
            "Nothing found: this application uses nothing that the guards at "
            "interpreters cannot see.\nNext: ringfence plan " + target
        )
    sys.stdout.write(text + "\n")
    return FOUND if findings else 0
