"""All the addresses together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from starlette.routing import Router

from ringfence.identity.routes.route import IdentityRoute


class Subject(Protocol):
    """What has addresses."""

    def routes(self) -> list[IdentityRoute]:
        """Return them, each with who may use it."""


def gatehouse(subjects: Iterable[Subject]) -> Router:
    """Return the application that answers under ``/auth``.

    Args:
        subjects: what it is made of.
    """
    return Router(routes=[route for subject in subjects for route in subject.routes()])
