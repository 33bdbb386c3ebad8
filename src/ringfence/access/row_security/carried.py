"""What one connection has told the database about whom it works for."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Protocol

from ringfence.access.ownership.acting import Actor, acting
from ringfence.access.row_security.context import SETTING, Signer

inspecting: ContextVar[bool] = ContextVar("ringfence_inspecting", default=False)
"""Whether the database is only asked about itself: for nobody, and without a key."""

_SET_LOCAL = f"SELECT pg_catalog.set_config('{SETTING}', {{}}, true)"


def told() -> Actor:
    """Return of whom the database is told."""
    return None if inspecting.get() else acting()


class Begins(Protocol):
    """A connection of a driver that brings the context along with ``BEGIN``."""

    carried: Carried | None

    def is_within(self) -> bool:
        """Return whether a transaction has begun."""

    def backend(self) -> int:
        """Return the process of the server."""


class _Unsaid:
    """Nothing has been said yet; nobody is something."""


_UNSAID = _Unsaid()


class Carried:
    """What one connection has told the database.

    Args:
        sign: writes for whom a transaction works.
        backend: the process of the server, or ``None`` behind a pooler.
        begins: the driver's connection, if it brings the context along by itself.
    """

    __slots__ = (
        "_actor",
        "_ready",
        "_until",
        "backend",
        "begins",
        "for_all",
        "sign",
    )

    def __init__(
        self,
        sign: Signer,
        backend: int | None,
        begins: Begins | None,
    ) -> None:
        self.sign = sign
        self._actor: Actor | _Unsaid = _UNSAID
        self._until = 0.0
        self._ready = ""
        self.backend = backend
        self.begins = begins
        self.for_all = False
        """Whether it was said for all transactions to come: in autocommit."""

    def prepare(self, actor: Actor) -> None:
        """Sign before the driver begins: one that cannot begin, since there is no key,
        would be left in a state of its own."""
        self._ready = self.text(actor)

    def behind_begin(self) -> str:
        """Return the statement to send behind ``BEGIN``. The text has no quotes in it,
        whatever a principal is called: base64 and a dot."""
        actor = told()
        ready, self._ready = self._ready, ""
        if not ready or not self.has_said(actor) or self.is_stale():
            ready = self.text(actor)
        return _SET_LOCAL.format(f"'{ready}'")

    def text(self, actor: Actor) -> str:
        """Return the context, and take it as said."""
        self.forget()  # a key that is missing must leave nothing behind
        text = self.sign(actor, self.backend)
        self._actor = actor
        self._until = self.sign.clock() + self.sign.lifetime / 2
        return text

    def has_said(self, actor: Actor) -> bool:
        """Return whether the database knows that this is who acts."""
        said = self._actor
        return said is actor or said == actor

    def is_stale(self) -> bool:
        """Return whether transactions that begin from now on want a new text."""
        return self.sign.clock() > self._until

    def forget(self) -> None:
        """Take nothing as said: the transaction has ended, or gone back."""
        self._actor = _UNSAID
        self._ready = ""
