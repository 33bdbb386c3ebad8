"""What ties a worker to the process that has started it, and what the two say."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection

import msgspec

from ringfence.guard.fingerprint import Fingerprint

GO, STOP = b"go", b"stop"
_ORPHANED = 1


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The application has started, and nobody is let in yet.

    Args:
        fingerprint: of its guard.
        words: to be said once everybody listens, besides the address.
    """

    fingerprint: Fingerprint
    words: str


class Serving(msgspec.Struct, frozen=True, tag=True):
    """This worker takes connections."""


class Failed(msgspec.Struct, frozen=True, tag=True):
    """This worker cannot start.

    Args:
        reason: why, in one sentence.
        is_plan: the routes are at fault.
    """

    reason: str
    is_plan: bool = False


Word = Ready | Serving | Failed

_read_word = msgspec.json.Decoder(Ready | Serving | Failed).decode


def read_word(line: bytes) -> Word:
    """Return what a worker has said.

    JSON and not pickle: a worker runs the application's code, and what it says must
    not become code in the process that watches over it (CWE-502).

    Raises:
        ValueError: it is none of the words.
    """
    word: Word = _read_word(line)
    return word


class Leash:
    """A worker's end of the connection to its parent.

    The parent never closes its own end while it lives: the end of it is the end of the
    parent, however it came about. So no worker is left behind that holds the port.

    Args:
        end: the connection.
        patience: seconds between the request to stop and the end by force, once the
            parent has gone; until then it is the parent that sees to it.
    """

    def __init__(self, end: Connection, *, patience: float) -> None:
        self._end = end
        self._patience = patience
        self._decided = threading.Event()
        self._may_go = False
        self._stop: Callable[[], None] | None = None
        self._guarded = threading.Lock()

    def hold(self) -> None:
        """Begin to listen, on a thread of its own, which works where the event loop is
        busy or not there yet."""
        thread = threading.Thread(
            target=self._listen, name="ringfence-leash", daemon=True
        )
        thread.start()

    def say(self, word: Word) -> None:
        """Tell the parent; one that has gone needs to know no more."""
        try:
            self._end.send_bytes(msgspec.json.encode(word))
        except OSError:
            return

    def may_go(self) -> bool:
        """Wait until the parent has compared this worker with the others; return
        whether it may listen."""
        self._decided.wait()
        return self._may_go

    def on_stop(self, stop: Callable[[], None]) -> None:
        """Say what ends this worker in good order. Before that, nothing is open in it,
        and it simply ends.

        Args:
            stop: called from another thread.
        """
        with self._guarded:
            self._stop = stop

    def _listen(self) -> None:
        while (heard := self._hear()) == GO:
            self._may_go = True
            self._decided.set()
        with self._guarded:
            if self._stop is None:
                os._exit(0)
            self._stop()
        self._may_go = False
        self._decided.set()
        while heard == STOP:  # listens on, in case the parent dies meanwhile
            heard = self._hear()
        threading.Event().wait(self._patience)
        os._exit(_ORPHANED)

    def _hear(self) -> bytes:
        try:
            return self._end.recv_bytes()
        except (EOFError, OSError):
            return b""
