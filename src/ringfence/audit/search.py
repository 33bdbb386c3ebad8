"""Finding in the ledger what happened to one request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from ringfence.errors import SettingsError

_BLOCK = 1 << 24  # bytes between two reports of progress

Progress = Callable[[int, int], None]
"""Told how many bytes of how many have been searched."""


def events_of(
    request_id: str, file: Path, progress: Progress = lambda done, of: None
) -> list[dict[str, Any]]:
    """Return every event of a request, the oldest first.

    Args:
        request_id: as a refusal shows it.
        file: the JSON lines file; files beside it that logrotate has moved away
            (``audit.jsonl.1``) are searched too.
        progress: told now and then how far the search has come.

    Raises:
        SettingsError: there is no such file, or it cannot be read.

    Not covered: compressed files, and events that were counted instead of written.
    """
    files = [*sorted(file.parent.glob(f"{file.name}.[0-9]*"), reverse=True), file]
    needle = request_id.encode()
    try:
        total = sum(one.stat().st_size for one in files if one.suffix != ".gz")
        found = [
            event
            for line in _lines(files, total, progress)
            if needle in line
            for event in _decoded(line)
            if event.get("request_id") == request_id
        ]
    except OSError as error:
        message = (
            f"the ledger {file} cannot be read ({error.strerror}); name the directory "
            "in which the application writes, as in RINGFENCE_DATA=var"
        )
        raise SettingsError(message) from error
    return found


def _lines(files: list[Path], total: int, progress: Progress) -> Iterator[bytes]:
    done = reported = 0
    for one in files:
        if one.suffix == ".gz":
            continue
        with one.open("rb") as lines:
            for line in lines:
                yield line
                done += len(line)
                if done - reported >= _BLOCK:
                    reported = done
                    progress(done, total)


def _decoded(line: bytes) -> Iterator[dict[str, Any]]:
    """Yield the event of a line; a crash may have left half of one."""
    try:
        event = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return
    if isinstance(event, dict):
        yield event
