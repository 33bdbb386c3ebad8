"""Settings of the doors."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """Who may do what."""

    hierarchy: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: MappingProxyType({"admin": ("operator",)})
    )
    """Each role with the roles it includes: an admin may do what an operator may."""
