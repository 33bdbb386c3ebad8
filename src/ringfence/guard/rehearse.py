"""Showing at start-up that every request arrives where its plan is.

A probe goes down each route, straight to the framework's router, and is stopped by the
entry before anything of a handler runs. It must arrive at the plan that the index
picks. So the index is never trusted, it is tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ringfence.errors import PlanError
from ringfence.exchange import Exchange, Message, Scope
from ringfence.frameworks.table import Application, Branch, Leaf, Table
from ringfence.guard.bind import SCOPE_KEY, Rehearsed
from ringfence.guard.index import Index
from ringfence.guard.plan import RoutePlan

_HOST = "rehearsal.invalid"  # RFC 2606: names nothing


@dataclass(frozen=True, slots=True)
class _Walk:
    """One request to rehearse."""

    leaf: Leaf
    method: str
    path: str
    host: str
    transparent: bool


async def rehearse(
    application: Application, index: Index, plan_of: Callable[[Leaf], RoutePlan]
) -> tuple[str, ...]:
    """Send a probe down every route that has a sample path, with each of its methods.

    Args:
        application: bound to its plans.
        index: made from the same plans.
        plan_of: the plan of each entry point.

    Returns:
        What could not be rehearsed and why, in sentences.

    Raises:
        PlanError: a probe arrived at another plan than the index picks.
    """
    notes: list[str] = []
    root_path = application.table.root_path
    for walk in _walks(application.table, _Walks()):
        expected = index.find(walk.method, root_path + walk.path, walk.host, root_path)
        if expected is not plan_of(walk.leaf):
            notes.append(_not_rehearsed(walk, expected))
            continue
        reached, trouble = await _probe(application, walk, root_path)
        if reached is expected:
            continue
        if reached is None and not walk.transparent:
            notes.append(
                f"{walk.method} {walk.leaf.path} was not rehearsed: middleware of the "
                f"mount around it answered by itself{trouble}"
            )
            continue
        raise _disagreement(walk, expected, reached, trouble)
    return tuple(dict.fromkeys(notes))


@dataclass(frozen=True, slots=True)
class _Walks:
    """What stands above a table."""

    prefix: str = ""
    host: str = _HOST
    transparent: bool = True


def _walks(table: Table, above: _Walks) -> Iterator[_Walk]:
    for entry in (*table.entries, *table.fallbacks):
        if isinstance(entry, Branch):
            yield from _walks_below(entry, above)
        elif entry.sample:
            for method in _methods(entry):
                path = above.prefix + entry.sample
                yield _Walk(entry, method, path, above.host, above.transparent)


def _walks_below(branch: Branch, above: _Walks) -> Iterator[_Walk]:
    if branch.sample is None:
        return
    transparent = above.transparent and branch.transparent
    if branch.by_host:
        below = _Walks(above.prefix, branch.sample, transparent)
    else:
        below = _Walks(above.prefix + branch.sample, above.host, transparent)
    yield from _walks(branch.table, below)


def _methods(leaf: Leaf) -> tuple[str, ...]:
    if leaf.kind == "websocket":
        return ("WEBSOCKET",)
    if leaf.kind == "mount":
        return ("GET", "WEBSOCKET")
    return tuple(sorted(leaf.methods)) if leaf.methods else ("GET",)


async def _probe(
    application: Application, walk: _Walk, root_path: str
) -> tuple[RoutePlan | None, str]:
    """Return the plan at which a request arrives, and what was raised instead."""
    scope = _scope(walk, root_path)
    websocket = scope["type"] == "websocket"

    async def receive() -> Message:
        # whoever waits for more, as middleware of a mount may, learns that it is over
        kind = "websocket.disconnect" if websocket else "http.disconnect"
        return {"type": kind, "code": 1001}

    async def send(message: Message) -> None:
        """Let answers of the framework go nowhere."""

    exchange = Exchange(scope, receive)
    exchange.probe = _ON_THE_WAY
    scope[SCOPE_KEY] = exchange
    trouble = ""
    try:
        await application.router(scope, receive, send)
    except Rehearsed:
        pass
    # middleware of the user may raise anything, and task groups wrap ``Rehearsed``
    except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - judged below by what was reached
        trouble = f" ({type(error).__name__}: {error})"
    reached = exchange.probe
    return (reached if isinstance(reached, RoutePlan) else None), trouble


_ON_THE_WAY = object()


def _scope(walk: _Walk, root_path: str) -> Scope:
    path = root_path + walk.path
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": walk.method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": root_path,
        "query_string": b"",
        "headers": [(b"host", walk.host.encode())],
        "client": ("127.0.0.1", 0),
        "server": (walk.host, 80),
        "state": {},
    }
    if walk.method == "WEBSOCKET":
        del scope["method"]
        scope.update(type="websocket", scheme="ws", subprotocols=[])
    return scope


def _not_rehearsed(walk: _Walk, expected: RoutePlan | None) -> str:
    by = "nothing" if expected is None else expected.path
    return (
        f"{walk.method} {walk.leaf.path} was not rehearsed: {walk.path} is answered "
        f"by {by}"
    )


def _disagreement(
    walk: _Walk, expected: RoutePlan, reached: RoutePlan | None, trouble: str
) -> PlanError:
    arrived = f"{reached.path} [{reached.place}]" if reached else "no endpoint"
    return PlanError(
        f"{walk.method} {walk.path} is planned for {expected.path} [{expected.place}], "
        f"but the application leads it to {arrived}{trouble}; either a middleware "
        "rewrites paths (put it outside Guard), or the framework's routing is not "
        "understood (please report it with this message)"
    )
