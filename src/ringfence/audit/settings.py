"""Settings of the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ringfence.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """Where events go, and how many of them at most."""

    file: Path | None = None
    """The JSON lines file; unset means ``audit.jsonl`` in the data directory."""

    stderr: bool = False
    """Also write each event to the standard error stream, for containers."""

    queue: int = 4096
    """Most events that wait for the writer; 16 or more. A quarter is kept free of
    refusals and failures, so that a flood of those cannot displace a sign-in or a
    change of role, and another quarter of requests that were malformed or went
    nowhere."""

    refusals_per_second: int = 200
    """Most refusals written per second, 1 or more; the others are counted, and the
    count is written. It keeps an attacker from filling the disk. Refused access, and
    what ``browser.`` and ``identity.`` refuse, has as much again for itself: strange
    paths, which cost nothing, cannot hide it."""

    floods_per_second: int = 10
    """Most requests over a limit that are written per second, 1 or more; the others are
    counted, and get the shortest answer, without an id. To turn a flood away must cost
    less than to send it."""

    failures_per_second: int = 10
    """Most failures of the application written per second, 1 or more, to the ledger
    and with their traces to the log; the others are counted, and the count is
    written."""

    def __post_init__(self) -> None:
        if self.queue < 16:  # noqa: PLR2004 - smaller ones have no room for two lanes
            raise SettingsError(f"queue must be 16 or more, not {self.queue}")
        for name in (
            "refusals_per_second",
            "floods_per_second",
            "failures_per_second",
        ):
            found = getattr(self, name)
            if found < 1:
                raise SettingsError(f"{name} must be 1 or more, not {found}")
