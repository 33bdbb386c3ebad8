"""Settings of the tools."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ringfence.errors import SettingsError
from ringfence.interpreters.destinations import check_lines

_LEAST_INPUT = 1_024
_DEEPEST = 500  # Python's parsers end near 1000 calls within calls


@dataclass(frozen=True, slots=True, kw_only=True)
class InterpretersSettings:
    """How what reaches an interpreter is judged.

    Raises:
        SettingsError: a number out of its range, or a destination that is none.
    """

    max_input: int = 2_097_152
    """Bytes of one request, or of the messages of one WebSocket, that are remembered
    to be looked for where text reaches an interpreter; 1024 or more. Where a request
    has brought more, whatever is not static is refused."""

    boundary_map: Path | None = None
    """A file in which is kept which input of which route reaches which interpreter, for
    ``ringfence map``. For tests and for looking at real traffic: it costs a look at
    every value that is bound."""

    egress: tuple[str, ...] = ()
    """What may be dialled while a request is answered: ``public`` for the internet,
    ``api.example.com``, ``10.0.0.0/8``, ``[fd00::1]:5432``, ... Empty leaves the public
    internet open, and of the rest what no request has chosen. For names of which the
    addresses change from one lookup to the next, declare the networks."""

    egress_private: tuple[str, ...] = ()
    """The application's own destinations that are not on the public internet, such as
    ``db.internal:5432`` or ``10.0.0.5``: a request that follows a URL from outside may
    dial them too, unless that URL names them. What is dialled at start-up is known
    without."""

    json_depth: int = 32
    """Lists and objects of a JSON body that may stand in each other, 1 to 500. Deeper
    ones are answered with 400."""

    redirects: tuple[str, ...] = ()
    """Hosts to which an answer may send a browser although an input names them, such as
    ``pay.example.com``; with a dot in front, ``.example.com``, also all below. Those of
    ``public_origins`` and what no input names need no mention."""

    sql_lock: Path | None = None
    """The file of the statement lock: the shapes of the SQL statements that the
    application puts together, for ``ringfence lock``."""

    sql_lock_mode: Literal["off", "learn", "enforce"] = "off"
    """``learn`` adds to that file what runs, while tests run; ``enforce`` refuses a
    statement that is put together in a request and whose shape is not in it."""

    def __post_init__(self) -> None:
        if self.sql_lock_mode != "off" and self.sql_lock is None:
            message = (
                f"interpreters.sql_lock_mode is {self.sql_lock_mode}, without a file:"
                " set interpreters.sql_lock, to statements.lock say"
            )
            raise SettingsError(message)
        if self.sql_lock_mode == "enforce" and not self._lock_is_there():
            message = (
                f"interpreters.sql_lock is {self.sql_lock}, and there is no such file;"
                " learn it with: ringfence lock TARGET --learn 'pytest'"
            )
            raise SettingsError(message)
        if not 1 <= self.json_depth <= _DEEPEST:
            message = (
                f"interpreters.json_depth is {self.json_depth}; 1 to 500 it may be"
            )
            raise SettingsError(message)
        check_lines("interpreters.egress", self.egress)
        check_lines("interpreters.egress_private", self.egress_private)
        if self.max_input < _LEAST_INPUT:
            message = f"interpreters.max_input is {self.max_input}; 1024 is the least"
            raise SettingsError(message)

    def _lock_is_there(self) -> bool:
        return self.sql_lock is not None and self.sql_lock.is_file()
