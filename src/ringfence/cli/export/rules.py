"""What of a guard's plan a gateway can carry out, free of any gateway's language."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from ringfence.guard.asgi import Guard
from ringfence.guard.plan import RoutePlan
from ringfence.traffic.addresses import parse_network
from ringfence.traffic.rate import Rate, parse_optional_rate
from ringfence.traffic.rate_limit import Limit

_PARAMETER = re.compile(r"\{[^{}]*?(?P<rest>:path)?\}")
_ANY_METHOD = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


@dataclass(frozen=True, slots=True)
class Route:
    """One path with all that is served under it.

    Args:
        template: as the plan shows it.
        pattern: a regular expression for the whole path, in the syntax that PCRE, RE2
            and Rust share.
        methods: that are served, in alphabetical order.
        websocket: whether it takes handshakes.
        limits: budgets of one client address on this path.
    """

    template: str
    pattern: str
    methods: tuple[str, ...]
    websocket: bool
    limits: tuple[Rate, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a gateway is told.

    Args:
        hosts: names that are served; one with a leading dot stands for all below it.
        max_body: bytes.
        body_seconds: longest wait for the next piece of a body.
        head_bytes: longest request line, and longest header.
        address: how often one client address may ask, ``None`` for no limit.
        blocked: networks that are refused.
        routes: in the plan's order.
    """

    hosts: tuple[str, ...]
    max_body: int
    body_seconds: int
    head_bytes: int
    address: Rate | None
    blocked: tuple[str, ...]
    routes: tuple[Route, ...]

    @property
    def methods(self) -> tuple[str, ...]:
        """Every method that some route serves."""
        return tuple(sorted({name for one in self.routes for name in one.methods}))


def rules_of(guard: Guard) -> Rules:
    """Return what a gateway in front of a guard can refuse."""
    settings = guard.settings
    traffic = settings.traffic
    hosts = [urlsplit(origin).hostname or "" for origin in settings.public_origins]
    hosts += [host.partition(":")[0] for host in traffic.allowed_hosts]
    return Rules(
        hosts=tuple(dict.fromkeys(filter(None, hosts))),
        max_body=traffic.max_body,
        body_seconds=max(1, int(traffic.body_grace)),
        head_bytes=traffic.path_limit + traffic.query_limit,
        address=parse_optional_rate(traffic.limits_address, "traffic.limits_address"),
        blocked=tuple(str(parse_network(text)) for text in traffic.blocked),
        routes=_routes(guard.plan),
    )


def _routes(plans: Sequence[RoutePlan]) -> tuple[Route, ...]:
    """Join the plans of one path: gateways decide by path first."""
    by_pattern: dict[str, list[RoutePlan]] = {}
    for plan in plans:
        by_pattern.setdefault(pattern_of(plan), []).append(plan)
    return tuple(_route(pattern, some) for pattern, some in by_pattern.items())


def _route(pattern: str, plans: Sequence[RoutePlan]) -> Route:
    http = [plan for plan in plans if plan.kind != "websocket"]
    methods: set[str] = set()
    for plan in http:
        methods |= set(plan.methods or _ANY_METHOD)
        if plan.sharing is not None:
            methods.add("OPTIONS")  # the preflight, which the guard answers
    if "GET" in methods or len(http) < len(plans):
        methods |= {"GET", "HEAD"}  # a handshake is a GET
    return Route(
        template=plans[0].path,
        pattern=pattern,
        methods=tuple(sorted(methods)),
        websocket=len(http) < len(plans),
        limits=tuple(_address_limits(plans)),
    )


def _address_limits(plans: Iterable[RoutePlan]) -> Iterable[Rate]:
    """Return the budgets of an address that hold for every method of a path: a gateway
    cannot tell which of them is meant."""
    each = [
        {
            mark.rate
            for mark in plan.marks
            if isinstance(mark, Limit) and mark.by == "address"
        }
        for plan in plans
    ]
    return sorted(set.intersection(*each), key=lambda rate: rate.text) if each else ()


def pattern_of(plan: RoutePlan) -> str:
    """Return a regular expression for the paths of a plan, wide rather than narrow:
    what a parameter may look like is left to the backend."""
    path = plan.path.rstrip("/") if plan.kind == "mount" else plan.path
    text, at = "", 0
    for found in _PARAMETER.finditer(path):
        text += _literal(path[at : found.start()])
        text += ".*" if found["rest"] else "[^/]+"
        at = found.end()
    text += _literal(path[at:])
    if plan.kind == "mount":
        return f"^{text}(/.*)?$"
    return f"^{text}$" if text.endswith(("/", ".*")) else f"^{text}/?$"


def _literal(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9/_~%-]", lambda found: "\\" + found[0], text)
