"""``ringfence plan``: every entry point, and who may use it."""

from __future__ import annotations

import json
import sys

from ringfence.audit.redact import escape_controls
from ringfence.cli.target import load_target
from ringfence.guard.describe import describe, describe_json


def show(target: str, *, as_json: bool) -> int:
    """Print the plan of a guard.

    Raises:
        PlanError: a route cannot be guarded as it stands.
        SettingsError: there is no such guard, or its settings are wrong.
    """
    plans = load_target(target).plan
    if as_json:
        text = json.dumps(describe_json(plans), indent=2)
    else:
        text = "\n".join(map(escape_controls, describe(plans).split("\n")))
    sys.stdout.write(text + "\n")
    return 0
