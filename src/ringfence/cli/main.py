"""The entry point: runs a command and turns errors into one sentence and a number.

Exit codes: 0 all is well, 1 something was found or refused, 2 it could not run.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from traceback import extract_tb
from typing import Protocol

from ringfence.audit.redact import redact
from ringfence.errors import (
    DeclarationError,
    MissingExtraError,
    PlanError,
    RingfenceError,
)

FOUND = 1
COULD_NOT_RUN = 2
_INTERRUPTED = 130  # 128 + SIGINT, as shells have it
_PACKAGE = Path(__file__).parents[1]


class Command(Protocol):
    """Runs what the words of a command line ask for."""

    def __call__(self, words: Sequence[str] | None) -> int:
        """Return the exit code."""


def main(words: Sequence[str] | None = None) -> int:
    """Run ``ringfence`` with these words, by default those of the command line.

    Returns:
        The exit code.
    """
    try:
        return open_commands()(words)
    except RingfenceError as error:
        lines = map(redact, str(error).split("\n"))
        sys.stderr.write("ringfence: " + "\n".join(lines) + "\n")
        if isinstance(error, DeclarationError):
            sys.stderr.write(_place(error))
        return FOUND if isinstance(error, PlanError) else COULD_NOT_RUN
    except KeyboardInterrupt:
        return _INTERRUPTED


def _place(error: DeclarationError) -> str:
    """Return a line that says where in the application a declaration stands, unless
    the message names that file."""
    for frame in reversed(extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_file() and not path.is_relative_to(_PACKAGE):
            if "site-packages" in path.parts or frame.filename in str(error):
                return ""
            return f"  {frame.filename}:{frame.lineno}\n"
    return ""


def open_commands() -> Command:
    """Return the commands.

    Raises:
        MissingExtraError: the extra ``cli`` is not installed.
    """
    try:
        from ringfence.cli.commands import run  # noqa: PLC0415 - late: optional cyclopts
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in {"cyclopts", "rich"}:
            raise
        raise MissingExtraError(missing, "cli", "run the command ringfence") from error
    return run


if __name__ == "__main__":
    sys.exit(main())
