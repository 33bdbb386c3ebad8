"""An address, and who may use it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringfence.exchange import Exchange

Access = Literal["public", "signed_in", "fresh", "any_scope"]
"""``fresh`` is signed in, with a proof of who it is from the last ten minutes;
``any_scope`` is signed in, or a program with an API key."""

Handler = Callable[[Request, Exchange], Awaitable[Response]]


class IdentityRoute(Route):
    """A route that says who may use it. The guard makes its policy of it."""

    identity_access: Access


class Subject(Protocol):
    """What has addresses."""

    def routes(self) -> list[IdentityRoute]:
        """Return them, each with who may use it."""
