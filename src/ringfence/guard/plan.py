"""What the guard does with one route, decided at start-up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ringfence.access import Policy
from ringfence.denial import Denial
from ringfence.exchange import ASGIApp, Exchange
from ringfence.frameworks.table import Place

Stage = Callable[[Exchange], Awaitable[Denial | None]]
Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True, eq=False)
class RoutePlan:
    """Everything that is decided about one route before the first request.

    Compared by identity: two includes of one handler are two plans.

    Args:
        kind: ``http``, ``websocket``, ``mount``, or ``answer`` for what the framework
            itself answers (405, slash redirects); behind an ``answer`` no endpoint may
            be entered.
        methods: in alphabetical order; empty means every method.
        path: the full template.
        host: the pattern of the Host header as text, empty for every host.
        policy: who may come in.
        csrf: ``unsafe`` (checked on methods that change things), ``handshake`` or
            ``off``.
        limits: rate limits by name, none yet.
        place: where the handler is defined.
        application: what is called when every stage has agreed.
        stages: what is asked after the plan is known, in order.
        body_limit: largest request body in bytes.
        document_headers: response headers for documents, pre-encoded.
        data_headers: response headers for everything else, pre-encoded.
    """

    kind: str
    methods: tuple[str, ...]
    path: str
    host: str
    policy: Policy
    csrf: str
    limits: tuple[str, ...]
    place: Place
    application: ASGIApp
    stages: tuple[Stage, ...]
    body_limit: int
    document_headers: Headers
    data_headers: Headers
