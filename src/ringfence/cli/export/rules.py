"""What of a guard's plan a gateway can carry out, free of any gateway's language."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from ringfence.access.policy import Closed
from ringfence.guard.asgi import Guard
from ringfence.guard.plan import RoutePlan
from ringfence.traffic.addresses import parse_network
from ringfence.traffic.budgets import Limit
from ringfence.traffic.rate import Rate, parse_optional_rate

_PARAMETER = re.compile(r"\{[^{}:]*(?::(?P<kind>[^{}]*))?\}")
# What stays within a segment. Any other convertor may match slashes, as path does.
_NARROW = frozenset(
    {"str", "int", "float", "uuid", "decimal", "date", "datetime", "time", "timedelta"}
)
_ANY_METHOD = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
_ONE, _REST = "\0", "\0\0"  # parameters, where two templates are compared
_AS_SENT = "!$&'()*+,;=:@"  # signs of a path that no client encodes (RFC 3986, 3.3)


class Limited(NamedTuple):
    """A budget of one client address.

    Args:
        rate: how many in which time.
        methods: that draw from it, in alphabetical order.
    """

    rate: Rate
    methods: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """One path with all that is served under it.

    Args:
        template: as the plan shows it.
        pattern: a regular expression for the whole path, decoded, in the syntax that
            PCRE, RE2 and Rust share.
        raw_pattern: the same for the path as clients send it.
        methods: that are served, in alphabetical order; those of later routes that
            answer some of these paths are among them.
        websocket: whether it takes handshakes.
        limits: budgets of one client address on this path.
    """

    template: str
    pattern: str
    raw_pattern: str
    methods: tuple[str, ...]
    websocket: bool
    limits: tuple[Limited, ...]


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
    hosts = [_without_port(urlsplit(one).netloc) for one in settings.public_origins]
    hosts += [_without_port(host) for host in traffic.allowed_hosts]
    return Rules(
        hosts=tuple(dict.fromkeys(filter(None, hosts))),
        max_body=traffic.max_body,
        body_seconds=max(1, int(traffic.body_grace)),
        head_bytes=traffic.path_limit + traffic.query_limit,
        address=parse_optional_rate(traffic.limits_address, "traffic.limits_address"),
        blocked=tuple(str(parse_network(text)) for text in traffic.blocked),
        routes=_routes(
            [plan for plan in guard.plan if not isinstance(plan.policy, Closed)]
        ),
    )


def _without_port(host: str) -> str:
    return re.sub(r":[0-9]*\Z", "", host.lower())


def _routes(plans: Sequence[RoutePlan]) -> tuple[Route, ...]:
    """Join the plans of one path: gateways decide by path first."""
    by_pattern: dict[str, list[RoutePlan]] = {}
    for plan in plans:
        by_pattern.setdefault(pattern_of(plan), []).append(plan)
    groups = list(by_pattern.values())
    return tuple(
        _route(
            some, [one for later in groups[at:] for one in later if _meet(some, one)]
        )
        for at, some in enumerate(groups)
    )


def _route(plans: Sequence[RoutePlan], reached: Sequence[RoutePlan]) -> Route:
    """Return the route of some plans.

    Args:
        plans: of one path.
        reached: these and later ones that answer some of these paths: the first
            pattern that fits takes a request from all others, whatever its method.
    """
    return Route(
        template=plans[0].path,
        pattern=pattern_of(plans[0]),
        raw_pattern=pattern_of(plans[0], raw=True),
        methods=tuple(sorted({name for one in reached for name in _methods(one)})),
        websocket=any(one.kind == "websocket" for one in reached),
        limits=tuple(_address_limits(plans)),
    )


def _methods(plan: RoutePlan) -> set[str]:
    if plan.kind == "websocket":
        return {"GET", "HEAD"}  # a handshake is a GET
    methods = set(plan.methods or _ANY_METHOD)
    if plan.sharing is not None:
        methods.add("OPTIONS")  # the preflight, which the guard answers
    return methods | ({"HEAD"} if "GET" in methods else set())


def _address_limits(plans: Sequence[RoutePlan]) -> Iterator[Limited]:
    """Yield the budgets of an address, each with the methods that draw from it.

    Not those of plans that share a method: a gateway cannot tell which of them is
    meant, and would charge both.
    """
    drawing = [set(plan.methods or _methods(plan)) for plan in plans]
    claims = Counter(name for methods in drawing for name in methods)
    for plan, methods in zip(plans, drawing, strict=True):
        if any(claims[name] > 1 for name in methods):
            continue
        for mark in plan.marks:
            if isinstance(mark, Limit) and mark.by == "address":
                yield Limited(mark.rate, tuple(sorted(methods)))


def _meet(plans: Sequence[RoutePlan], other: RoutePlan) -> bool:
    """Return whether some path belongs to both. In doubt yes."""
    (own, own_open), (others, others_open) = _cut(plans[0]), _cut(other)
    if len(own) > len(others) and not others_open:
        return False
    if len(own) < len(others) and not own_open:
        return False
    return all(
        one == two or _ONE in one or _ONE in two
        for one, two in zip(own, others, strict=False)
    )


def _cut(plan: RoutePlan) -> tuple[list[str], bool]:
    """Return the segments of a template, and whether any others may follow."""
    path = _PARAMETER.sub(lambda one: _REST if _is_rest(one) else _ONE, plan.path)
    fixed, rest, _ = path.partition(_REST)
    segments = fixed.strip("/").split("/") if fixed.strip("/") else []
    if rest and segments and not fixed.endswith("/"):
        segments[-1] += _ONE
    return segments, bool(rest) or plan.kind == "mount"


def pattern_of(plan: RoutePlan, *, raw: bool = False) -> str:
    """Return a regular expression for the paths of a plan, wide rather than narrow:
    what a parameter may look like is left to the backend.

    Args:
        plan: of one route.
        raw: for paths as they are sent, percent-encoded.
    """
    literal = _sent if raw else _literal
    path = plan.path.rstrip("/") if plan.kind == "mount" else plan.path
    text, at = "", 0
    for found in _PARAMETER.finditer(path):
        text += literal(path[at : found.start()])
        text += ".*" if _is_rest(found) else "[^/]+"
        at = found.end()
    text += literal(path[at:])
    if plan.kind == "mount":
        return f"^{text}(/.*)?$"
    return f"^{text}$" if text.endswith(("/", ".*")) else f"^{text}/?$"


def _is_rest(parameter: re.Match[str]) -> bool:
    kind = parameter["kind"]
    return kind is not None and kind.strip() not in _NARROW


def _literal(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9/_~%-]", lambda found: "\\" + found[0], text)


def _sent(text: str) -> str:
    signs = (quote(sign, safe=f"/{_AS_SENT}") for sign in text)
    return "".join(
        f"(?i:{sign})" if len(sign) > 1 else _literal(sign) for sign in signs
    )
