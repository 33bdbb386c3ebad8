"""What the ledger of a running server holds, once everything so far is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2

_TRIES = 500


def settled(folder: Path, client: httpx2.Client) -> list[dict[str, Any]]:
    """Return all events of a server whose data is in ``folder``.

    A thread of the server writes them in order: once a request that is refused now is
    there, so is all that came before it.
    """
    markers = set()
    for _ in range(_TRIES):
        markers.add(client.get("/%00").headers["x-request-id"])
        lines = (folder / "audit.jsonl").read_text("utf-8").splitlines(keepends=True)
        events = [json.loads(line) for line in lines if line.endswith("\n")]
        if any(event.get("request_id") in markers for event in events):
            return events
    raise AssertionError("the ledger is not written")
