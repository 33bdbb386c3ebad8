"""Signals of a process that watches over others, and of those that it watches."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Self

_HEARD = {"SIGINT", "SIGTERM", "SIGHUP", "SIGCHLD"}
_TERMINAL = {"SIGINT", "SIGHUP"}


class Signals:
    """Signals as something that can be waited for beside pipes: their numbers come out
    of a socket, so that none is lost and no handler does anything."""

    def __enter__(self) -> Self:
        self.socket, self._note = socket.socketpair()
        self.socket.setblocking(False)  # noqa: FBT003 - the socket's own way
        self._note.setblocking(False)  # noqa: FBT003 - the socket's own way
        self._before = {
            number: signal.signal(number, _leave_it)
            for number in _named(_HEARD)
            if not _is_ignored(number)
        }
        self._woken = signal.set_wakeup_fd(
            self._note.fileno(), warn_on_full_buffer=False
        )
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._woken)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self.socket.close()
        self._note.close()

    def come(self) -> bytes:
        """Return the numbers of those that have come since."""
        try:
            return self.socket.recv(4096)
        except BlockingIOError:
            return b""


def leave_terminal() -> None:
    """Have a worker leave Ctrl-C and the end of a terminal to its parent.

    With a handler, and not by ignoring them: programs that the application starts
    would inherit that.
    """
    for number in _named(_TERMINAL):
        signal.signal(number, _leave_it)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


@contextmanager
def withheld(number: signal.Signals) -> Iterator[None]:
    """Have processes that are started meanwhile begin with a signal held back."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _named(names: set[str]) -> list[signal.Signals]:
    return [number for number in signal.Signals if number.name in names]


def _is_ignored(number: signal.Signals) -> bool:
    """Return whether whoever has started us wants it ignored, as nohup does."""
    ignored = signal.getsignal(number) is signal.SIG_IGN
    return ignored and number.name == "SIGHUP"


def _leave_it(number: int, frame: FrameType | None) -> None:
    """Do nothing: that a signal has come is told elsewhere, or is for the parent."""
