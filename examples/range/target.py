"""One vulnerable entry point, and what it takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from ringfence import access
from ringfence.marks import Mark

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Target:
    """A hole, and the policy that its route has on the guarded side.

    Args:
        method: ``GET`` or ``POST``.
        path: the template.
        handler: the same on both sides.
        hole: what is wrong with it, in a few words; the summary in /openapi.json.
        policy: used with the guard on; the unguarded side knows no policies.
        query: names in the query string.
        body: fields of the body, a form or JSON.
        marks: limits, likewise with the guard on only.
    """

    method: str
    path: str
    handler: Handler
    hole: str
    policy: access.Policy = access.public
    query: tuple[str, ...] = ()
    body: tuple[str, ...] = ()
    marks: tuple[Mark, ...] = ()
