"""The rules in Envoy's language: a bootstrap file in JSON, which is YAML too."""

from __future__ import annotations

import json
from typing import Any

from ringfence.cli.export.rules import Route, Rules
from ringfence.traffic.rate import Rate
from ringfence.traffic.settings import FORWARDING_HEADERS

_TYPE = "type.googleapis.com/envoy.extensions.filters"
_ROUTER = {
    "name": "envoy.filters.http.router",
    "typed_config": {"@type": f"{_TYPE}.http.router.v3.Router"},
}

_WRITTEN = frozenset({"x-forwarded-for", "x-forwarded-proto"})  # by Envoy itself

Json = dict[str, Any]


def render(rules: Rules, *, listen: str, upstream: str) -> str:
    """Return the file.

    Args:
        rules: what of the plan a gateway can carry out.
        listen: ``0.0.0.0:8080``.
        upstream: where the backend listens, ``127.0.0.1:8000``.

    Not covered: Envoy is in no Debian package, so this file was never given to the
    real program; ``envoy --mode validate`` tells whether it is understood. Limits by
    account; IPv6 networks, since Envoy counts whole addresses.
    """
    manager = {
        "@type": f"{_TYPE}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "ringfence",
        "use_remote_address": True,
        "xff_num_trusted_hops": 0,
        "normalize_path": False,
        "merge_slashes": False,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "common_http_protocol_options": {
            "headers_with_underscores_action": "REJECT_REQUEST"
        },
        "request_headers_timeout": f"{rules.body_seconds}s",
        "stream_idle_timeout": f"{max(30, rules.body_seconds)}s",
        "http_filters": _filters(rules),
        "route_config": {
            "name": "ringfence",
            "virtual_hosts": [_host(rules)],
            "ignore_port_in_host_matching": True,
            "request_headers_to_remove": sorted(FORWARDING_HEADERS - _WRITTEN),
        },
    }
    listener = {
        "name": "ringfence",
        "address": _address(listen),
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": manager,
                    }
                ]
            }
        ],
    }
    cluster = {
        "name": "backend",
        "connect_timeout": "2s",
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": "backend",
            "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": _address(upstream)}}]}
            ],
        },
    }
    bootstrap = {"static_resources": {"listeners": [listener], "clusters": [cluster]}}
    return json.dumps(bootstrap, indent=2) + "\n"


def _filters(rules: Rules) -> list[Json]:
    limiter = {
        "name": "envoy.filters.http.local_ratelimit",
        "typed_config": _local_limit(),
    }
    buffer = {
        "name": "envoy.filters.http.buffer",
        "typed_config": {
            "@type": f"{_TYPE}.http.buffer.v3.Buffer",
            "max_request_bytes": rules.max_body or 1,
        },
    }
    return [limiter, buffer, _ROUTER]


def _host(rules: Rules) -> Json:
    domains = [f"*{name}" if name[0] == "." else name for name in rules.hosts]
    routes = [found for one in rules.routes for found in _routes(one, rules.address)]
    rest = {"match": {"prefix": "/"}, "direct_response": {"status": 404}}
    return {
        "name": "backend",
        "domains": domains or ["localhost"],
        "routes": [*routes, rest],
    }


def _routes(route: Route, address: Rate | None) -> list[Json]:
    path = {"safe_regex": {"regex": route.raw_pattern}}
    rates: dict[tuple[str, ...], list[Rate]] = {}
    for limit in route.limits:
        rates.setdefault(limit.methods, []).append(limit.rate)
    limited = {name for methods in rates for name in methods}
    others = tuple(name for name in route.methods if name not in limited)
    everywhere = [] if address is None else [address]
    served = [
        _served(path, methods, [*everywhere, *own], websocket=route.websocket)
        for methods, own in (*rates.items(), (others, []))
        if methods
    ]
    return [*served, {"match": path, "direct_response": {"status": 405}}]


def _served(
    path: Json, methods: tuple[str, ...], rates: list[Rate], *, websocket: bool
) -> Json:
    regex = {"safe_regex": {"regex": "|".join(methods)}}
    named = [{"name": ":method", "string_match": regex}]
    action: Json = {"cluster": "backend", "timeout": "60s"}
    if websocket and "GET" in methods:
        action["upgrade_configs"] = [{"upgrade_type": "websocket"}]
    served: Json = {"match": {**path, "headers": named}, "route": action}
    if rates:
        limit = _local_limit(min(rates, key=lambda rate: rate.amount / rate.period))
        served["typed_per_filter_config"] = {
            "envoy.filters.http.local_ratelimit": limit
        }
    return served


def _local_limit(rate: Rate | None = None) -> Json:
    """Return a limit by client address: each gets a bucket of its own."""
    config: Json = {
        "@type": f"{_TYPE}.http.local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": "ringfence",
    }
    if rate is None:
        return config
    bucket = {
        "max_tokens": rate.amount,
        "tokens_per_fill": rate.amount,
        "fill_interval": f"{rate.period}s",
    }
    always = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    return {
        **config,
        "token_bucket": {
            **bucket,
            "max_tokens": 1_000_000,
            "tokens_per_fill": 1_000_000,
        },
        "filter_enabled": always,
        "filter_enforced": always,
        "rate_limits": [{"actions": [{"remote_address": {}}]}],
        "descriptors": [
            {"entries": [{"key": "remote_address"}], "token_bucket": bucket}
        ],
    }


def _address(text: str) -> Json:
    host, _, port = text.rpartition(":")
    host = host.strip("[]") or "0.0.0.0"  # noqa: S104 - a gateway listens for everybody
    return {"socket_address": {"address": host, "port_value": int(port)}}
