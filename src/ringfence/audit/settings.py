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
    refusals, so that a flood of those cannot displace a sign-in or a change of role."""

    refusals_per_second: int = 200
    """Most refusals written per second, 1 or more; the others are counted, and the
    count is written. It keeps an attacker from filling the disk."""

    def __post_init__(self) -> None:
        if self.queue < 16:  # noqa: PLR2004 - smaller ones have no room for two lanes
            raise SettingsError(f"queue must be 16 or more, not {self.queue}")
        if self.refusals_per_second < 1:
            found = self.refusals_per_second
            raise SettingsError(f"refusals_per_second must be 1 or more, not {found}")
