"""Settings of the tools."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ringfence.errors import SettingsError

_LEAST_INPUT = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class InterpretersSettings:
    """How what reaches an interpreter is judged.

    Raises:
        SettingsError: a number out of its range.
    """

    max_input: int = 2_097_152
    """Bytes of one request, or of the messages of one WebSocket, that are remembered
    to be looked for where text reaches an interpreter; 1024 or more. Where a request
    has brought more, whatever is not static is refused."""

    boundary_map: Path | None = None
    """A file in which is kept which input of which route reaches which interpreter, for
    ``ringfence map``. For tests and for looking at real traffic: it costs a look at
    every value that is bound."""

    def __post_init__(self) -> None:
        if self.max_input < _LEAST_INPUT:
            message = f"interpreters.max_input is {self.max_input}; 1024 is the least"
            raise SettingsError(message)
