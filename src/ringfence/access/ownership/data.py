"""What a guard needs to know of a database whose rows have owners."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

from ringfence.access.ownership.conditions import TableRule
from ringfence.access.policy import Hierarchy
from ringfence.audit.events import Event


@runtime_checkable
class OwnedData(Protocol):
    """A database that a ``Guard`` is given: ``access.sqlalchemy.Database``,
    ``access.mongo.OwnedDatabase``."""

    def bind(self, hierarchy: Hierarchy, record: Callable[[Event], None]) -> None:
        """Take from the guard what roles include and where events go. No I/O.

        Raises:
            DeclarationError: what is declared cannot be enforced.
        """

    def rules(self) -> Sequence[TableRule]:
        """Return what is enforced, for the plan."""

    def open(self) -> Any:
        """Return what handlers work with for one request: ``current.database()``. It
        has ``close()``, plain or awaited."""

    async def dispose(self) -> None:
        """Close connections, when the guard stops."""


@runtime_checkable
class ModelledData(Protocol):
    """A database whose rows are mapped to classes."""

    def models(self) -> Sequence[type]:
        """Return the classes, for what the plan tells of their fields."""


@runtime_checkable
class SignedData(Protocol):
    """A database that is told, signed, for whom a transaction works."""

    def sign_with(self, key: Callable[[], bytes]) -> None:
        """Take from the guard the key that signs. No I/O; the key is asked for later.

        Args:
            key: returns 32 bytes or more; asked each time, since keys rotate.
        """


@runtime_checkable
class ParticularData(Protocol):
    """A database that refuses values which fit none of its columns."""

    def refuses_value(self, error: BaseException | None) -> bool:
        """Return whether an error says no more than that. No I/O."""


@runtime_checkable
class FleetingData(Protocol):
    """A database whose rows can be gone when they are looked at again."""

    def has_lost(self, error: BaseException | None) -> bool:
        """Return whether an error says that a row was there, and no longer is. No
        I/O."""
