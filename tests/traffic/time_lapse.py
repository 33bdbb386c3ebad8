"""An event loop whose time passes as soon as there is nothing else to do."""

from __future__ import annotations

import asyncio
import selectors


class TimeLapseLoop(asyncio.SelectorEventLoop):
    """Jumps to its next timer where another loop would sleep."""

    def __init__(self) -> None:
        self._now = 1_000.0
        super().__init__(_Impatient(self))

    def time(self) -> float:
        return self._now

    def skip(self, seconds: float) -> None:
        self._now += seconds


class _Impatient(selectors.DefaultSelector):
    def __init__(self, loop: TimeLapseLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout=None):
        ready = super().select(0)
        if not ready and timeout:
            self._loop.skip(timeout)
        return ready
