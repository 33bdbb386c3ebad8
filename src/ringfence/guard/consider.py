"""Deciding about a request that nobody has sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from ringfence.denial import Denial
from ringfence.errors import SettingsError
from ringfence.exchange import Exchange, Message, Scope, Step, settle
from ringfence.guard.plan import RoutePlan
from ringfence.guard.trace import name_of
from ringfence.principal import Principal
from ringfence.settings import Settings

_NOWHERE_ELSE = "203.0.113.7"  # kept for documentation: RFC 5737
_HERE = "127.0.0.1"

# These decide by the request alone, and change nothing outside it.
_DECIDABLE = frozenset(
    {
        "traffic.request_line",
        "traffic.client_ip",
        "traffic.host",
        "access.stage",
        "guard.stages",
    }
)


class Considered(NamedTuple):
    """What one stage says.

    Args:
        stage: the file of the stage, ``traffic.host``.
        denial: its refusal, if it refuses.
        decided: whether it was asked; others depend on headers, bodies, sessions or
            on what was sent before.
    """

    stage: str
    denial: Denial | None
    decided: bool


class Consideration(NamedTuple):
    """What would become of a request.

    Args:
        plan: of its route; the plan of no route where there is none.
        stages: what each stage says, up to the first refusal.
    """

    plan: RoutePlan
    stages: tuple[Considered, ...]

    @property
    def denial(self) -> Denial | None:
        """The refusal, if there is one."""
        return self.stages[-1].denial if self.stages else None


async def consider(
    exchange: Exchange,
    street: Sequence[Step],
    find: Callable[[Exchange], RoutePlan],
    principal: Principal | None,
) -> Consideration:
    """Ask the stages that can be asked without sending anything.

    Args:
        exchange: made by ``imagined``.
        street: what every request passes.
        find: finds the plan.
        principal: who is meant to send it, ``None`` for nobody who is known.
    """
    said: list[Considered] = []
    plan: RoutePlan | None = None
    for step in street:
        said.append(await _ask(step, exchange))
        if said[-1].denial is not None:
            return Consideration(find(exchange), tuple(said))
    plan = find(exchange)
    exchange.principal = principal
    for step in plan.steps:
        said.append(await _ask(step, exchange))
        if said[-1].denial is not None:
            break
    return Consideration(plan, tuple(said))


async def _ask(step: Step, exchange: Exchange) -> Considered:
    name = name_of(step)
    if name not in _DECIDABLE:
        return Considered(name, None, decided=False)
    end = await settle(step(exchange))
    return Considered(name, end if isinstance(end, Denial) else None, decided=True)


def imagined(method: str, address: str, settings: Settings) -> Exchange:
    """Return the request that a browser on one of our own pages would send.

    Args:
        method: upper case; ``WEBSOCKET`` for a handshake.
        address: path with or without a query, or a URL whose host counts too.
        settings: say where browsers reach the service.

    Raises:
        SettingsError: the URL is none, or nobody knows where browsers reach this.
    """
    if not settings.public_origins and not settings.development:
        raise SettingsError(
            "public_origins is not set, so no request can be imagined; set "
            "RINGFENCE_PUBLIC_ORIGINS as in production, or RINGFENCE_ENV=development"
        )
    origin = (*settings.public_origins, "http://127.0.0.1:8000")[0]
    host, raw, query = _parts(address)
    host = host or urlsplit(origin).netloc
    path = unquote(raw) or "/"
    websocket = method == "WEBSOCKET"
    scope: Scope = {
        "type": "websocket" if websocket else "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": urlsplit(origin).scheme,
        "path": path,
        "raw_path": (raw or "/").encode(),
        "query_string": query.encode(),
        "root_path": "",
        "client": (_HERE if settings.development else _NOWHERE_ELSE, 50_000),
        "server": (host.partition(":")[0], None),
        "headers": [
            (b"host", host.encode()),
            (b"origin", origin.encode()),
            (b"sec-fetch-site", b"same-origin"),
        ],
    }
    return Exchange(scope, _no_body)


def _parts(address: str) -> tuple[str, str, str]:
    """Return host, path and query. A path stays as it would stand in the request line,
    whatever it looks like: ``//evil.example`` is no host there."""
    if address.startswith("/"):
        path, _, query = address.partition("?")
        return "", path, query
    try:
        parts = urlsplit(address)
    except ValueError as error:
        raise SettingsError(f"{address!r} is no URL: {error}") from error
    return parts.netloc, parts.path, parts.query


async def _no_body() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}
