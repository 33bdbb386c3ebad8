"""The one way round ownership: explicit, with a reason, in the ledger and in the plan.

with unscoped("nightly report"):
    rows = await db.scalars(select(Order))
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Self

lifted: ContextVar[Unscoped | None] = ContextVar("ringfence_unscoped", default=None)

_LEAST_REASON = 3  # characters


class Unscoped:
    """Lift ownership for the statements inside a ``with`` block.

    What was loaded inside leaves its session at the end of the block, so that nobody
    finds it there afterwards. Write changes out (``flush``) before the end.

    Args:
        reason: why, for the ledger and the plan; a constant, so that the plan can list
            it.

    Raises:
        TypeError: the reason is no text.
        ValueError: the reason says nothing.

    Not covered: what the code does with the rows; routes still have their policies.
    """

    __slots__ = ("_leave", "_token", "reason", "told")

    def __init__(self, reason: str) -> None:
        if not isinstance(reason, str):
            raise TypeError("unscoped takes the reason as text")
        if len(reason.strip()) < _LEAST_REASON:
            raise ValueError(
                'unscoped needs a reason, as in unscoped("nightly report")'
            )
        self.reason = reason
        self.told = False
        """Whether the ledger knows of it: whoever carries out the first statement
        tells, and sets this."""
        self._leave: list[Callable[[], None]] = []
        self._token: Token[Unscoped | None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether the block has not been left. A task or a thread that was started
        inside carries the escape on, and would work round ownership for ever."""
        return self._token is not None

    def at_end(self, callback: Callable[[], None]) -> None:
        """Have something called when the block is left."""
        self._leave.append(callback)

    def __enter__(self) -> Self:
        if self._token is not None:
            raise RuntimeError("this unscoped block is entered already; make another")
        self._token = lifted.set(self)
        self.told = False
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        token, self._token = self._token, None
        if token is not None:
            lifted.reset(token)
        leave, self._leave = self._leave, []
        for callback in leave:
            callback()


unscoped = Unscoped
"""As it is written in code: ``with unscoped("nightly report"):``."""
